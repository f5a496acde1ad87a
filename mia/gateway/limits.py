"""What a client may ask for at once, as the real gateway limits it."""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one gateway.

    Attributes
    ----------
    messages_per_second : int
        From one client; beyond it error 100, and at `abuse_factor` times as many the socket closes.
    market_data_lines : int
        reqMktData of all clients together.
    tick_by_tick_lines, depth_lines : int
        For each 100 lines of market data.
    historical_requests, historical_window_s : int, float
        Requests for history in a span of real seconds.
    historical_burst, historical_burst_s : int, float
        Requests of one client for one contract and kind in a span of real seconds.
    historical_repeat_s : float
        Before the same request may be made again, real seconds.
    current_time_pause_s : float
        Within which a second reqCurrentTime stays unanswered, real seconds.
    output_bytes : int
        Held for a client that does not read; beyond it the socket closes.
    """

    messages_per_second: int = 50
    abuse_factor: int = 4
    market_data_lines: int = 100
    tick_by_tick_lines: int = 3
    depth_lines: int = 3
    historical_requests: int = 60
    historical_window_s: float = 600.0
    historical_burst: int = 6
    historical_burst_s: float = 2.0
    historical_repeat_s: float = 15.0
    current_time_pause_s: float = 1.0
    output_bytes: int = 64 * 1024 * 1024


class MessageRate:
    """Counts the messages of one client over the last second.

    Parameters
    ----------
    limits : Limits
    """

    def __init__(self, limits: Limits) -> None:
        self._limit = limits.messages_per_second
        self._abuse = limits.messages_per_second * limits.abuse_factor
        self._times: deque[float] = deque()

    def take(self, now: float) -> str:
        """Count a message: ``ok``, ``too many`` or ``abuse``.

        Parameters
        ----------
        now : float
            Monotonic, seconds.
        """
        times = self._times
        while times and now - times[0] >= 1.0:
            times.popleft()
        times.append(now)
        if len(times) > self._abuse:
            return "abuse"
        return "too many" if len(times) > self._limit else "ok"


class HistoricalPacing:
    """Refuses requests for history that come too fast.

    Parameters
    ----------
    limits : Limits
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._all: deque[float] = deque()
        self._bursts: dict[Hashable, deque[float]] = {}
        self._same: dict[Hashable, float] = {}

    def allows(self, now: float, kind: Hashable, request: Hashable, weight: int = 1) -> bool:
        """Count a request and tell whether it may be answered.

        Parameters
        ----------
        now : float
            Monotonic, seconds.
        kind : hashable
            Contract and kind of data.
        request : hashable
            All that makes two requests the same.
        weight : int
            2 for bid and ask.
        """
        limits = self._limits
        burst = self._bursts.setdefault(kind, deque())
        for times, span in (
            (self._all, limits.historical_window_s),
            (burst, limits.historical_burst_s),
        ):
            while times and now - times[0] >= span:
                times.popleft()
        last = self._same.get(request)
        if (
            len(self._all) + weight > limits.historical_requests
            or len(burst) + 1 > limits.historical_burst
            or (last is not None and now - last < limits.historical_repeat_s)
        ):
            return False
        self._all.extend([now] * weight)
        burst.append(now)
        self._same[request] = now
        return True

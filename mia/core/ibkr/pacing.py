"""How much may be asked of a gateway, and when: messages a second, and requests for history.

Times are seconds of a monotonic clock that the caller reads.
"""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """Messages to the gateway in one second; it answers 50 with an error and may hang up.

    Attributes
    ----------
    per_second : int
        Of all kinds; 0 for no limit, as in lock-step, where a second is no second of the wall.
    kept_for_orders : int
        Share of `per_second` that only orders and cancellations may use.
    """

    per_second: int = 40
    kept_for_orders: int = 20

    def __post_init__(self) -> None:
        """Refuse a limit under which nothing but orders could be sent."""
        if self.per_second and not 0 <= self.kept_for_orders < self.per_second:
            raise ValueError(f"orders must leave something of {self.per_second}, were {self}")


class MessageBudget:
    """Messages sent within the last second, orders before everything else."""

    def __init__(self, limits: MessageLimits) -> None:
        self._limits = limits
        self._sent: deque[float] = deque()

    def delay(self, now: float, *, order: bool = False) -> float:
        """Return the seconds until one more message may be sent, 0 if it may now."""
        limits = self._limits
        if not limits.per_second:
            return 0.0
        sent = self._sent
        while sent and now - sent[0] >= 1.0:
            sent.popleft()
        allowed = limits.per_second - (0 if order else limits.kept_for_orders)
        if len(sent) < allowed:
            return 0.0
        return max(sent[len(sent) - allowed] + 1.0 - now, 1e-3)

    def spend(self, now: float) -> None:
        """Note that a message was sent."""
        if self._limits.per_second:
            self._sent.append(now)


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """What a gateway grants of history before it answers 162.

    Attributes
    ----------
    requests, window_s
        Requests within a sliding window; BID_ASK counts double. 0 requests for no limit.
    burst, burst_s
        Requests for the same contract and kind within a short window.
    repeat_s : float
        Least time between two identical requests.
    """

    requests: int = 60
    window_s: float = 600.0
    burst: int = 5
    burst_s: float = 2.0
    repeat_s: float = 15.0


class HistoryBudget:
    """Requests for history within the windows of `HistoryLimits`."""

    def __init__(self, limits: HistoryLimits) -> None:
        self._limits = limits
        self._sent: deque[tuple[float, str, str, int]] = deque()

    def delay(self, now: float, series: str, request: str, weight: int = 1) -> float:
        """Return the seconds until a request may be sent.

        Parameters
        ----------
        now : float
        series : str
            Contract and kind of data.
        request : str
            The request in full, to tell identical ones.
        weight : int
            2 for BID_ASK.
        """
        limits = self._limits
        if not limits.requests:
            return 0.0
        keep = max(limits.window_s, limits.repeat_s, limits.burst_s)
        while self._sent and now - self._sent[0][0] >= keep:
            self._sent.popleft()
        ready = now
        for span, most, own in (
            (limits.window_s, limits.requests, False),
            (limits.burst_s, limits.burst, True),
        ):
            used = [
                (at, cost)
                for at, of, _, cost in self._sent
                if now - at < span and (of == series or not own)
            ]
            total = sum(cost for _, cost in used)
            for at, cost in used:
                if total + min(weight, most) <= most:
                    break
                total -= cost
                ready = max(ready, at + span)
        for at, of, same, _ in self._sent:
            if (of, same) == (series, request):
                ready = max(ready, at + limits.repeat_s)
        return max(ready - now, 0.0)

    def spend(self, now: float, series: str, request: str, weight: int = 1) -> None:
        """Note that a request was sent."""
        if self._limits.requests:
            self._sent.append((now, series, request, weight))

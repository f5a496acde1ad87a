"""How long a run was ready while the market was open, kept in the journal for the day's report."""

import logging
from collections.abc import Callable

from mia.core import sessions
from mia.data.account_history import UPTIME, uptime_to_dict
from mia.errors import DataError

log = logging.getLogger(__name__)

SAVED_EVERY_NS = 60_000_000_000


class UptimeKeeper:
    """Counts by the clock of the market, so that a simulated day is a day.

    Parameters
    ----------
    append : callable
        ``append(kind, payload, *, ts)`` of a journal.
    ready : callable
        Whether orders may be sent now.

    Attributes
    ----------
    ready_s, open_s : float
        Seconds of the newest session in which the trader was ready while the market was open, and
        in which the market was open; the run's own.
    """

    def __init__(self, append: Callable[..., int], ready: Callable[[], bool]) -> None:
        self._append = append
        self._ready = ready
        self._session = 0
        self._spans: list[tuple[int, int]] = []
        self._newest: tuple[int, bool] | None = None
        self._saved_at = 0
        self._ready_ns = self._open_ns = 0

    @property
    def ready_s(self) -> float:
        """Seconds ready while the market was open."""
        return self._ready_ns / 1e9

    @property
    def open_s(self) -> float:
        """Seconds in which the market was open."""
        return self._open_ns / 1e9

    def publish(self, topic: str, event: object) -> None:
        """Take a beat: its event is the time, ns UTC."""
        assert isinstance(event, int)
        now, ready = event, self._ready()
        if self._newest is not None:
            since, was_ready = self._newest
            while self._spans and now >= self._end:
                # What is left of a session that is over.
                self._count(since, self._end, ready and was_ready)
                since = self._end
                self.save(self._end - 1)
                self._begin(since)
            self._count(since, now, ready and was_ready)
        else:
            self._begin(now)
        self._newest = now, ready
        if now - self._saved_at >= SAVED_EVERY_NS:
            self.save(now)

    def save(self, now: int | None = None) -> None:
        """Write the counts down; as of the newest beat if no time is given."""
        if self._newest is None:
            return
        ts = self._newest[0] if now is None else now
        if ts == self._saved_at:
            return
        self._append(UPTIME, uptime_to_dict(self._session, self.ready_s, self.open_s), ts=ts)
        self._saved_at = ts

    def _begin(self, now: int) -> None:
        self._ready_ns = self._open_ns = 0
        self._saved_at = now
        try:
            day = sessions.session_id(now)
            self._session = day if sessions.is_trading_day(day) else sessions.next_trading_day(day)
            self._spans = sessions.expected_intervals(self._session)
            self._end = sessions.session_open(sessions.next_trading_day(self._session))
        except DataError as error:
            log.warning("uptime is not counted: %s", error)
            self._spans = []

    def _count(self, since: int, until: int, ready: bool) -> None:
        passed = sum(max(0, min(end, until) - max(start, since)) for start, end in self._spans)
        self._open_ns += passed
        self._ready_ns += passed * ready

"""What the watchdog tells of an account: figures beyond their thresholds, and each day's report."""

from collections.abc import Callable
from pathlib import Path

from mia.core import sessions
from mia.core.alert_file import AlertLevel
from mia.data.journal_reader import JournalReader
from mia.data.state_files import JOURNAL
from mia.errors import DataError, JournalError
from mia.monitoring.account_metrics import AccountTail
from mia.monitoring.daily_report import daily_report, lines
from mia.monitoring.performance_tracker import Thresholds

LOOK_S = 30.0
_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND

Raise = Callable[[AlertLevel, str, str, float], None]
"""``raise_alert(level, key, text, now)`` of a watchdog."""


class AccountWatch:
    """Follows the journal of a state directory; call `step` as often as you like.

    A breach is told when it appears and again only after it had gone. The day's report is told
    when the market of a session has closed while this watches.

    Parameters
    ----------
    state_dir : Path
    thresholds : Thresholds
    raise_alert : callable
        See `Raise`.
    wall : callable
        The machine's time, ns UTC.
    """

    def __init__(
        self,
        state_dir: Path,
        thresholds: Thresholds,
        raise_alert: Raise,
        wall: Callable[[], int],
    ) -> None:
        self._journal = state_dir / JOURNAL
        self._tail = AccountTail(state_dir, thresholds)
        self._raise = raise_alert
        self._wall = wall
        self._looked_at: float | None = None
        self._seen_at = 0
        self._told: set[tuple[str, str, str]] = set()
        self._is_readable = True

    def step(self, now: float) -> None:
        """Look, if it is time.

        Parameters
        ----------
        now : float
            Seconds of the monotonic clock.
        """
        if self._looked_at is not None and now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        try:
            self._tail.follow()
            self._tell_breaches(now)
            self._tell_day(now)
        except JournalError as error:
            if self._is_readable:
                self._raise(AlertLevel.WARNING, "journal:unreadable", str(error), now)
            self._is_readable = False
        else:
            self._is_readable = True

    def _tell_breaches(self, now: float) -> None:
        found = {
            (breach.figure, breach.standing.strategy, breach.standing.regime): breach
            for breach in self._tail.tracker.breaches()
        }
        for key in sorted(set(found) - self._told):
            name = ":".join(("performance", *key))
            self._raise(AlertLevel.WARNING, name, str(found[key]), now)
        self._told = set(found)

    def _tell_day(self, now: float) -> None:
        wall = self._wall()
        before, self._seen_at = self._seen_at, wall
        if not before or not self._journal.exists():
            return
        try:
            session = sessions.session_id(before)
            spans = sessions.expected_intervals(session)
            if not spans or not before < spans[-1][1] <= wall or wall - before > _DAY:
                return
            with JournalReader(self._journal) as journal:
                report = daily_report(journal.events(), session, wall)
        except DataError:
            return
        self._raise(AlertLevel.INFO, f"day:{session}", "\n".join(lines(report)), now)

"""The account's closed trades, read from the journal of its trader, as metrics."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mia.core.trading_types import ClosedTrade
from mia.data import account_history, state_files
from mia.data.journal_reader import JournalReader
from mia.errors import JournalError
from mia.monitoring.performance_tracker import PerformanceTracker, Thresholds


class AccountTail:
    """Follows a journal and keeps how its trades stand.

    Parameters
    ----------
    state_dir : Path
        Of the trader; there need be no journal yet.
    thresholds : Thresholds

    Attributes
    ----------
    tracker : PerformanceTracker
    """

    def __init__(self, state_dir: Path, thresholds: Thresholds | None = None) -> None:
        self._path = state_dir / state_files.JOURNAL
        self._thresholds = thresholds
        self._restart()

    def _restart(self) -> None:
        self.tracker = PerformanceTracker(self._thresholds)
        self._after = 0
        self._identity: tuple[int, int] | None = None

    def follow(self) -> None:
        """Take what the journal got since the last call.

        Raises
        ------
        JournalError
            If it cannot be read or is damaged.
        """
        try:
            about = self._path.stat()
        except OSError:
            self._restart()
            return
        identity = (about.st_dev, about.st_ino)
        if identity != self._identity:
            # Another file in its place: restored from a backup, or begun again.
            self._restart()
            self._identity = identity
        with JournalReader(self._path) as journal:
            newest = self._after
            trades: list[ClosedTrade] = []
            for event in journal.events(self._after):
                newest = event.seq
                trades += account_history.closed_trades([event])
        self.tracker.add(trades)
        self._after = newest


class AccountCollector(Collector):
    """Metrics of the closed trades by strategy and regime.

    Parameters
    ----------
    state_dir : Path
    """

    def __init__(self, state_dir: Path) -> None:
        self._tail = AccountTail(state_dir)

    def describe(self) -> Iterable[Metric]:
        """Say nothing: what there is depends on the trades."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the standings; never raise into the scrape."""
        good = 1.0
        try:
            self._tail.follow()
        except JournalError:
            good = 0.0
        yield GaugeMetricFamily("mia_journal_good", "0 if it cannot be read.", value=good)
        yield from self._tail.tracker.metrics()

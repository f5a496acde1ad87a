"""Alerts that wait to be sent: bounded, the worst first, the least important lost first."""

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from mia.core.alert_file import Alert, AlertLevel


class Waiting(NamedTuple):
    """An alert that waits, and whom to tell once it was sent, or given up."""

    alert: Alert
    done: Callable[[], None]


class AlertQueue:
    """A queue between threads, with a row for each level.

    Parameters
    ----------
    most : int
        Alerts that may wait.

    Attributes
    ----------
    dropped : int
        Alerts that were given up because too many waited.
    changed : threading.Condition
        Notified when one was added.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: dict[AlertLevel, deque[Waiting]] = {level: deque() for level in AlertLevel}
        self.dropped = 0
        self.changed = threading.Condition()

    def __len__(self) -> int:
        """Return how many wait."""
        return sum(map(len, self._rows.values()))

    def put(self, alert: Alert, done: Callable[[], None]) -> None:
        """Add an alert; if there are too many, the oldest of the lowest level goes."""
        lost: Waiting | None = None
        with self.changed:
            self._rows[alert.level].append(Waiting(alert, done))
            if len(self) > self._most:
                lost = self._drop()
            self.changed.notify()
        if lost is not None:
            lost.done()

    def take(self, how_many: Callable[[list[Alert]], int], most: int) -> list[Waiting]:
        """Take the worst alerts out, those of a level in their order.

        Parameters
        ----------
        how_many : callable
            Told the first alerts, says how many of them are taken.
        most : int
            Alerts that it is told.
        """
        with self.changed:
            first: list[Waiting] = []
            for level in sorted(self._rows, reverse=True):
                row = self._rows[level]
                first += [row[k] for k in range(min(len(row), most - len(first)))]
            if not first:
                return []
            taken = first[: how_many([waiting.alert for waiting in first])]
            for waiting in taken:
                self._rows[waiting.alert.level].popleft()
            return taken

    def put_back(self, taken: list[Waiting]) -> None:
        """Put alerts back where they were taken from."""
        lost = []
        with self.changed:
            for waiting in reversed(taken):
                self._rows[waiting.alert.level].appendleft(waiting)
            while len(self) > self._most:
                lost.append(self._drop())
        for waiting in lost:
            waiting.done()

    def clear(self) -> None:
        """Give up all that wait."""
        with self.changed:
            lost = [waiting for row in self._rows.values() for waiting in row]
            self.dropped += len(lost)
            for row in self._rows.values():
                row.clear()
        for waiting in lost:
            waiting.done()

    def _drop(self) -> Waiting:
        self.dropped += 1
        row = next(self._rows[level] for level in sorted(self._rows) if self._rows[level])
        return row.popleft()

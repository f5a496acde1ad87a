"""Takes alerts in, decides what is told, and hands that to whoever subscribed.

The alerts of a trader come from its file (`mia.core.alert_file`). A subscriber must not keep the
one that hands it an alert: what takes time happens in a thread of its own.
"""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol, TextIO

from mia.core.alert_file import Alert, AlertTail
from mia.monitoring.alerts.alert_policy import AlertPolicy
from mia.monitoring.alerts.delivery import Delivery


class Subscriber(Protocol):
    """Whoever is told alerts.

    Attributes
    ----------
    name : str
    """

    name: str

    def send(self, alert: Alert, done: Callable[[], None]) -> None:
        """Take an alert without waiting; call `done`, from any thread, once it is through."""
        ...


class ConsoleSubscriber:
    """Writes a line for each alert.

    Parameters
    ----------
    stream : file
    """

    name = "console"

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def send(self, alert: Alert, done: Callable[[], None]) -> None:
        """Write it."""
        try:
            print(f"{alert.level.name:8} {alert.key}: {alert.text}", file=self._stream, flush=True)
        except (OSError, ValueError):
            # A terminal that was closed is no reason to stop telling the others.
            pass
        finally:
            done()


class AlertSystem:
    """Follows the file of a trader and tells its subscribers.

    Parameters
    ----------
    path : Path
        The file of alerts.
    place : Path
        File that keeps how far each alert got, so that a new start neither loses nor repeats.
    policy : AlertPolicy
    subscribers : list of Subscriber
    wall : callable
        The machine's time, ns UTC.

    Attributes
    ----------
    taken, told : int
        Alerts that came, and that were told.
    """

    def __init__(
        self,
        path: Path,
        place: Path,
        policy: AlertPolicy,
        subscribers: list[Subscriber],
        wall: Callable[[], int],
    ) -> None:
        self.delivery = Delivery(place)
        self.subscribers = subscribers
        self.taken = self.told = 0
        self._policy = policy
        self._tail = AlertTail(path, self.delivery.start)
        self._oldest = wall() - self.delivery.patience_ns if self.delivery.is_new else 0

    def poll(self, now: float) -> None:
        """Tell what was added to the file, and what was held back long enough.

        Parameters
        ----------
        now : float
            Seconds of a monotonic clock.
        """
        for position, alert in self._tail.read():
            if self.delivery.take(position) and alert.wall >= self._oldest:
                self.tell(alert, now, partial(self.delivery.done, position))
            else:
                self.delivery.done(position)
        for alert in self._policy.due(now):
            self._hand_out(alert, _nothing)
        self.delivery.save(self._tail)

    def tell(self, alert: Alert, now: float, done: Callable[[], None] | None = None) -> None:
        """Tell an alert that is in no file, or has just come from it."""
        self.taken += 1
        wanted = self._policy.judge(alert, now)
        if wanted is None:
            (done or _nothing)()
        else:
            self._hand_out(wanted, done or _nothing)

    def finish(self) -> None:
        """Tell what was only counted, and keep how far everything got."""
        for alert in self._policy.rest():
            self._hand_out(alert, _nothing)
        self.delivery.save(self._tail)

    def close(self) -> None:
        """Keep how far everything got, and let go of the file."""
        self.delivery.save(self._tail)
        self._tail.close()

    def _hand_out(self, alert: Alert, done: Callable[[], None]) -> None:
        self.told += 1
        through = _Countdown(len(self.subscribers), done)
        for subscriber in self.subscribers:
            subscriber.send(alert, through)
        if not self.subscribers:
            done()


class _Countdown:
    """Calls on once it was called by everybody."""

    def __init__(self, count: int, done: Callable[[], None]) -> None:
        self._left = count
        self._done = done
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._done()


def _nothing() -> None:
    """Do nothing: nobody waits for this alert."""

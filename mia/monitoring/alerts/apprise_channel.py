"""Alerts to anything that apprise knows, as an extra beside Discord.

Apprise waits where it should not and loses what a service refuses, so it runs in a thread of its
own, and an alert that takes too long is given up. No alert rests on this channel alone: all of
them are in the file, and doctor warns if there is no other one.
"""

import queue
import threading
from collections.abc import Callable
from typing import Any

from mia.core.alert_file import Alert, AlertLevel
from mia.errors import ConfigError

_MOST = 100
_KINDS = {
    AlertLevel.INFO: "info",
    AlertLevel.WARNING: "warning",
    AlertLevel.CRITICAL: "failure",
}


class AppriseChannel:
    """A subscriber of alerts that hands them to apprise.

    Parameters
    ----------
    urls : str
        Addresses as apprise writes them, separated by spaces or commas; they are never told.
    say : callable
        Told in a line what is wrong with the channel.
    timeout : float
        Seconds that a notification may take.

    Attributes
    ----------
    sent, lost : int

    Raises
    ------
    ConfigError
        If apprise is not installed, or does not know an address.
    """

    name = "apprise"

    def __init__(self, urls: str, say: Callable[[str], None], timeout: float) -> None:
        try:
            import apprise
        except ImportError:
            raise ConfigError(
                "alerts.apprise_urls needs apprise: pip install 'mia-trading[apprise]'"
            ) from None
        self._notifier: Any = apprise.Apprise()
        for number, url in enumerate(urls.replace(",", " ").split(), 1):
            if not self._notifier.add(url):
                raise ConfigError(f"address {number} of alerts.apprise_urls is none of apprise's")
        self._say = say
        self._timeout = timeout
        self._queue: queue.Queue[Alert] = queue.Queue(_MOST)
        self.sent = self.lost = 0
        threading.Thread(target=self._run, name="apprise", daemon=True).start()

    def send(self, alert: Alert, done: Callable[[], None]) -> None:
        """Queue an alert; if too many wait, the oldest goes."""
        while True:
            try:
                self._queue.put_nowait(alert)
                break
            except queue.Full:
                with self._queue.mutex:
                    if self._queue.queue:
                        self._queue.queue.popleft()
                        self.lost += 1
        done()

    def _run(self) -> None:
        while True:
            alert = self._queue.get()
            outcome: list[bool] = []
            # A notification that hangs holds only the thread that was made for it.
            work = threading.Thread(target=self._notify, args=(alert, outcome), daemon=True)
            work.start()
            work.join(self._timeout)
            if outcome == [True]:
                self.sent += 1
                continue
            self.lost += 1
            why = "took too long" if work.is_alive() else "failed"
            self._say(f"apprise: {alert.key} {why}")
            work.join()

    def _notify(self, alert: Alert, outcome: list[bool]) -> None:
        try:
            outcome.append(
                bool(
                    self._notifier.notify(
                        body=alert.text,
                        title=f"{alert.level.name} {alert.key}",
                        notify_type=_KINDS[alert.level],
                    )
                )
            )
        except Exception:
            outcome.append(False)

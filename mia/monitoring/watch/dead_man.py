"""A ping to somebody outside, who raises the alarm when it stays away.

The machine, the network and the watchdog itself may die, and cannot say so. Services in the
manner of healthchecks.io do: they expect a request every so often.
"""

import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from mia.errors import ConfigError
from mia.monitoring.alerts.http_request import request

_TIMEOUT_S = 10.0


class DeadManPing:
    """Fetches an address while it is allowed to, in a thread of its own.

    Parameters
    ----------
    url : str
        Never told.
    every_s : float
    allowed : callable
        Whether all is well; otherwise the ping stays away.
    say : callable
        Told in a line when pings begin to fail, and when they succeed again.

    Attributes
    ----------
    sent, failed : int

    Raises
    ------
    ConfigError
        If it is no address.
    """

    def __init__(
        self, url: str, every_s: float, allowed: Callable[[], bool], say: Callable[[str], None]
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("alerts.ping_url is no address: write it as https://HOST/PATH")
        self._url, self._every_s, self._allowed, self._say = url, every_s, allowed, say
        self.sent = self.failed = 0
        self._stop = threading.Event()
        threading.Thread(target=self._run, name="ping", daemon=True).start()

    def close(self) -> None:
        """Ping no more."""
        self._stop.set()

    def _run(self) -> None:
        failing = False
        while True:
            if self._allowed():
                why = self._ping()
                if why and not failing:
                    self._say(f"the ping to outside fails: {why}")
                elif failing and not why:
                    self._say("the ping to outside succeeds again")
                failing = bool(why)
            if self._stop.wait(self._every_s):
                return

    def _ping(self) -> str:
        try:
            status = request("GET", self._url, timeout=_TIMEOUT_S).status
        except OSError as error:
            self.failed += 1
            return type(error).__name__
        if 200 <= status < 300:
            self.sent += 1
            return ""
        self.failed += 1
        return f"answer {status}"

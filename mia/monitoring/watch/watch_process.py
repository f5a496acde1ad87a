"""``mia watch`` as a process: from settings to a watchdog that runs until it is told to end."""

import logging
import signal
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from mia.config.settings import LoadedSettings
from mia.core.alert_file import NAME, AlertLevel
from mia.data.process_lock import ProcessLock
from mia.monitoring.alert_system import AlertSystem, ConsoleSubscriber, Subscriber
from mia.monitoring.alerts.alert_policy import AlertPolicy, PolicyLimits
from mia.monitoring.alerts.apprise_channel import AppriseChannel
from mia.monitoring.alerts.discord_sender import DiscordSender
from mia.monitoring.performance_tracker import Thresholds
from mia.monitoring.watch.account_watch import AccountWatch
from mia.monitoring.watch.dead_man import DeadManPing
from mia.monitoring.watch.kill_hand import KillHand
from mia.monitoring.watch.trader_life import Life, Sight
from mia.monitoring.watch.watch_beat import LOCK
from mia.monitoring.watchdog import Watchdog, WatchLimits
from mia.redaction import Redactor

log = logging.getLogger(__name__)

PLACE = "alerts.position"
"""File that keeps how far the alerts got."""

STEP_S = 0.25
_FAREWELL_S = 20.0
_LINGER_S = 600.0


class WatchProcess:
    """The watchdog of a state directory with all its channels.

    Parameters
    ----------
    state_dir : Path
        Made if it is absent, readable by its owner only.
    loaded : LoadedSettings
    redact : Redactor

    Raises
    ------
    AlreadyRunning
        If another watchdog watches this directory.
    ConfigError
        If a channel is not well configured.
    """

    def __init__(self, state_dir: Path, loaded: LoadedSettings, redact: Redactor) -> None:
        self._loaded, self._path = loaded, state_dir
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._stop = threading.Event()
        self._said: set[str] = set()
        self._stack = ExitStack()
        self.discord: DiscordSender | None = None
        with ExitStack() as stack:
            lock = ProcessLock(state_dir / LOCK)
            lock.acquire(f"the watch over {state_dir}")
            stack.callback(lock.release)
            self.watchdog = self._make(state_dir, redact, stack)
            self._stack = stack.pop_all()

    def _make(self, state_dir: Path, redact: Redactor, stack: ExitStack) -> Watchdog:
        alerts, track = self._loaded.settings.alerts, self._loaded.settings.track
        subscribers: list[Subscriber] = [ConsoleSubscriber(sys.stdout)]
        if alerts.discord_webhook is not None:
            self.discord = DiscordSender(
                alerts.discord_webhook.get_secret_value(), self._say, alerts.queue
            )
            subscribers.append(self.discord)
        if alerts.apprise_urls is not None:
            urls = alerts.apprise_urls.get_secret_value()
            subscribers.append(AppriseChannel(urls, self._say, alerts.apprise_s))
        policy = AlertPolicy(
            PolicyLimits(alerts.cool_down_s, alerts.escalate_after, alerts.escalate_s)
        )
        system = AlertSystem(state_dir / NAME, state_dir / PLACE, policy, subscribers, time.time_ns)
        watchdog = Watchdog(
            state_dir,
            system,
            KillHand(state_dir, alerts.kill),
            WatchLimits(
                alerts.hang_s,
                alerts.start_s,
                alerts.kill_after_s,
                alerts.repeat_s,
                alerts.disk_mb,
            ),
            redact,
        )
        thresholds = Thresholds(
            track.min_trades,
            track.win_rate,
            track.expectancy_r,
            track.drawdown_usd,
            track.slippage_ticks,
        )
        watchdog.account = AccountWatch(state_dir, thresholds, watchdog.raise_alert, time.time_ns)
        stack.callback(watchdog.close)
        if alerts.ping_url is not None:
            ping = DeadManPing(
                alerts.ping_url.get_secret_value(),
                alerts.ping_s,
                lambda: watchdog.is_well,
                self._say,
            )
            stack.callback(ping.close)
        return watchdog

    def listen(self) -> None:
        """Let SIGINT and SIGTERM end the process in order; main thread only."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def run(self, *, with_trader: bool = False) -> None:
        """Watch until told to end; what waits is then sent for some seconds.

        Parameters
        ----------
        with_trader : bool
            End as well when a trader that was seen has ended in order, or died ten minutes ago
            with nothing open.
        """
        seen = False
        try:
            while not self._stop.is_set():
                self._step()
                sight = self.watchdog.sight
                life = Life.ABSENT if sight is None else sight.life
                seen = seen or life is not Life.ABSENT
                if with_trader and self._is_over(sight, seen):
                    break
                self._stop.wait(STEP_S)
            self._step()
        finally:
            self.watchdog.system.finish()
            if self.discord is not None and not self.discord.close(_FAREWELL_S):
                log.warning("alerts still wait; the next watchdog sends them")
            self._stack.close()

    def _is_over(self, sight: Sight | None, seen: bool) -> bool:
        """Tell whether a watchdog that came with a trader may go: nothing is at risk any more."""
        if sight is None or not self._path.is_dir():
            return not self._path.is_dir()
        if sight.life is Life.DIED and not sight.exposure:
            # It was told; whoever starts a trader again gets another watchdog with it.
            return self.watchdog.trouble_s >= _LINGER_S
        return seen and sight.life is Life.ABSENT

    def _step(self) -> None:
        try:
            self.watchdog.step(time.monotonic())
        except Exception as error:
            # One thing that cannot be looked at must not end the watch over all others.
            words = f"the watchdog could not look at everything: {error!r}"
            if words not in self._said:
                self._said.add(words)
                log.exception("%s", words)
                self.watchdog.raise_alert(
                    AlertLevel.WARNING, "watchdog:failed", words, time.monotonic()
                )

    def stop(self) -> None:
        """End at the next look."""
        self._stop.set()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()

    def _say(self, line: str) -> None:
        log.warning("%s", line)

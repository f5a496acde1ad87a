"""The watchdog: tells people what goes wrong, and stops a trader that cannot stop itself.

It is a process of its own and only reads what the trader leaves: its heartbeat, its lock, its
alerts. What it finds itself goes into the same file of alerts as the trader's, so that every
screen shows it, and from there to the subscribers.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mia.core.alert_file import NAME, Alert, AlertFile, AlertLevel
from mia.monitoring.alert_system import AlertSystem
from mia.monitoring.health_checker import Check, Mark, check_machine
from mia.monitoring.watch.account_watch import AccountWatch
from mia.monitoring.watch.kill_hand import KillHand
from mia.monitoring.watch.trader_life import Life, Sight, TraderLife
from mia.monitoring.watch.watch_beat import WatchBeat

SOURCE = "watchdog"
_MACHINE_S = 10.0
_TROUBLE = (Life.HUNG, Life.DIED)
_LEVELS = {Mark.WARNING: AlertLevel.WARNING, Mark.CRITICAL: AlertLevel.CRITICAL}


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """When the watchdog says or does something; times in seconds.

    Attributes
    ----------
    hang_s : float
        Silence of the heartbeat after which a trader hangs.
    start_s : float
        Time that a trader may take to show its first frame.
    kill_after_s : float
        How long a trader that holds something must hang or be dead before the switch is pulled.
    repeat_s : float
        After which a trouble that stands is told again.
    disk_mb : int
        Free space below which there is too little.
    """

    hang_s: float = 3.0
    start_s: float = 120.0
    kill_after_s: float = 10.0
    repeat_s: float = 300.0
    disk_mb: int = 500


class Watchdog:
    """Watches one state directory; call `step` a few times a second.

    Parameters
    ----------
    state_dir : Path
    system : AlertSystem
        Follows the file of alerts in that directory.
    hand : KillHand
    limits : WatchLimits
    redact : callable
        Takes secrets out of a text.
    wall : callable
        The machine's time, ns UTC.

    Attributes
    ----------
    sight : Sight, optional
        What was seen last.
    account : AccountWatch, optional
        Looks at the closed trades, if there is one.
    """

    def __init__(
        self,
        state_dir: Path,
        system: AlertSystem,
        hand: KillHand,
        limits: WatchLimits,
        redact: Callable[[str], str],
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        self.system = system
        self.sight: Sight | None = None
        self.account: AccountWatch | None = None
        self._path = state_dir
        self._hand = hand
        self._limits = limits
        self._redact = redact
        self._wall = wall
        self._trader = TraderLife(state_dir, limits.hang_s)
        self._beat = WatchBeat(state_dir)
        self._life: Life | None = None
        self._pid = 0
        self._since = 0.0
        self._told_at = 0.0
        self._machine_at = 0.0
        self._marks: dict[str, Mark] = {}

    def step(self, now: float) -> None:
        """Look once, tell what is new, act if it is time.

        Parameters
        ----------
        now : float
            Seconds of the monotonic clock.
        """
        self._beat.beat()
        seen = self.sight = self._trader.look(now)
        if self._hand.is_busy and seen.life is Life.STARTING:
            # The kill command holds the directory while it acts at the broker.
            seen = replace(seen, life=self._life or Life.DIED, pid=self._pid)
        if seen.life is not self._life or seen.pid != self._pid:
            self._change(seen, now)
        if seen.life in _TROUBLE:
            self._stand(seen, now)
        elif seen.life is Life.STARTING and now - self._since >= self._limits.start_s:
            self._repeat(
                AlertLevel.WARNING, "trader:start", f"process {seen.pid} shows no frame", now
            )
        outcome = self._hand.poll(now)
        if outcome is not None:
            again = "; it is tried again" if outcome.again else ""
            verdict = "done" if outcome.done else f"NOT DONE, act by hand{again}"
            self.raise_alert(
                AlertLevel.CRITICAL,
                "watchdog:kill",
                f"mia kill {self._hand.action}: {verdict}: {outcome.text}",
                now,
            )
        if now - self._machine_at >= _MACHINE_S or not self._machine_at:
            self._machine_at = now
            self._look_at_machine(seen, now)
        if self.account is not None:
            self.account.step(now)
        self.system.poll(now)

    @property
    def trouble_s(self) -> float:
        """Seconds for which the trader hangs or has been dead, 0 if it does neither."""
        return 0.0 if self.is_well else time.monotonic() - self._since

    @property
    def is_well(self) -> bool:
        """Whether nobody outside needs to worry: no trader hangs or has died."""
        return self.sight is not None and self.sight.life not in _TROUBLE

    def raise_alert(self, level: AlertLevel, key: str, text: str, now: float) -> None:
        """Put an alert into the file; if the disk refuses, tell the subscribers at least."""
        ts = self._wall()
        try:
            file = AlertFile(self._path / NAME, self._redact, SOURCE)
        except OSError:
            written = False
        else:
            written = file.write(level, key, text, ts, ts)
            file.close()
        if not written:
            self.system.tell(Alert(ts, level, key, self._redact(text), SOURCE, ts), now)

    def close(self) -> None:
        """Let go of everything."""
        self._trader.close()
        self.system.close()

    def _change(self, seen: Sight, now: float) -> None:
        before, self._life, self._pid = self._life, seen.life, seen.pid
        self._told_at = now
        if before not in _TROUBLE or seen.life not in _TROUBLE:
            self._since = now
        else:
            # It hung and is dead now: what was left to it as a command has to be done for it.
            self._hand.rearm()
        if seen.life in _TROUBLE:
            self.raise_alert(*self._words(seen), now)
        elif before in _TROUBLE:
            # Who runs again, or ends in order, gives no reason to act any more.
            self._hand.rearm()
            words = {
                Life.RUNNING: f"the trader runs again as process {seen.pid}",
                Life.STARTING: f"process {seen.pid} took the state directory over",
                Life.ABSENT: "the note of the dead trader is gone; no trader runs",
            }
            self.raise_alert(AlertLevel.WARNING, f"trader:{seen.life}", words[seen.life], now)
        elif before is not None:
            words = {
                Life.RUNNING: f"the trader runs as process {seen.pid}",
                Life.STARTING: f"process {seen.pid} took the state directory",
                Life.ABSENT: "the trader has ended in order",
            }
            self.raise_alert(AlertLevel.INFO, f"trader:{seen.life}", words[seen.life], now)

    def _words(self, seen: Sight) -> tuple[AlertLevel, str, str]:
        what = (
            f"the trader, process {seen.pid}, hangs: no heartbeat for {seen.age_s:.1f} s"
            if seen.life is Life.HUNG
            else f"the trader, process {seen.pid}, is gone and did not end in order"
        )
        if seen.exposure and self._hand.action != "off":
            plan = f"{self._hand.action} in {self._limits.kill_after_s:g} s unless it returns"
            what += f"; {seen.exposure}; {plan}"
        else:
            what += f"; {seen.exposure or 'it was flat'}"
        return AlertLevel.CRITICAL, f"trader:{seen.life}", what

    def _stand(self, seen: Sight, now: float) -> None:
        """See to a trouble that goes on."""
        stood = now - self._since
        if seen.exposure and stood >= self._limits.kill_after_s and self._hand.pull(now):
            self.raise_alert(
                AlertLevel.CRITICAL,
                "watchdog:kill",
                f"mia kill {self._hand.action} was started, "
                f"{stood:.0f} s after the trader was found {seen.life}",
                now,
            )
        if now - self._told_at >= self._limits.repeat_s:
            self._told_at = now
            level, key, text = self._words(seen)
            text = f"for {stood / 60:.0f} minutes: {text.split('; ' + self._hand.action)[0]}"
            self.raise_alert(level, key, text, now)

    def _repeat(self, level: AlertLevel, key: str, text: str, now: float) -> None:
        if now - self._told_at >= self._limits.repeat_s or self._told_at == self._since:
            self._told_at = now
            self.raise_alert(level, key, text, now)

    def _look_at_machine(self, seen: Sight, now: float) -> None:
        checks: list[Check] = check_machine(self._path, seen, self._limits.disk_mb)
        for check in checks:
            before = self._marks.get(check.name, Mark.OK)
            self._marks[check.name] = check.mark
            if check.mark is before:
                continue
            level = _LEVELS.get(check.mark, AlertLevel.INFO)
            self.raise_alert(level, f"machine:{check.name}:{check.mark.name}", check.text, now)

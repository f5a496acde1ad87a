"""Which alerts are told at once, which are only counted, and which become more serious.

An alert of a key that was told a short while ago is counted; when the time is over, the last of
them is told with the number. What was only a warning becomes critical when it keeps coming back.
Nothing is forgotten, and a higher level is never held back by a lower one.
"""

from collections import deque
from dataclasses import dataclass, field, replace

from mia.core.alert_file import Alert, AlertLevel

_MOST_KEYS = 4096


@dataclass(frozen=True, slots=True)
class PolicyLimits:
    """When alerts are held back, and when they become critical; times in seconds.

    Attributes
    ----------
    cool_down_s : float
        For which a key is only counted after it was told; for what is critical a quarter of it.
    escalate_after, escalate_s : int, float
        So many warnings of a key in that time are critical.
    """

    cool_down_s: float = 60.0
    escalate_after: int = 5
    escalate_s: float = 600.0


@dataclass(slots=True)
class _Known:
    told_at: float
    level: AlertLevel
    held: int = 0
    last: Alert | None = None
    times: deque[float] = field(default_factory=deque)


class AlertPolicy:
    """Judges alerts one by one; time comes as an argument, seconds of a monotonic clock.

    Parameters
    ----------
    limits : PolicyLimits
    """

    def __init__(self, limits: PolicyLimits) -> None:
        self._limits = limits
        self._known: dict[str, _Known] = {}

    def judge(self, alert: Alert, now: float) -> Alert | None:
        """Return what is to be told of an alert now; None if it is only counted."""
        known = self._known.get(alert.key)
        if known is None:
            self._prune(now)
            known = self._known[alert.key] = _Known(now, alert.level)
            known.times.append(now)
            return alert
        times = known.times
        times.append(now)
        while times and now - times[0] > self._limits.escalate_s:
            times.popleft()
        if alert.level is AlertLevel.WARNING and len(times) >= self._limits.escalate_after:
            text = f"{alert.text} (for the {_times(len(times))} in {self._limits.escalate_s:g} s)"
            alert = replace(alert, level=AlertLevel.CRITICAL, text=text)
            times.clear()
        cooling = now - known.told_at < self._cool_down(known.level)
        if cooling and alert.level <= known.level:
            known.held += 1
            known.last = alert
            return None
        return self._tell(known, alert, now)

    def due(self, now: float) -> list[Alert]:
        """Return what was counted and is to be told by now, with the numbers."""
        found = []
        for known in self._known.values():
            over = now - known.told_at >= self._cool_down(known.level)
            if known.last is not None and over:
                known.held -= 1
                found.append(self._tell(known, known.last, now))
        return found

    def rest(self) -> list[Alert]:
        """Return everything that was counted and not told; for the end."""
        return self.due(float("inf"))

    def _cool_down(self, level: AlertLevel) -> float:
        whole = self._limits.cool_down_s
        return whole / 4 if level is AlertLevel.CRITICAL else whole

    def _tell(self, known: _Known, alert: Alert, now: float) -> Alert:
        if known.held > 0:
            alert = replace(alert, text=f"{alert.text} ({known.held} more like it before)")
        known.told_at, known.level, known.held, known.last = now, alert.level, 0, None
        return alert

    def _prune(self, now: float) -> None:
        """Forget keys that matter no more, and the oldest if there are still too many."""
        if len(self._known) < _MOST_KEYS:
            return
        longest = max(self._limits.cool_down_s, self._limits.escalate_s)
        quiet = [key for key, known in self._known.items() if known.last is None]
        over = [key for key in quiet if now - self._known[key].told_at >= longest]
        for key in over if len(over) >= _MOST_KEYS // 4 else quiet[: _MOST_KEYS // 4]:
            del self._known[key]


def _times(count: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    end = "th" if count % 100 in (11, 12, 13) else ends.get(count % 10, "th")
    return f"{count}{end} time"

"""Which backups are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mia.monitoring.backups.backup_objects import Manifest

_HOUR_NS = 3_600 * 10**9
_DAY_NS = 24 * _HOUR_NS


@dataclass(frozen=True, slots=True)
class Retention:
    """Keeps all recent backups, then the last of each day, then the last of each month.

    Attributes
    ----------
    hours : int
        How long every backup is kept.
    days : int
        How long the last one of each UTC day is kept.
    months : int
        How many times 31 days the last one of each month is kept.
    at_least : int
        How many of the newest are kept, however old they are.
    """

    hours: int = 48
    days: int = 30
    months: int = 12
    at_least: int = 3

    def surplus(self, manifests: Sequence[Manifest], now: int) -> list[Manifest]:
        """Return the backups that need not be kept.

        Parameters
        ----------
        manifests : sequence of Manifest
            Oldest first.
        now : int
            ns UTC; what was made later than that counts as recent.
        """
        spans = ((self.days * _DAY_NS, "%Y%m%d"), (self.months * 31 * _DAY_NS, "%Y%m"))
        kept = {m.backup_id for m in manifests[-self.at_least :] if self.at_least}
        kept |= {m.backup_id for m in manifests if now - m.made <= self.hours * _HOUR_NS}
        for span, form in spans:
            last = {
                f"{datetime.fromtimestamp(m.made // 10**9, UTC):{form}}": m.backup_id
                for m in manifests
                if now - m.made <= span
            }
            kept |= set(last.values())
        return [m for m in manifests if m.backup_id not in kept]

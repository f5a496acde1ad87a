"""One look at the trader: its frame decoded, and what there is to say about its life."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mia.core.frame import SCHEMA, Frame
from mia.monitoring.dashboard.lines import ALERTS, read_lines
from mia.monitoring.dashboard.sight import Life, Sight, TraderSight
from mia.monitoring.terminal.words import span

_ALERT_BYTES = 20_000


@dataclass(frozen=True, slots=True)
class Look:
    """What is seen of the trader.

    Attributes
    ----------
    life : Life
    frame : Frame or None
        The newest there is, however old.
    trouble : str
        Why the frame is no picture of now; empty if it is one.
    alerts : list of dict
        The newest alerts, newest last.
    age_s : float or None
        Seconds since the last heartbeat, or since frames stopped coming if that is longer.
    """

    life: Life
    frame: Frame | None
    trouble: str
    alerts: list[dict[str, Any]]
    age_s: float | None = None

    @property
    def is_live(self) -> bool:
        """Whether the frame can be believed."""
        return not self.trouble


class Looker:
    """Looks at a state directory again and again; only reads.

    Parameters
    ----------
    state_dir : Path
        Need not exist.
    """

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._sight = TraderSight(state_dir)
        self._decoder = msgspec.json.Decoder(Frame)
        self._alert_size = -1
        self._alerts: list[dict[str, Any]] = []

    def look(self) -> Look:
        """Return what is to be seen now."""
        sight = self._sight.look()
        frame, trouble = None, ""
        if sight.payload:
            try:
                frame = self._decoder.decode(sight.payload)
                if frame.schema != SCHEMA:
                    raise ValueError(f"schema {frame.schema}, this program reads {SCHEMA}")
            except (ValueError, msgspec.MsgspecError) as error:
                frame, trouble = None, f"the frame cannot be read: {error}"
        trouble = trouble or self._trouble(sight)
        return Look(sight.life, frame, trouble, self._newest_alerts(), sight.age_s)

    def close(self) -> None:
        """Let go of the trader's memory."""
        self._sight.close()

    def _trouble(self, sight: Sight) -> str:
        age = span(sight.age_s)
        if sight.life is Life.NONE:
            return f"no trader has run in {self._state_dir}"
        if sight.life is Life.ENDED:
            return f"no trader: the last one ended in order, {age} ago"
        if sight.life is Life.DIED:
            return f"NO TRADER: it died {age} ago. What it held rests on its stop at the broker"
        if sight.life is Life.SILENT:
            if sight.age_s is None:
                return "the trader is starting"
            return f"STALE: the trader has shown nothing new for {age}"
        return "" if sight.payload else "the trader is starting"

    def _newest_alerts(self) -> list[dict[str, Any]]:
        path = self._state_dir / ALERTS
        try:
            size = path.stat().st_size
            if size != self._alert_size:
                self._alerts = list(read_lines(path, -_ALERT_BYTES).rows)
                self._alert_size = size
        except OSError:
            self._alerts, self._alert_size = [], -1
        return self._alerts

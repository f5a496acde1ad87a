"""What can be seen of the trader from outside: its newest frame, and whether it lives.

A trader that does not run is a thing to see, not an error: it never ran here, ended in order,
died, or hangs.
"""

import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mia.core import frame_memory
from mia.core.frame_memory import FrameReader, Snapshot
from mia.data import state_files
from mia.data.process_lock import is_held
from mia.errors import DataError

SILENT_AFTER_S = 0.7
"""Without a heartbeat for longer, the trader counts as silent: its page says so within a second."""

_USUAL_S = 0.3
"""A frame comes ten times a second; one that is shown for longer is old though hearts beat."""


class Life(StrEnum):
    """What is known of the trader's process."""

    NONE = "none"
    RUNNING = "running"
    SILENT = "silent"
    ENDED = "ended"
    DIED = "died"


@dataclass(frozen=True, slots=True)
class Sight:
    """One look at the trader.

    Attributes
    ----------
    life : Life
        ``SILENT``: the process holds its lock, but its heartbeat is old. ``DIED``: it holds it
        no more, and has not ended in order.
    age_s : float or None
        Seconds since the last heartbeat, or since frames stopped coming if that is longer; None
        if there never was one.
    pid : int
        Of the process that wrote the frame, 0 without one.
    payload : bytes
        The newest frame as JSON, empty without one.
    started_ns : int
        When that process began, ns UTC.
    seq : int
        Number of the frame.
    """

    life: Life = Life.NONE
    age_s: float | None = None
    pid: int = 0
    payload: bytes = b""
    started_ns: int = 0
    seq: int = 0


class TraderSight:
    """Looks at one state directory; only reads.

    Parameters
    ----------
    state_dir : Path
        Need not exist.
    """

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._path = state_dir / frame_memory.NAME
        self._reader: FrameReader | None = None
        self._inode = 0
        self._newest = (0, 0)
        self._newest_at = time.monotonic()

    def look(self) -> Sight:
        """Return what is to be seen now; never raises."""
        try:
            reader = self._current_reader()
            if reader is None:
                return Sight(self._life_without_beat() if self._has_trader() else Life.NONE)
            found = reader.read()
        except (DataError, OSError):
            # A frame that is half written stays so if its writer died.
            return Sight(self._life_without_beat())
        if not found.payload and not self._has_trader():
            return Sight()
        age = max(found.age_s, self._standing(found))
        life = Life.RUNNING if age <= SILENT_AFTER_S else self._life_without_beat()
        return Sight(life, age, found.pid, found.payload, found.started_ns, found.seq)

    def close(self) -> None:
        """Let go of the memory."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _current_reader(self) -> FrameReader | None:
        try:
            inode = self._path.stat().st_ino
        except OSError:
            self.close()
            return None
        if self._reader is None or inode != self._inode:
            self.close()
            self._reader, self._inode = FrameReader(self._path), inode
        return self._reader

    def _standing(self, found: Snapshot) -> float:
        """Return how much longer than usual the same frame has been shown, in seconds."""
        newest, now = (found.started_ns, found.seq), time.monotonic()
        if newest != self._newest or not found.payload:
            self._newest, self._newest_at = newest, now
        return max(0.0, now - self._newest_at - _USUAL_S)

    def _has_trader(self) -> bool:
        return is_held(self._state_dir / state_files.LOCK)

    def _life_without_beat(self) -> Life:
        if self._has_trader():
            return Life.SILENT
        return Life.DIED if (self._state_dir / state_files.RUN).exists() else Life.ENDED

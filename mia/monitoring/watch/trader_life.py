"""Whether the trader of a state directory lives, hangs or is dead, and what it held.

The lock tells whether the process lives, the heartbeat in its frame whether its loop turns, and
the note of the run whether it ended in order. Standard library only.
"""

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from mia.core import frame_memory
from mia.core.frame_memory import FrameReader, Snapshot
from mia.data import state_files
from mia.data.process_lock import holder, is_held
from mia.errors import DataError

_LONGEST_STEP_S = 0.5
"""Of silence between two looks no more is counted: the one who looks may have slept as well."""


class Life(StrEnum):
    """How a trader is."""

    ABSENT = "ABSENT"
    """None runs, and the last one ended in order."""
    STARTING = "STARTING"
    """A process holds the directory and has not shown a frame."""
    RUNNING = "RUNNING"
    HUNG = "HUNG"
    """The process lives, its heartbeat does not."""
    DIED = "DIED"
    """It is gone and left the note of its run behind."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of a trader.

    Attributes
    ----------
    pid : int
        0 if unknown.
    silent_s : float
        Seconds without a heartbeat that were watched.
    age_s : float
        Seconds since the newest heartbeat, 0 without a frame.
    frame : dict
        The newest frame, empty without a readable one.
    """

    life: Life
    pid: int
    silent_s: float
    age_s: float
    frame: dict[str, Any]

    @property
    def exposure(self) -> str:
        """Say what is at risk: a position, an entry that works, or nobody knows; empty if flat."""
        if not self.frame:
            return "nobody knows whether it held a position"
        held = self.frame.get("held")
        if not held:
            return ""
        if held.get("quantity"):
            guard = "its stop rests at the broker" if held.get("protected") else "WITHOUT A STOP"
            return f"it holds {held['quantity']:+d} {held.get('symbol', '')}, {guard}"
        return f"an entry of {held.get('wanted', '?')} {held.get('symbol', '')} works"


class TraderLife:
    """Watches one trader; `look` a few times a second.

    Parameters
    ----------
    state_dir : Path
        Need not exist.
    hang_s : float
        So long without a heartbeat, a trader hangs.
    """

    def __init__(self, state_dir: Path, hang_s: float) -> None:
        self._path = state_dir
        self._hang_s = hang_s
        self._reader: FrameReader | None = None
        self._inode = 0
        self._beat = (0, 0)
        self._silent = 0.0
        self._looked = 0.0
        self._frame: dict[str, Any] = {}
        self._number = (0, 0, -1)

    def look(self, now: float) -> Sight:
        """Return how the trader is.

        Parameters
        ----------
        now : float
            Seconds of the monotonic clock.
        """
        step = min(max(now - self._looked, 0.0), _LONGEST_STEP_S) if self._looked else 0.0
        self._looked = now
        self._open()
        pid, age = 0, 0.0
        if self._reader is not None:
            beat = self._reader.heartbeat()
            self._silent = self._silent + step if beat == self._beat else 0.0
            self._beat = beat
            pid = beat[0]
            age = max((time.monotonic_ns() - beat[1]) / 1e9, 0.0)
            self._read(self._reader)
        owner = self._owner()
        if owner is None:
            died = state_files.read_run(self._path / state_files.RUN)
            life = Life.ABSENT if died is None else Life.DIED
            if died is not None and died.pid != pid:
                # It died before it showed anything: the frame is that of an earlier one.
                return Sight(life, died.pid, self._silent, age, {})
            return Sight(life, pid, self._silent, age, self._frame)
        if owner != pid:
            return Sight(Life.STARTING, owner, 0.0, 0.0, {})
        hung = min(self._silent, age) >= self._hang_s
        return Sight(Life.HUNG if hung else Life.RUNNING, pid, self._silent, age, self._frame)

    def close(self) -> None:
        """Let go of the frames."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _owner(self) -> int | None:
        """Return the process that holds the directory, 0 if it has no name, None if nobody does."""
        lock = self._path / state_files.LOCK
        try:
            if not is_held(lock):
                return None
        except OSError:
            # Nobody can tell: the heartbeat decides.
            return self._beat[0]
        return holder(lock) or 0

    def _open(self) -> None:
        path = self._path / frame_memory.NAME
        try:
            inode = path.stat().st_ino
        except OSError:
            self.close()
            self._inode, self._frame = 0, {}
            return
        if inode == self._inode and self._reader is not None:
            return
        self.close()
        with suppress(DataError):
            self._reader = FrameReader(path)
            self._inode, self._number = inode, (0, 0, -1)
            self._frame, self._silent = {}, 0.0

    def _read(self, reader: FrameReader) -> None:
        try:
            shown: Snapshot = reader.read()
        except DataError:
            # It died in the middle of a write: what it held is then not known.
            self._frame = {}
            return
        # Two runs number their frames alike.
        number = (shown.pid, shown.started_ns, shown.seq)
        if number == self._number and self._frame:
            return
        self._number = number
        try:
            frame = json.loads(shown.payload) if shown.payload else {}
        except ValueError:
            frame = {}
        self._frame = frame if isinstance(frame, dict) else {}


def watch_once(state_dir: Path, hang_s: float) -> Sight:
    """Return how the trader of a directory is at this moment, by the age of its heartbeat alone."""
    life = TraderLife(state_dir, hang_s)
    try:
        seen = life.look(time.monotonic())
    finally:
        life.close()
    if seen.life is Life.RUNNING and seen.age_s >= hang_s:
        return Sight(Life.HUNG, seen.pid, seen.age_s, seen.age_s, seen.frame)
    return seen

"""The watchdog's own sign of life: a small file that it touches. Standard library only."""

import os
import time
from contextlib import suppress
from pathlib import Path

from mia.data.process_lock import is_held

LOCK = "watch.lock"
"""Held by the watchdog of a state directory."""

_BEAT = "watch.beat"


class WatchBeat:
    """The watchdog's end.

    Parameters
    ----------
    state_dir : Path
    """

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / _BEAT

    def beat(self) -> None:
        """Say that it lives; a disk that refuses is no reason to end."""
        with suppress(OSError):
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.write(handle, f"{time.monotonic_ns():020d}\n".encode())
            finally:
                os.close(handle)


def watch_beat(state_dir: Path) -> int | None:
    """Return when a watchdog last looked, ns of the monotonic clock; None if none runs."""
    try:
        if not is_held(state_dir / LOCK):
            return None
        return int((state_dir / _BEAT).read_text(encoding="ascii"))
    except (OSError, ValueError):
        # It holds the lock and has not looked yet, or cannot write.
        return None


def beat_age(beat: int) -> float:
    """Return the seconds since a sign of life."""
    return max((time.monotonic_ns() - beat) / 1e9, 0.0)


def watch_age(state_dir: Path) -> float | None:
    """Return the seconds since a watchdog last looked; None if none runs."""
    beat = watch_beat(state_dir)
    return None if beat is None else beat_age(beat)

"""A lock that the operating system drops when its holder ends, however that happens.

Standard library only: the kill command reads it too.
"""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from mia.errors import AlreadyRunning

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


_ATTEMPTS = 4
_PAUSE = 0.02


class ProcessLock:
    """An exclusive lock on a file that names its holder.

    On Windows the lock covers a byte far behind the text, since locked bytes cannot be read
    there.

    Parameters
    ----------
    path : Path
        Made with mode 0600 if it is absent; never removed, or two processes could each hold a
        file of that name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def acquire(self, what: str) -> None:
        """Take the lock.

        Parameters
        ----------
        what : str
            What is locked, for the message.

        Raises
        ------
        AlreadyRunning
            If another process has it, naming that process.
        """
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        if not _lock_soon(handle):
            os.close(handle)
            raise AlreadyRunning(
                f"{what} is held by process {holder(self.path) or 'unknown'}: "
                "stop it first; never delete its lock"
            )
        self._handle = handle
        with suppress(OSError):
            # The name of the holder is a courtesy: a full disk must not keep anybody out.
            os.ftruncate(handle, 0)
            os.write(handle, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Give the lock back; without one, do nothing."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def holder(path: Path) -> int | None:
    """Return the process id that a lock file names, alive or not; None if it names none."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdecimal() else None


def is_held(path: Path) -> bool:
    """Tell whether some process holds the lock now."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _lock(handle)
    finally:
        os.close(handle)


def _lock_soon(handle: int) -> bool:
    # Somebody who only asks whether it is held has it for a moment, too.
    for _ in range(_ATTEMPTS):
        if _lock(handle):
            return True
        time.sleep(_PAUSE)
    return False


def _lock(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            os.lseek(handle, 1 << 30, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            os.lseek(handle, 0, os.SEEK_SET)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

"""Wait until files of a folder change: by inotify on Linux, else by looking again and again.

Systems other than Linux are polled, and so are folders that the kernel cannot watch. Network
shares tell of no change made elsewhere, so a wait always ends after its time limit and the
caller looks for itself.
"""

import asyncio
import contextlib
import ctypes
import os
import select
import sys
import time
from pathlib import Path

IN_MODIFY, IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x2, 0x80, 0x100, 0x200
EVENTS = IN_MODIFY | IN_MOVED_TO | IN_CREATE | IN_DELETE
READ_BYTES = 1 << 16


class FileWatch:
    """Watches the files of a folder.

    Parameters
    ----------
    folder : Path
        Must exist.
    poll_s : float
        How long a wait lasts where the system tells of no changes.
    inotify : bool
        False polls even where the system could tell.
    """

    def __init__(self, folder: Path, *, poll_s: float = 0.02, inotify: bool = True) -> None:
        self._poll_s = poll_s
        self._fd = _watch(folder) if inotify else None
        self._changed: asyncio.Event | None = None
        self._closed = False

    @property
    def polls(self) -> bool:
        """Whether changes are found by looking rather than told by the system."""
        return self._fd is None

    def wait(self, timeout_s: float) -> None:
        """Block until something changed, at most for a time."""
        if self._fd is None:
            time.sleep(min(timeout_s, self._poll_s))
            return
        if select.select([self._fd], [], [], timeout_s)[0]:
            self._drain(self._fd)

    async def wait_async(self, timeout_s: float) -> None:
        """Wait until something changed, at most for a time."""
        if self._closed:
            return
        if self._fd is None:
            await asyncio.sleep(min(timeout_s, self._poll_s))
            return
        loop = asyncio.get_running_loop()
        self._changed = changed = asyncio.Event()
        loop.add_reader(self._fd, changed.set)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await changed.wait()
        finally:
            loop.remove_reader(self._fd)
            self._changed = None
            self._drain(self._fd)
            if self._closed:
                self.close()

    def close(self) -> None:
        """Stop watching; a wait of the same event loop ends at once."""
        self._closed = True
        if self._changed is not None:
            # Whoever waits closes what he waits for.
            self._changed.set()
        elif self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _drain(self, fd: int) -> None:
        # What happened is found in the files; the events only wake.
        with contextlib.suppress(BlockingIOError):
            while len(os.read(fd, READ_BYTES)) == READ_BYTES:
                pass


def _watch(folder: Path) -> int | None:
    """Return a descriptor that becomes readable on changes, None if there is none to be had."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        init, add = libc.inotify_init1, libc.inotify_add_watch
    except (OSError, AttributeError):
        return None
    fd = int(init(os.O_NONBLOCK | os.O_CLOEXEC))
    if fd < 0:
        return None
    if add(fd, os.fsencode(folder), ctypes.c_uint32(EVENTS)) < 0:
        os.close(fd)
        return None
    return fd

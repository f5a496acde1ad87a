"""What the journal asks of the disk: to sync, what that costs, and a reserve for a full one."""

import contextlib
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

if sys.platform == "darwin":
    import fcntl

_BINARY = getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class SyncCost:
    """Time to make one event durable, ns."""

    median_ns: int
    worst_ns: int

    def __str__(self) -> str:
        """Say what the strict journal would add to every order here."""
        return (
            f"a sync of the journal takes {self.median_ns / 1e6:.2f} ms here "
            f"(worst {self.worst_ns / 1e6:.2f} ms)"
        )


def sync_handle(handle: int) -> None:
    """Wait until the content of an open file is on the medium.

    Raises
    ------
    OSError
        If the disk fails. What was written since the last success is then in doubt for ever:
        Linux drops the failed pages and reports success to whoever asks again.
    """
    if sys.platform == "darwin":
        # Elsewhere on the platform a sync stops at the cache of the drive.
        fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
    else:
        getattr(os, "fdatasync", os.fsync)(handle)


def write_at_start(handle: int, data: bytes) -> None:
    """Replace the first bytes of an open file in one write."""
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, data)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable; Windows does so by itself."""
    if sys.platform == "win32":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def measure_sync(path: Path, samples: int = 21) -> SyncCost:
    """Measure on the disk of `path` what `sync="strict"` adds to every order.

    Parameters
    ----------
    path : Path
        A directory; a small file is written there and removed.
    """
    probe = path / f".sync-{os.getpid()}"
    handle = os.open(probe, os.O_WRONLY | os.O_CREAT | _BINARY, 0o600)
    try:
        times = []
        for _ in range(samples):
            os.write(handle, bytes(1048))
            start = time.perf_counter_ns()
            sync_handle(handle)
            times.append(time.perf_counter_ns() - start)
    finally:
        os.close(handle)
        probe.unlink()
    times.sort()
    return SyncCost(times[samples // 2], times[-1])


class Reserve:
    """A file that is given up when the disk is full, so that the last events find room.

    Parameters
    ----------
    path : Path
    size : int
        Bytes.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    def fill(self) -> bool:
        """Take the room; tell whether it could be had."""
        try:
            if self._path.exists() and self._path.stat().st_size >= self._size:
                return True
            with open(self._path, "wb", opener=_private) as file:
                for _ in range(0, self._size, 1 << 16):
                    # Real bytes: a hole in a file reserves nothing.
                    file.write(b"\1" * (1 << 16))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            self.free()
            return False
        return True

    def free(self) -> bool:
        """Give the room up; tell whether there was any."""
        with contextlib.suppress(OSError):
            self._path.unlink()
            return True
        return False


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)

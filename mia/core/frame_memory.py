"""The newest frame, handed over through a file that both sides map into memory.

A write is a copy: no lock, no system call, and a reader that hangs or dies is never noticed.
The file outlives the trader, so its last frame and the age of its heartbeat can still be read.

Layout, little-endian: 8 bytes of magic, then ``<IIqqQII``: version, process id, heartbeat on
the system-wide monotonic clock (ns), wall time of the start (ns), a sequence number that is odd
while a write is under way, the length of the payload and its CRC-32; the payload begins at
byte 64.
"""

import mmap
import os
import struct
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from mia.errors import DataError

NAME = "frame.bin"
"""Of the file, in the state directory."""

CAPACITY = 1 << 18
"""Bytes of payload that fit."""

_MAGIC = b"MIAFRAME"
_VERSION = 1
_HEAD = struct.Struct("<8sIIqq")
_BODY = struct.Struct("<II")
_BODY_AT, _PAYLOAD_AT = 40, 64
_VERSION_HALF, _PID_HALF = 2, 3
"""Places in the head as halves of words, four bytes each."""
_BEAT, _START, _SEQ = 2, 3, 4
"""Places in the head as words of eight bytes. One is written and read whole, which `struct` does
not promise: it clears what it packs into first, and who looks then sees a zero."""
_TRIES = 50


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a reader found.

    Attributes
    ----------
    payload : bytes
        Empty if no frame was written yet.
    pid : int
        Of the process that writes.
    age_s : float
        Seconds since its last heartbeat.
    started_ns : int
        Wall time at which it began, ns UTC.
    seq : int
        Number of the frame.
    """

    payload: bytes
    pid: int
    age_s: float
    started_ns: int
    seq: int


class FrameWriter:
    """The trader's side; one for a file.

    Parameters
    ----------
    path : Path
        Made if absent; what an earlier run left is overwritten.

    Raises
    ------
    OSError
        If it cannot be made, or the disk has no room for it.
    """

    def __init__(self, path: Path) -> None:
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            _reserve(file.fileno(), _PAYLOAD_AT + CAPACITY)
            self._memory = mmap.mmap(file.fileno(), _PAYLOAD_AT + CAPACITY)
        self._words = memoryview(self._memory)[:_PAYLOAD_AT].cast("q")
        self._seq = 0
        self._head: bytes | None = None
        self._head_crc = 0
        words = self._words
        words[_SEQ] = 1
        self._memory[:8] = _MAGIC
        with memoryview(self._memory)[:_PAYLOAD_AT].cast("I") as halves:
            halves[_VERSION_HALF], halves[_PID_HALF] = _VERSION, os.getpid()
        words[_BEAT], words[_START] = time.monotonic_ns(), time.time_ns()
        _BODY.pack_into(self._memory, _BODY_AT, 0, 0)
        words[_SEQ] = 0

    def beat(self) -> None:
        """Say that the process lives and its loop turns."""
        self._words[_BEAT] = time.monotonic_ns()

    def write(self, payload: bytes) -> bool:
        """Replace the frame; return False, and leave it, if the payload does not fit."""
        return self.write_joined(payload, b"")

    def write_joined(self, head: bytes, tail: bytes) -> bool:
        """Replace the frame by head and tail, one after the other.

        A head that is the very object of the write before is neither copied nor summed again.
        """
        begin, length = _PAYLOAD_AT + len(head), len(head) + len(tail)
        if length > CAPACITY:
            return False
        memory, words, seq = self._memory, self._words, self._seq + 2
        words[_SEQ] = seq - 1
        if head is not self._head:
            memory[_PAYLOAD_AT:begin] = head
            self._head, self._head_crc = head, zlib.crc32(head)
        memory[begin : begin + len(tail)] = tail
        _BODY.pack_into(memory, _BODY_AT, length, zlib.crc32(tail, self._head_crc))
        words[_BEAT] = time.monotonic_ns()
        words[_SEQ] = seq
        self._seq = seq
        return True

    def close(self) -> None:
        """Let go of the memory; the last frame stays in the file."""
        self._words.release()
        self._memory.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


def _reserve(file: int, size: int) -> None:
    """Have room for all of it: a page of memory that no disk can hold ends the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
        return
    missing = size - os.fstat(file).st_size
    if missing > 0:
        os.lseek(file, 0, os.SEEK_END)
        os.write(file, bytes(missing))


class FrameReader:
    """The side of everybody else; never writes.

    Parameters
    ----------
    path : Path

    Raises
    ------
    DataError
        If the file is absent, not a frame file, or of another version.
    """

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self._memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: no trader has shown anything here ({error})") from None
        if len(self._memory) < _PAYLOAD_AT + CAPACITY or self._memory[:8] != _MAGIC:
            self._memory.close()
            raise DataError(f"{path} holds no frames: remove it and start the trader again")
        version = _HEAD.unpack_from(self._memory)[1]
        if version != _VERSION:
            self._memory.close()
            raise DataError(
                f"{path} is of frame version {version}, this program reads {_VERSION}: "
                "run trader and screens from one installation"
            )
        self._words = memoryview(self._memory)[:_PAYLOAD_AT].cast("q")

    def read(self) -> Snapshot:
        """Return the newest whole frame.

        Raises
        ------
        DataError
            If none can be had: its writer died in the middle of a write.
        """
        memory, words = self._memory, self._words
        for _ in range(_TRIES):
            seq = words[_SEQ]
            if seq % 2 == 0:
                length, crc = _BODY.unpack_from(memory, _BODY_AT)
                payload = memory[_PAYLOAD_AT : _PAYLOAD_AT + min(length, CAPACITY)]
                pid, beat, started = _HEAD.unpack_from(memory)[2], words[_BEAT], words[_START]
                same = words[_SEQ] == seq
                if same and zlib.crc32(payload) == crc:
                    age = (time.monotonic_ns() - beat) / 1e9
                    # A beat in the future is one from before the machine was started again.
                    return Snapshot(payload, pid, age if age >= 0 else 1e9, started, seq // 2)
            time.sleep(0.0002)
        raise DataError("the trader died while it wrote its last frame: nothing to show")

    def heartbeat(self) -> tuple[int, int]:
        """Return the process id of the writer, and its newest beat on the monotonic clock, ns."""
        return _HEAD.unpack_from(self._memory)[2], self._words[_BEAT]

    def close(self) -> None:
        """Let go of the memory."""
        self._words.release()
        self._memory.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

"""Alerts on disk: the file that the trader appends to, and that everybody else follows.

One JSON object a line: ``ts`` (ns UTC, as the trader's clock has it), ``wall`` (ns UTC, as the
machine has it), ``level``, ``key``, ``text``, ``source``. An alert is one write of the operating
system, so lines of several processes do not mix, and no network and no other process can keep
the one that writes. Standard library only.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

NAME = "alerts.ndjson"
"""Of the file, in the state directory."""

OLD_NAME = "alerts.old.ndjson"
"""Of the file before it, put aside when a trader starts and the file has grown large."""

_LARGE = 8 << 20
_LONGEST = 2000
_CHUNK = 1 << 20
_encode = json.JSONEncoder(ensure_ascii=False).encode


class AlertLevel(IntEnum):
    """How much an alert matters."""

    INFO = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that a person should know.

    Attributes
    ----------
    ts : int
        When, ns UTC, by the clock of the market that is traded.
    key : str
        The same for what repeats itself: alerts of one key are counted rather than all told.
    source : str
        Which program says so.
    wall : int
        When by the machine's clock, ns UTC; 0 if unknown.
    """

    ts: int
    level: AlertLevel
    key: str
    text: str
    source: str
    wall: int = 0

    def line(self) -> bytes:
        """Return its line in the file."""
        values = {
            "ts": self.ts,
            "level": self.level.name,
            "key": self.key,
            "text": self.text[:_LONGEST],
            "source": self.source,
            "wall": self.wall,
        }
        return _encode(values).encode("utf-8", "replace") + b"\n"


def read_line(line: bytes) -> Alert | None:
    """Return the alert of a line, None if it is damaged."""
    try:
        values: dict[str, Any] = json.loads(line)
        return Alert(
            int(values["ts"]),
            AlertLevel[values["level"]],
            str(values["key"]),
            str(values["text"]),
            str(values["source"]),
            int(values.get("wall", 0)),
        )
    except (ValueError, KeyError, TypeError):
        return None


class AlertFile:
    """The end that writes; keeps the file open.

    Parameters
    ----------
    path : Path
        Made with mode 0600 if it is absent.
    redact : callable
        Takes secrets out of a text.
    source : str
        Who writes.
    rotate : bool
        Put the file aside first if it has grown large; for the trader alone, at its start.

    Attributes
    ----------
    written, lost : int
        Alerts that reached the file, and that the disk refused.
    """

    def __init__(
        self, path: Path, redact: Callable[[str], str], source: str, *, rotate: bool = False
    ) -> None:
        self.written = self.lost = 0
        self._redact = redact
        self._source = source
        self._torn = False
        if rotate and path.exists() and path.stat().st_size > _LARGE:
            path.replace(path.with_name(OLD_NAME))
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        self._handle = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o600)
        size = os.fstat(self._handle).st_size
        if size and hasattr(os, "pread"):
            # A process that died, or a full disk, may have left half a line.
            self._torn = os.pread(self._handle, 1, size - 1) != b"\n"

    def write(self, level: AlertLevel, key: str, text: str, ts: int, wall: int) -> bool:
        """Append an alert; return False, and count it, if the disk refuses. Never raises."""
        alert = Alert(ts, level, key, self._redact(text), self._source, wall)
        line = alert.line()
        if self._torn:
            line = b"\n" + line
        try:
            done = os.write(self._handle, line)
        except OSError:
            done = 0
        if done == len(line):
            self.written += 1
            self._torn = False
            return True
        self._torn = self._torn or done > 0
        self.lost += 1
        return False

    def close(self) -> None:
        """Let go of the file; what comes later is counted as lost."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


class Place(NamedTuple):
    """Where a reader of the file stands.

    Positions count every byte that was ever written, over files that were put aside.

    Attributes
    ----------
    inode : int
        Of the file that holds `position`.
    base : int
        Position of its first byte.
    position : int
        First byte that was not read.
    """

    inode: int = 0
    base: int = 0
    position: int = 0


class AlertTail:
    """The end that reads, as lines are added; survives that the file is put aside.

    Parameters
    ----------
    path : Path
        Need not exist yet.
    place : Place, optional
        Where an earlier reader stood; the beginning of the file by default.

    Attributes
    ----------
    damaged : int
        Lines that could not be read.
    """

    def __init__(self, path: Path, place: Place | None = None) -> None:
        self.damaged = 0
        self._path = path
        self._file: BinaryIO | None = None
        self._start = place
        self._files: list[Place] = []
        self._position = 0
        self._rest = b""

    @property
    def position(self) -> int:
        """First byte of the first line that was not handed out."""
        return self._position

    def place(self, position: int) -> Place:
        """Return a place from which a reader would find the line at a position."""
        for file in reversed(self._files):
            if position >= file.base:
                return Place(file.inode, file.base, position)
        return Place(0, position, position)

    def read(self) -> list[tuple[int, Alert]]:
        """Return the alerts that were added, each with the position of its line."""
        found: list[tuple[int, Alert]] = []
        while True:
            if self._file is None and not self._open():
                return found
            self._read_on(found)
            if not self._is_replaced():
                return found
            self._read_on(found)
            self._leave()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> bool:
        place, old = self._start, self._path.with_name(OLD_NAME)
        try:
            file = self._path.open("rb")
        except OSError:
            return False
        self._start = None
        inode, base, skip = os.fstat(file.fileno()).st_ino, self._position, 0
        if place is not None:
            base = place.position
            if place.inode == inode:
                base, skip = place.base, place.position - place.base
            elif place.inode and _inode(old) == place.inode:
                file.close()
                file = old.open("rb")
                inode, base, skip = place.inode, place.base, place.position - place.base
        if skip > os.fstat(file.fileno()).st_size:
            # It was cut: everything in it is new.
            base, skip = base + skip, 0
        file.seek(skip)
        self._file, self._position, self._rest = file, base + skip, b""
        self._files = [*self._files[-1:], Place(inode, base, base)]
        return True

    def _read_on(self, found: list[tuple[int, Alert]]) -> None:
        assert self._file is not None
        while data := self._file.read(_CHUNK):
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                alert = read_line(line)
                if alert is not None:
                    found.append((self._position, alert))
                elif line.strip():
                    self.damaged += 1
                self._position += len(line) + 1

    def _is_replaced(self) -> bool:
        inode = _inode(self._path)
        return bool(inode) and inode != self._files[-1].inode

    def _leave(self) -> None:
        """Go on to the file that took the place of this one."""
        assert self._file is not None
        self._position += len(self._rest)
        self.damaged += bool(self._rest.strip())
        self.close()


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0

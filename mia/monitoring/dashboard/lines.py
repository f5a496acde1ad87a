"""Files of one JSON object a line that others append to, read from where a reader left off."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

SCREEN = "screen"
ALERTS = "alerts.ndjson"
AT_ONCE = 4 << 20
"""Bytes that one read returns at most, but for a longer line."""

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines of a file.

    Attributes
    ----------
    start, end : int
        Bytes of the file that they cover; the next read goes on at `end`.
    size : int
        Bytes that the file has now.
    rows : sequence of dict
        Lines that are no object are left out.
    """

    start: int
    end: int
    size: int
    rows: Sequence[dict[str, Any]]


def read_lines(path: Path, start: int = 0, at_once: int = AT_ONCE) -> Lines:
    """Read whole lines from byte `start` on.

    A file that became shorter was begun anew and is read from its start. A last line without
    its end is left for the next time.

    Parameters
    ----------
    path : Path
        Need not exist.
    start : int
        Negative counts from the end; a line that is cut is left out.
    at_once : int
        Bytes.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            begin = max(0, size + start) if start < 0 else start
            if begin > size:
                begin = 0
            if start < 0 and begin:
                file.seek(begin - 1)
                begin += len(file.readline()) - 1
            file.seek(begin)
            data = file.read(at_once)
            if data and b"\n" not in data:
                data += file.readline()
    except FileNotFoundError:
        return Lines(0, 0, 0, ())
    whole = data[: data.rfind(b"\n") + 1]
    rows = [row for line in whole.splitlines() if (row := _row(line)) is not None]
    return Lines(begin, begin + len(whole), size, rows)


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return row if isinstance(row, dict) else None


def sessions_on_screen(state_dir: Path) -> list[int]:
    """Return the sessions of which there are bars, oldest first."""
    try:
        names = [path.stem for path in (state_dir / SCREEN).glob("*.ndjson")]
    except OSError:
        return []
    return sorted(int(name) for name in names if name.isascii() and name.isdecimal())


def screen_path(state_dir: Path, session_id: int) -> Path:
    """Return the file of a session's bars, fills and marks."""
    return state_dir / SCREEN / f"{session_id}.ndjson"


def size_of(path: Path) -> int:
    """Return the bytes of a file, 0 without one."""
    try:
        return path.stat().st_size
    except OSError:
        return 0

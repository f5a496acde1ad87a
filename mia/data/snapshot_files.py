"""Snapshots on disk: JSON lines, append only, one file per UTC day and type.

Whoever writes hands over a record and goes on; a thread turns it into a line. A queue that is full
drops the record and counts it, because a snapshot is for people who look back: what money depends
on is in the journal. A line that a crash tore is passed over by the reader.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from math import isfinite
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any

import numpy as np

SCHEMA_VERSION = 1
SUFFIX = ".jsonl"

Build = Callable[[], Mapping[str, Any]]
"""Makes a record from what does not change any more."""

_STOP = object()
_FLUSH_S = 0.5


class SnapshotType(StrEnum):
    """What a snapshot records, in the order of a trade's life."""

    PRE_ANALYSIS = "PRE_ANALYSIS"
    DECISION = "DECISION"
    EXECUTION = "EXECUTION"
    POSITION_UPDATE = "POSITION_UPDATE"
    FINAL_RESULT = "FINAL_RESULT"
    POST_TRADE = "POST_TRADE"
    REFUSED_RESULT = "REFUSED_RESULT"


class SnapshotWriter:
    """Writes records in a thread of its own.

    Parameters
    ----------
    folder : Path
        Made if it is absent.
    capacity : int
        Records that can wait.

    Attributes
    ----------
    written, dropped, failed : int
        Records on disk, refused by a full queue, and lost to an error of the disk.
    error : str
        The latest error of the disk, empty without one.
    """

    def __init__(self, folder: Path, capacity: int = 4096) -> None:
        self._folder = folder
        self._queue: Queue[Any] = Queue(capacity)
        self._files: dict[str, int] = {}
        self.written = self.dropped = self.failed = 0
        self.error = ""
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)
        self._thread.start()

    def put(self, record: Mapping[str, Any] | Build) -> bool:
        """Queue a record with ``type`` and ``ts``; False if there was no room.

        It is not to be changed any more. A callable is called by the thread and gives the record.
        """
        try:
            self._queue.put_nowait(record)
        except Full:
            self.dropped += 1
            return False
        return True

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Write what waits and close the files; False if that took too long."""
        try:
            self._queue.put(_STOP, timeout=timeout_s)
        except Full:
            return False
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            lines: dict[str, list[str]] = {}
            try:
                items = [self._queue.get(timeout=_FLUSH_S)]
            except Empty:
                continue
            while len(items) < 256:
                try:
                    items.append(self._queue.get_nowait())
                except Empty:
                    break
            for item in items:
                if item is _STOP:
                    stopping = True
                else:
                    self._add(item, lines)
            for name, texts in lines.items():
                self._append(name, texts)
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def _add(self, item: Mapping[str, Any] | Build, lines: dict[str, list[str]]) -> None:
        try:
            record = item() if callable(item) else item
            line = json.dumps(_plain(record), allow_nan=False, separators=(",", ":"))
            lines.setdefault(file_name(record["ts"], record["type"]), []).append(line + "\n")
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
            self.failed += 1
            self.error = repr(error)

    def _append(self, name: str, texts: list[str]) -> None:
        try:
            descriptor = self._open(name)
            data = "".join(texts).encode()
            done = os.write(descriptor, data)
            if done != len(data):
                raise OSError(f"wrote {done} of {len(data)} bytes of {name}")
            self.written += len(texts)
        except OSError as error:
            self.failed += len(texts)
            self.error = str(error)
            descriptor = self._files.pop(name, -1)
            if descriptor >= 0:
                os.close(descriptor)

    def _open(self, name: str) -> int:
        if name not in self._files:
            while len(self._files) >= 2 * len(SnapshotType):
                os.close(self._files.pop(next(iter(self._files))))
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._folder / name
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._files[name] = descriptor
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                # A crash tore the last line; what follows must not join it.
                os.write(descriptor, b"\n")
        return self._files[name]


def file_name(ts: int, kind: str) -> str:
    """Return the name of the file of a record: ``2026-02-09_decision.jsonl``."""
    day = datetime.fromtimestamp(ts // 1_000_000_000, UTC)
    return f"{day:%Y-%m-%d}_{kind.lower()}{SUFFIX}"


def _plain(value: Any) -> Any:
    """Return a value that JSON can say; what is no finite number is null."""
    if isinstance(value, float | np.floating):
        return float(value) if isfinite(value) else None
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise TypeError(f"a snapshot cannot hold {type(value).__name__}")


@dataclass(slots=True)
class SnapshotReader:
    """Reads snapshots in the order in which they were written, day by day.

    Attributes
    ----------
    torn : int
        Lines that were no whole record, so far.
    """

    folder: Path
    torn: int = 0

    def files(self, kinds: frozenset[str] = frozenset(), day: str = "") -> list[Path]:
        """List the files of some types, or all, of a day as ``2026-02-09``, or all."""
        names = sorted(self.folder.glob(f"*_*{SUFFIX}")) if self.folder.is_dir() else []
        wanted = {kind.lower() for kind in kinds}
        return [
            path
            for path in names
            if (not wanted or path.stem.partition("_")[2] in wanted)
            and (not day or path.stem.partition("_")[0] == day)
        ]

    def records(
        self, kinds: frozenset[str] = frozenset(), day: str = ""
    ) -> Iterator[dict[str, Any]]:
        """Yield records by day, within it by time."""
        by_day: dict[str, list[Path]] = {}
        for path in self.files(kinds, day):
            by_day.setdefault(path.stem.partition("_")[0], []).append(path)
        for _, paths in sorted(by_day.items()):
            held = [record for path in paths for record in self._read(path)]
            yield from sorted(held, key=lambda record: record["ts"])

    def _read(self, path: Path) -> Iterator[dict[str, Any]]:
        with path.open("rb") as stream:
            for line in stream:
                try:
                    record = json.loads(line)
                except ValueError:
                    record = None
                if isinstance(record, dict) and isinstance(record.get("ts"), int):
                    yield record
                elif line.strip():
                    self.torn += 1

"""Market data as files of plain columns, one per session, that all workers map into memory.

Pages of a mapped file are in memory once, however many processes of a machine read them::

    FOLDER/index.json
    FOLDER/20240102.columns

A file holds the columns one after the other, each from a multiple of 64 bytes on.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia._fast import bars as builders
from mia.core import sessions as calendar
from mia.core.base_types import BarBlock, Block, TradeBlock
from mia.data.digest import digest
from mia.data.files import reading, writing
from mia.data.process_lock import ProcessLock
from mia.data.tape import Tape
from mia.errors import AlreadyRunning, DataError

TRADES = {
    "ts_event": "<i8",
    "price": "<i4",
    "size": "<i4",
    "aggressor_side": "<i1",
    "bid_price": "<i4",
    "ask_price": "<i4",
}
BARS = {
    "t_open": "<i8",
    "open": "<i4",
    "high": "<i4",
    "low": "<i4",
    "close": "<i4",
    "volume": "<i8",
    "bid_volume": "<i8",
    "ask_volume": "<i8",
    "trades": "<i8",
}
ALIGNMENT = 64
VERSION = 1
INDEX = "index.json"
WARNING_SECONDS = 3600

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class SessionColumns:
    """One session in the folder.

    Attributes
    ----------
    session_id : int
    contract : str
    kind : str
        Of the trades, ``bars`` for bars.
    rows : int
    """

    session_id: int
    contract: str
    kind: str
    rows: int


class Columns:
    """A folder of columns, read only.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    DataError
        If it holds none, or a file is missing or of another size than the index says.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / INDEX
        with reading(path):
            text = path.read_text(encoding="utf-8")
        try:
            index = json.loads(text)
            if index["version"] != VERSION:
                raise DataError(f"{folder} is of another version: remove it, it is made again")
            self.sha256 = str(index["sha256"])
            self.name = str(index["name"])
            self.kind = str(index["kind"])
            self.width_s = int(index["width_s"])
            self.sessions = [SessionColumns(*row) for row in index["sessions"]]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} cannot be read ({error}): remove {folder}") from error
        self.ids = [session.session_id for session in self.sessions]

    @property
    def layout(self) -> dict[str, str]:
        """Type of each column."""
        return BARS if self.width_s else TRADES

    def spans(self) -> NDArray[np.int64]:
        """Return when each session opens and ends, ns UTC, shape (n, 2)."""
        table = calendar.session_table(self.ids[0], self.ids[-1])
        rows = table[np.isin(table["session_id"], self.ids)]
        return np.column_stack([rows["t_open"], rows["t_end"]]).astype(np.int64)

    def blocks(self, first: int, stop: int) -> Iterator[Block]:
        """Yield the sessions at places from `first` to before `stop`, one block each.

        The arrays are views of the mapped files.

        Raises
        ------
        DataError
            If a file is missing or of another size than the index says.
        """
        for session in self.sessions[first:stop]:
            yield self._block(session)

    def _block(self, session: SessionColumns) -> Block:
        path = _path(self.folder, session.session_id)
        offsets, size = _places(self.layout, session.rows)
        with reading(path):
            found = path.stat().st_size
        if found != size:
            raise DataError(f"{path} has {found:,} bytes, not {size:,}: remove {self.folder}")
        with reading(path):
            mapped = np.memmap(path, dtype=np.uint8, mode="r")
        plain = mapped.view(np.ndarray)
        views = {}
        for name, kind in self.layout.items():
            end = offsets[name] + session.rows * np.dtype(kind).itemsize
            views[name] = plain[offsets[name] : end].view(kind)
        if self.width_s:
            return BarBlock(session.contract, self.width_s, **views)
        return TradeBlock(session.contract, **views, kind=session.kind)


def _path(folder: Path, session_id: int) -> Path:
    return folder / f"{session_id}.columns"


def _places(layout: dict[str, str], rows: int) -> tuple[dict[str, int], int]:
    offsets, end = {}, 0
    for name, kind in layout.items():
        offsets[name] = end
        size = rows * np.dtype(kind).itemsize
        end += -(-size // ALIGNMENT) * ALIGNMENT
    return offsets, end


def columns_of(
    tape: Tape, root: Path, bar_seconds: int | None = None, progress: Progress | None = None
) -> Columns:
    """Return the columns of a tape, made below `root` unless they are there.

    Parameters
    ----------
    tape : Tape
    root : Path
        Folder of all columns; on a cluster one that every machine sees under this name.
    bar_seconds : int, optional
        Make bars of this width of the trades: a coarser market that costs a hundredth.
    progress : callable, optional
        Called with sessions done and sessions in all.

    Raises
    ------
    DataError
        If bars are to be made of bars, a block spans sessions, or nothing can be written.
    """
    if bar_seconds is not None and tape.ready_made:
        raise DataError(f"{tape.name} has bars already: leave out --bars")
    sha256 = tape.sha256 if bar_seconds is None else digest(tape.sha256, "bars", bar_seconds)
    folder = root / sha256[:24]
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
    lock = ProcessLock(root / f"{sha256[:24]}.lock")
    _wait(lock, folder)
    try:
        if not (folder / INDEX).is_file():
            _make(tape, folder, sha256, bar_seconds, progress)
    finally:
        lock.release()
    return Columns(folder)


def _wait(lock: ProcessLock, folder: Path) -> None:
    import time

    until = time.monotonic() + WARNING_SECONDS
    while True:
        try:
            lock.acquire(str(folder))
        except AlreadyRunning:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            return


def _make(
    tape: Tape, folder: Path, sha256: str, bar_seconds: int | None, progress: Progress | None
) -> None:
    width = tape.width_s if bar_seconds is None else bar_seconds
    layout = BARS if width else TRADES
    held: list[tuple[int, str, str, int]] = []
    with writing(folder):
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        staging.chmod(0o755)
        try:
            for session_id, parts in _by_session(tape):
                rows = parts if bar_seconds is None else [_bars(tape, parts, bar_seconds)]
                _write(_path(staging, session_id), layout, rows)
                kind = getattr(rows[0], "kind", "bars")
                held.append((session_id, rows[0].contract, kind, sum(map(len, rows))))
                if progress is not None:
                    progress(len(held), tape.sessions)
            index = {
                "version": VERSION,
                "name": tape.name,
                "kind": tape.kind,
                "sha256": sha256,
                "width_s": width,
                "sessions": held,
            }
            (staging / INDEX).write_text(json.dumps(index) + "\n", encoding="utf-8")
            if folder.exists():
                shutil.rmtree(folder)
            staging.rename(folder)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise


def _by_session(tape: Tape) -> Iterator[tuple[int, list[Block]]]:
    parts: list[Block] = []
    current = 0
    for block in tape.blocks():
        session_id = _session(block)
        if session_id != current and parts:
            yield current, parts
            parts = []
        if session_id < current:
            raise DataError(f"{tape.name} is not in order of time at session {session_id}")
        current = session_id
        parts.append(block)
    if parts:
        yield current, parts


def _session(block: Block) -> int:
    times = block.t_open if isinstance(block, BarBlock) else block.ts_event
    first, last = (int(calendar.session_id(int(times[k]))) for k in (0, -1))
    if first != last:
        raise DataError(f"a block of {block.contract} spans the sessions {first} and {last}")
    return first


def _bars(tape: Tape, parts: list[Block], width: int) -> BarBlock:
    ts, price, size, side = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("ts_event", "price", "size", "aggressor_side")
    )
    after = calendar.next_trading_day(tape.last_session)
    table = calendar.session_table(tape.first_session, after)
    built, _ = builders.build(f"time:{width}", table, ts, price, size, side)
    return BarBlock(parts[0].contract, width, **{name: built[name] for name in BARS})


def _write(path: Path, layout: dict[str, str], parts: list[Any]) -> None:
    rows = sum(map(len, parts))
    offsets, size = _places(layout, rows)
    content = np.zeros(size, np.uint8)
    for name, kind in layout.items():
        column = np.concatenate([getattr(part, name) for part in parts]).astype(kind)
        start = offsets[name]
        content[start : start + column.nbytes] = column.view(np.uint8)
    content.tofile(path)

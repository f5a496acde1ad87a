"""One task: one parameter set over one block of sessions, with an account of its own."""

import hashlib
import json
import os
import socket
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from mia.backtest import Backtest, Inputs, known_inputs
from mia.data.digest import digest
from mia.data.files import reading
from mia.data.tape import Tape
from mia.errors import MiaError
from mia.optimize.columns import Columns
from mia.optimize.variant import source_hash, unpack
from mia.performance.recorder import RunRecord
from mia.performance.summary import session_pnl


class Trade(NamedTuple):
    """A closed trade as the ledger keeps it: USD, R net of costs, ticks."""

    session: int
    side: int
    net: float
    gross: float
    costs: float
    r: float
    slippage: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a task yields; the same inputs give the same bits.

    Attributes
    ----------
    net : tuple of float
        Net USD of each session of the block, flat ones included.
    trades : tuple of Trade
    bars : int
        Bars evaluated, those of the warm-up left out.
    halted : int
        Session in which the kill switch stopped the account for good, 0 if it did not.
    """

    net: tuple[float, ...]
    trades: tuple[Trade, ...]
    bars: int
    halted: int

    def text(self) -> str:
        """Return the outcome as JSON; numbers come back to the bit."""
        plain = [list(self.net), [list(trade) for trade in self.trades], self.bars, self.halted]
        return json.dumps(plain, separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> "Outcome":
        """Read what `text` wrote."""
        net, trades, bars, halted = json.loads(text)
        return cls(tuple(net), tuple(Trade(*trade) for trade in trades), bars, halted)


@dataclass(frozen=True, slots=True)
class Place:
    """Where workers find the data; names only, on a cluster the same for every machine.

    Attributes
    ----------
    columns : str
        Folder of `mia.optimize.columns.Columns`.
    data : str
        Hash that it must have.
    store : str, optional
        Store with VIX and economic calendar.
    vix : str, optional
        File of VIX levels.
    inputs : str
        Hash that these two must have, as of `inputs_hash`.
    """

    columns: str
    data: str
    store: str | None
    vix: str | None
    inputs: str

    @classmethod
    def of(cls, columns: Columns, store: Path | None = None, vix: Path | None = None) -> "Place":
        """Name the data of a study by their full paths.

        Raises
        ------
        DataError
            If VIX or calendar cannot be read.
        """
        at = None if store is None else str(store.resolve())
        levels = None if vix is None else str(vix.resolve())
        folder = str(columns.folder.resolve())
        return cls(folder, columns.sha256, at, levels, inputs_hash(at, levels))


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is sent.

    Attributes
    ----------
    key : str
        Of the result in the ledger.
    place : Place
    warm, first, stop : int
        Places of sessions, as of `mia.optimize.folds.Block`.
    settings : mapping
        As `mia.optimize.variant.pack` makes it.
    sources : str
        Hash of the code that the result belongs to.
    """

    key: str
    place: Place
    warm: int
    first: int
    stop: int
    settings: Mapping[str, Any]
    sources: str


@dataclass(frozen=True, slots=True)
class Done:
    """A finished task: its outcome as text, and what it took.

    Attributes
    ----------
    key, outcome : str
    seconds : float
        Processor time.
    worker : str
        Machine and process.
    """

    key: str
    outcome: str
    seconds: float
    worker: str


@cache
def _columns(folder: str) -> Columns:
    return Columns(Path(folder))


@cache
def _inputs(store: str | None, vix: str | None) -> Inputs:
    return known_inputs(None if store is None else Path(store), None if vix is None else Path(vix))


@cache
def inputs_hash(store: str | None, vix: str | None) -> str:
    """Hash what a run knows beside prices: VIX and economic calendar, where there are any."""
    levels = Path(vix) if vix is not None else Path(store or ".") / "vix.parquet"
    known = hashlib.sha256()
    if (vix is not None or store is not None) and levels.is_file():
        with reading(levels):
            known.update(levels.read_bytes())
    news = _inputs(store, vix).news
    events = [] if news is None else [repr(event) for event in news.events]
    return digest(known.hexdigest(), events, [] if news is None else list(news.spans))


@cache
def _sources() -> str:
    return source_hash()


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a worker gave up, as a value: not every backend hands an exception on.

    Attributes
    ----------
    error : MiaError, optional
        To be raised again, if it was one of ours.
    text : str
        Last line and place of any other.
    """

    error: MiaError | None
    text: str


def run_tasks(tasks: Sequence[Task]) -> list[Done] | Failure:
    """Run tasks one after the other; called in workers.

    Returns
    -------
    list of Done or Failure
        A failure if this machine has other code or data than the coordinator, or a task fails.
    """
    try:
        return [_run(task) for task in tasks]
    except MiaError as error:
        return Failure(error, str(error))
    except Exception as error:
        # The edge of a process: what went wrong here is raised where somebody reads it.
        return Failure(None, f"{_worker()}: {''.join(traceback.format_exception(error))}")


def _run(task: Task) -> Done:
    if _sources() != task.sources:
        raise MiaError(f"worker {_worker()} runs other code than the coordinator: update it")
    columns = _columns(task.place.columns)
    if columns.sha256 != task.place.data:
        raise MiaError(f"worker {_worker()} sees other data in {task.place.columns}")
    if inputs_hash(task.place.store, task.place.vix) != task.place.inputs:
        raise MiaError(f"worker {_worker()} sees another VIX or calendar than the coordinator")
    started = time.process_time()
    outcome = run_block(columns, task)
    return Done(task.key, outcome.text(), time.process_time() - started, _worker())


def run_block(columns: Columns, task: Task) -> Outcome:
    """Trade one block of sessions with a fresh account, after the market state has warmed up."""
    ids = columns.ids[task.warm : task.stop]
    tape = Tape(
        name=columns.name,
        sha256=columns.sha256,
        ready_made=columns.width_s > 0,
        width_s=columns.width_s,
        kind=columns.kind,
        first_session=ids[0],
        last_session=ids[-1],
        sessions=len(ids),
        blocks=lambda: columns.blocks(task.first, task.stop),
    )
    inputs = _inputs(task.place.store, task.place.vix)
    test = Backtest(unpack(task.settings), tape, inputs)
    record = RunRecord()
    trader = test.make_trader(record)
    for block in columns.blocks(task.warm, task.first):
        trader.observe(block)
    before = sum(trader.state.reasons)
    for block in tape.blocks():
        trader.run(block)
    by_session = session_pnl(record)
    traded = tuple(
        Trade(t.session_id, t.side, t.net_pnl, t.gross_pnl, t.costs, t.r_multiple, t.slippage_ticks)
        for t in record.trades
    )
    return Outcome(
        net=tuple(by_session.get(sid, 0.0) for sid in columns.ids[task.first : task.stop]),
        trades=traded,
        bars=sum(trader.state.reasons) - before,
        halted=_halted(record),
    )


def _halted(record: RunRecord) -> int:
    from mia.core import sessions
    from mia.core.base_types import Reason

    refused = [d.ts for d in record.decisions if d.reason is Reason.DRAWDOWN]
    return int(sessions.session_id(refused[0])) if refused else 0

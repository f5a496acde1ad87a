"""Backtest and replay: one pass of the trading cycle over recorded or synthetic data."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mia._fast import market_state as kernel
from mia.config.settings import LoadedSettings
from mia.core import sessions
from mia.core.bar_records import bars_of
from mia.core.base_types import BarBlock, Block
from mia.core.protocols import EventSink
from mia.data.calendar import NewsCalendar
from mia.data.contracts import parse_contract
from mia.data.tape import Tape, count_rows
from mia.errors import DataError
from mia.execution.assembly import fit_settings, market_state, simulated_trader
from mia.execution.cycle_plugs import VixSource
from mia.execution.simple_trader import SimpleTrader
from mia.features.feature_calculator import feature_columns
from mia.features.options_feed import SnapshotTape
from mia.features.options_handover import give_options
from mia.ml.model_filter import ModelFilter, Note, no_notes
from mia.ml.registry import Registry
from mia.performance.identity import identity
from mia.performance.lookahead import Observation, Violation, check_lookahead, sample_cuts
from mia.performance.recorder import RunRecord
from mia.performance.results import replacing, result_file
from mia.performance.summary import RunFacts, summarise
from mia.strategies.session_facts import NewsWindow, no_news_calendar

Progress = Callable[[int, int], None]
"""Called with (sessions done, sessions in all)."""

TraderFactory = Callable[[RunRecord], SimpleTrader]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a run knows beside prices, where there is any.

    Attributes
    ----------
    vix : VixSource, optional
    news : NewsCalendar, optional
        The economic calendar.
    chains : SnapshotTape, optional
        Snapshots of option chains.
    chains_sha256 : str, optional
        Hash of what the snapshots are made from.
    models : Path, optional
        Folder whose registry says which model decides or is watched; nothing is changed in it.
    note : callable
        Told what a model is in use, and why one is not.
    """

    vix: VixSource | None = None
    news: NewsCalendar | None = None
    chains: SnapshotTape | None = None
    chains_sha256: str | None = None
    models: Path | None = None
    note: Note = no_notes


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run.

    Attributes
    ----------
    record : RunRecord
    summary : dict
        What ``summary.json`` holds.
    open_at_end : bool
        A position was open when the data ended; it is in no figure.
    """

    record: RunRecord
    summary: dict[str, Any]
    open_at_end: bool


def known_inputs(store: Path | None, vix: Path | None = None) -> Inputs:
    """Return the VIX and the economic calendar of a store, where it has them.

    Parameters
    ----------
    store : Path, optional
    vix : Path, optional
        File of VIX levels, in the place of the store's.

    Raises
    ------
    DataError
        If one cannot be read.
    """
    from mia.data.importers.reading import ImportLog
    from mia.data.importers.vix import read
    from mia.data.index_levels import LevelSeries, load_levels

    levels = news = None
    if store is not None:
        levels = load_levels(store, "VIX")
        held = NewsCalendar.load(store)
        news = held if held.spans else None
    if vix is not None:
        levels = LevelSeries(read(vix, ImportLog()))
    return Inputs(levels, news)


def _no_progress(done: int, total: int) -> None:
    """Show nothing."""


def _news(inputs: Inputs) -> NewsWindow:
    calendar = inputs.news
    if calendar is None:
        return no_news_calendar

    def window(ts: int) -> bool | None:
        if not calendar.covers(sessions.session_id(ts)):
            return None
        return calendar.window(ts) is not None

    return window


def _model_facts(model: ModelFilter) -> dict[str, Any]:
    """Say which model a run had, and whether it stepped back."""
    return {"stage_at_end": model.stage, "sha256": model.model, "asked": model.asked}


def _fingerprint(ts: int, row: np.void) -> str:
    # A hash instead of two kilobytes: years of rows must fit into memory.
    return f"row of the bar closed at {ts}: {hashlib.blake2b(row.tobytes()).hexdigest()[:32]}"


class _Both:
    """Hands events to the record of a run and to the model that is judged by them."""

    def __init__(self, record: RunRecord, model: ModelFilter) -> None:
        self._record, self._model = record, model

    def publish(self, topic: str, event: object) -> None:
        """Hand on an event."""
        self._record.publish(topic, event)
        self._model.publish(topic, event)


class Backtest:
    """Runs the rule-based method over a tape.

    Parameters
    ----------
    loaded : LoadedSettings
    tape : Tape
    inputs : Inputs
    record_rows : bool
        Keep the kernels' row of every close.
    send : bool
        False decides everything and sends no order.
    """

    def __init__(
        self,
        loaded: LoadedSettings,
        tape: Tape,
        inputs: Inputs | None = None,
        *,
        record_rows: bool = False,
        send: bool = True,
    ) -> None:
        self._loaded = loaded
        self._tape = tape
        self._inputs = inputs or Inputs()
        self._plan = fit_settings(loaded, tape.width_s, options=self._inputs.chains is not None)
        self._record_rows = record_rows
        self._send = send
        self._model: ModelFilter | None = None

    def make_trader(self, record: RunRecord, *, rows: bool = False) -> SimpleTrader:
        """Make a fresh cycle that reports to `record`."""
        tape = self._tape
        state = market_state(
            self._plan, tape.first_session, tape.last_session, tape.width_s, record=rows
        )
        sink: EventSink = record
        model = None
        if self._inputs.models is not None:
            registry = Registry(self._inputs.models)
            model = ModelFilter(registry, self._inputs.note, writes=False)
            sink = _Both(record, model)
        self._model = model
        return simulated_trader(
            self._plan,
            state,
            sink,
            vix=self._inputs.vix,
            news_window=_news(self._inputs),
            model=model,
            options=None if self._inputs.chains is None else self._inputs.chains.cursor(),
            send=self._send,
        )

    def run(self, progress: Progress = _no_progress) -> Run:
        """Run once over the whole tape.

        Raises
        ------
        DataError
            If the data contradict the calendar or change contract inside a session.
        """
        record = RunRecord()
        trader = self.make_trader(record, rows=self._record_rows)
        rows = ticks = 0
        elapsed = 0.0
        for block in self._tape.blocks():
            started = time.perf_counter()
            trader.run(block)
            elapsed += time.perf_counter() - started
            more, trades = count_rows(block)
            rows += more
            ticks += trades
            progress(len(record.sessions), self._tape.sessions)
        if self._record_rows:
            record.rows.append(trader.state.take_rows())
        _, waits, no_setups = trader.state.reasons
        equity = self._loaded.settings.account.start_equity
        facts = RunFacts(
            rows=rows,
            bars=sum(trader.state.reasons),
            ticks=ticks,
            seconds=elapsed,
            start_equity=equity,
            waits=waits,
            no_setups=no_setups,
            identity=identity(
                self._loaded,
                self._tape,
                primary_stream=self._plan.primary,
                vix_known=self._inputs.vix is not None,
                calendar_known=self._inputs.news is not None,
                chains_sha256=self._inputs.chains_sha256,
                **({} if self._model is None else {"model": _model_facts(self._model)}),
                rejected_rows=trader.state.rejected,
                open_at_end=trader.position is not None,
            ),
        )
        return Run(record, summarise(record, facts), trader.position is not None)

    def check_lookahead(
        self, samples: int = 20, seed: int = 0, factory: TraderFactory | None = None
    ) -> tuple[list[Violation], int]:
        """Look for decisions that know the future.

        Parameters
        ----------
        samples : int
            Bars after which the future is changed.
        seed : int
        factory : callable, optional
            Makes the trader under test from the record it reports to; by default the project's.

        Returns
        -------
        violations : list of Violation
        cuts : int
            How many bars were sampled.
        """
        make = factory or (lambda record: self.make_trader(record, rows=True))
        closes: list[int] = []
        decided: list[int] = []

        def observe(blocks: Iterable[Block]) -> Sequence[Observation]:
            record = RunRecord()
            trader = make(record)
            for block in blocks:
                trader.run(block)
            record.rows.append(trader.state.take_rows())
            seen = [(d.ts, repr(d)) for d in record.decisions]
            # On bars an order may fill at the open of the bar that begins where another closed:
            # a fill at the instant of a cut belongs to what follows it.
            seen += [(f.ts + 1, repr(f)) for f in record.fills]
            for rows in record.rows:
                times = rows["bar"]["t_close"].tolist()
                seen += [(ts, _fingerprint(ts, rows[k])) for k, ts in enumerate(times)]
            if not closes:
                closes.extend(ts for rows in record.rows for ts in rows["bar"]["t_close"].tolist())
                decided.extend(d.ts for d in record.decisions)
            return seen

        observe(self._tape.blocks())
        cuts = sample_cuts(closes, decided, samples, seed)
        return check_lookahead(self._tape.blocks, observe, cuts, seed=seed), len(cuts)


@contextmanager
def _feature_writer(path: Path) -> Iterator[Callable[[Any], None]]:
    with replacing(path) as temporary:
        writer: pq.ParquetWriter | None = None

        def write(rows: Any) -> None:
            nonlocal writer
            columns = feature_columns(rows)
            table = pa.table({name: pa.array(values) for name, values in columns.items()})
            if writer is None:
                writer = pq.ParquetWriter(temporary, table.schema, compression="zstd")
            writer.write_table(table)

        try:
            yield write
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise DataError(f"no bar closed: {path} was not written")


def _stops(state: kernel.MarketState, block: Block) -> Iterator[int]:
    """Advance over a block, and tell at each stop what happened there."""
    start, n = 0, len(block)
    if isinstance(block, BarBlock):
        bars = bars_of(block)
        while start < n:
            start = state.advance_bars(bars, start)
            yield state.events
    else:
        columns = (block.ts_event, block.price, block.size, block.aggressor_side)
        while start < n:
            start = state.advance(*columns, start)
            yield state.events


def replay(
    loaded: LoadedSettings,
    tape: Tape,
    out: Path,
    progress: Progress = _no_progress,
    chains: SnapshotTape | None = None,
) -> int:
    """Write one row per closed primary bar with everything that the method computed.

    Parameters
    ----------
    out : Path
        Parquet file; columns as in `mia.features.feature_calculator.feature_columns`.
    chains : SnapshotTape, optional
        Snapshots of option chains.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    DataError
        If nothing closed or the file cannot be written.
    """
    plan = fit_settings(loaded, tape.width_s, options=chains is not None)
    options = None if chains is None else chains.cursor()
    state = market_state(plan, tape.first_session, tape.last_session, tape.width_s, record=True)
    state.wake = kernel.SESSION
    written = done = 0
    contracts: dict[str, int] = {}
    with result_file(out), _feature_writer(out) as write:

        def take() -> None:
            nonlocal written
            rows = state.take_rows()
            if len(rows):
                write(rows)
                written += len(rows)

        for block in tape.blocks():
            try:
                settles = 0 if options is None else parse_contract(block.contract).expiry
                state.set_contract(contracts.setdefault(block.contract, len(contracts)), settles)
                if options is not None:
                    give_options(state, options, block)
                for events in _stops(state, block):
                    if events & kernel.SESSION:
                        done += 1
                        progress(done, tape.sessions)
                    if events & kernel.ROWS:
                        take()
            except ValueError as error:
                raise DataError(f"{block.contract}: {error}") from error
        take()
    return written

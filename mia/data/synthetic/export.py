"""Put the synthetic market on disk: into a store, and as the files that importers read."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mia._fast import bars as builders
from mia.core import sessions
from mia.core.base_types import BarBlock, TradeBlock
from mia.data.digest import digest
from mia.data.exporters import write_scid, write_sierra_csv
from mia.data.files import replace_file
from mia.data.importers.reading import Progress, no_progress
from mia.data.raw import ImportSource, RawTrades, SourceFormat
from mia.data.store import Store
from mia.data.synthetic.faults import FaultKind, FaultPlan, RawColumns, raw_columns
from mia.data.synthetic.market import SyntheticMarket
from mia.data.synthetic.patterns import PatternKind

MINUTE_S = 60


def raw_trades(columns: RawColumns, seq_unique: bool) -> RawTrades:
    """Return a vendor's columns as an importer would hand them to the store."""
    known = np.isfinite(columns.size)
    return RawTrades(
        contract=columns.contract,
        ts_event=columns.ts_event,
        price=columns.price,
        size=np.where(known, columns.size, 0).astype(np.int64),
        aggressor_side=columns.aggressor_side,
        bid_price=columns.bid_price,
        ask_price=columns.ask_price,
        seq_unique=seq_unique,
    )


def export_market(
    folder: Path,
    *,
    seed: int,
    start: int,
    days: int,
    trades_per_day: int,
    null: bool = False,
    scid: bool = False,
    csv: bool = False,
    truth: bool = False,
    faults: bool = False,
    progress: Progress = no_progress,
) -> Iterator[str]:
    """Generate a market and write it; say what was written.

    Parameters
    ----------
    folder : Path
        Store, made if need be.
    seed, start, days, trades_per_day, null
        As for `SyntheticMarket`.
    scid, csv : bool
        Also write one ``.scid`` file, one Sierra CSV of minute bars per contract.
    truth : bool
        Also write what was planted, and with `faults` what was damaged.
    faults : bool
        Damage the trades before the store checks them; the files stay clean.

    Yields
    ------
    str
        A line for each thing written.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    store = Store.create(folder)
    plan = FaultPlan.each() if faults else None
    market = SyntheticMarket(
        seed, start, days, null=null, faults=plan, trades_per_day=trades_per_day
    )
    by_contract: dict[str, list[TradeBlock]] = {}
    pieces = market.raw() if faults else (raw_columns(block) for block in market.blocks())
    for done, columns in enumerate(pieces):
        first = sessions.session_id(int(columns.ts_event[0]))
        name = f"synthetic-{seed}-{first}-{columns.contract}"
        # Clean sessions do not depend on how many follow; where faults fall does.
        damaged = days if faults else 0
        identity = digest("synthetic", seed, start, trades_per_day, null, damaged, first, done)
        source = ImportSource(name, identity, SourceFormat.SYNTHETIC)
        yield store.write_trades(raw_trades(columns, seq_unique=False), source).summary()
        progress(min(done + 1, days), days)
    if scid or csv:
        for block in market.blocks():
            by_contract.setdefault(block.contract, []).append(block)
        for contract, blocks in by_contract.items():
            whole = joined(blocks)
            if scid:
                path = folder / f"{contract}-CME.scid"
                yield f"{path}: {write_scid(path, whole)} records"
            if csv:
                path = folder / f"{contract}-CME.scid_BarData__1m.txt"
                yield f"{path}: {write_sierra_csv(path, minute_bars(whole))} bars"
    if truth:
        yield _write_truth(folder / "truth.parquet", market.truth, PatternKind)
        if faults:
            yield _write_truth(folder / "faults.parquet", market.fault_truth, FaultKind)


def joined(blocks: list[TradeBlock]) -> TradeBlock:
    """Return blocks of one contract as one."""
    names = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")
    columns = {name: np.concatenate([getattr(block, name) for block in blocks]) for name in names}
    return TradeBlock(blocks[0].contract, kind=blocks[0].kind, **columns)


def minute_bars(block: TradeBlock) -> BarBlock:
    """Return the minute bars of trades."""
    first, last = (sessions.session_id(int(block.ts_event[k])) for k in (0, -1))
    table = sessions.session_table(first, last)
    columns = (block.ts_event, block.price, block.size, block.aggressor_side)
    bars, _ = builders.build(f"time:{MINUTE_S}", table, *columns)
    return BarBlock(
        contract=block.contract,
        width_s=MINUTE_S,
        t_open=bars["t_open"].astype(np.int64),
        open=bars["open"].astype(np.int32),
        high=bars["high"].astype(np.int32),
        low=bars["low"].astype(np.int32),
        close=bars["close"].astype(np.int32),
        volume=bars["volume"].astype(np.int64),
        bid_volume=bars["bid_volume"].astype(np.int64),
        ask_volume=bars["ask_volume"].astype(np.int64),
        trades=bars["trades"].astype(np.int64),
    )


def _write_truth(
    path: Path, records: np.ndarray[tuple[int], np.dtype[np.void]], kinds: type
) -> str:
    names = records.dtype.names or ()
    columns = {name: pa.array(records[name]) for name in names if name != "kind"}
    columns["kind"] = pa.array([kinds(code).name for code in records["kind"].tolist()])
    with replace_file(path) as temporary:
        pq.write_table(pa.table(columns), temporary, compression="zstd")
    return f"{path}: {len(records)} rows"

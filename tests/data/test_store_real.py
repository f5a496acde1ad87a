"""The store with recorded data, where it is at hand."""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mia.data.contracts import open_hours
from mia.data.quality import inspect
from mia.data.raw import ImportSource, RawBars, RawTrades, SourceFormat
from mia.data.store import Store

FOLDER = Path(os.environ.get("MIA_REAL_DATA", "."))
DAY = 20190809
PRICES = ("open", "high", "low", "close")

pytestmark = pytest.mark.skipif(
    "MIA_REAL_DATA" not in os.environ, reason="MIA_REAL_DATA names no folder"
)


def ints(table: pa.Table, name: str) -> np.ndarray:
    return table[name].cast(pa.int64()).to_numpy()


def bar_blocks(table: pa.Table, width_s: int, **columns: str) -> Iterator[RawBars]:
    """Cut a table of bars into blocks of one contract, in the order of the rows."""
    names = np.array(table["contract"].to_pylist())
    cuts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), len(names)]
    has_front = "front" in table.schema.names
    for start, stop in pairwise(cuts):
        part = table.slice(start, stop - start)
        yield RawBars(
            contract=str(names[start]),
            width_s=width_s,
            t_open=ints(part, "ts_utc"),
            **{name: ints(part, f"{name}_tick") * 0.25 for name in PRICES},
            **{name: ints(part, column) for name, column in columns.items()},
            front=part["front"].to_numpy(zero_copy_only=False) if has_front else None,
            first_row=start,
        )


def recorded_bars(first: str, end: str) -> pa.Table:
    span = [
        pa.scalar(np.datetime64(t, "ns").astype(int).item(), pa.timestamp("ns", "UTC"))
        for t in (first, end)
    ]
    return pq.read_table(
        FOLDER / "es_5m_bidask_2014-12_2021-12.parquet",
        filters=[("ts_utc", ">=", span[0]), ("ts_utc", "<", span[1])],
    )


def test_five_minute_bars_of_two_years_survive_the_store(tmp_path: Path) -> None:
    table = recorded_bars("2019-01-01", "2020-12-31T23:00")
    blocks = bar_blocks(
        table, 300, volume="volume", bid_volume="bid_vol", ask_volume="ask_vol", trades="fills"
    )
    store = Store.create(tmp_path)
    report = store.write_bars(blocks, ImportSource("es5m", "1" * 64, SourceFormat.PARQUET))
    assert (report.rows, report.rejected, report.repaired) == (table.num_rows, 0, 0)
    read = list(store.read("ES", kind="bars"))
    for name, column in (
        ("t_open", "ts_utc"),
        ("low", "low_tick"),
        ("close", "close_tick"),
        ("ask_volume", "ask_vol"),
        ("trades", "fills"),
    ):
        stored = np.concatenate([getattr(block, name) for block in read])
        assert (stored == ints(table, column)).all(), name
    leading = sum(len(block) for block in store.read("ES", kind="bars", front_only=True))
    assert leading == table["front"].to_numpy(zero_copy_only=False).sum()
    info = inspect(store)
    assert info.missing["bars_300s ES"] == ()
    long = {gap.session_id for c in info.contracts for gap in c.gaps if gap.seconds > 7200}
    assert 20190227 in long  # outage of the exchange


def test_a_day_of_trades_survives_and_agrees_with_its_bars(tmp_path: Path) -> None:
    table = pq.read_table(FOLDER / "es_trades_20190809.parquet")
    raw = RawTrades(
        contract="ESU19",
        ts_event=ints(table, "ts_utc"),
        price=ints(table, "price_tick") * 0.25,
        size=ints(table, "qty"),
        aggressor_side=np.zeros(table.num_rows, np.int8),
        seq=ints(table, "seq"),
        seq_unique=True,
    )
    store = Store.create(tmp_path)
    report = store.write_trades(raw, ImportSource("eoi", "1" * 64, SourceFormat.CME_TIMESALES))
    assert (report.rows, report.rejected, report.late, report.off_hours) == (325_253, 0, 0, 0)
    (day,) = store.coverage()["ticks"]
    assert day.volume == 1_962_653
    assert day.gaps == ()
    (block,) = store.read("ES")
    assert (block.price.max(), block.price.min(), block.size.max()) == (11743, 11596, 899)
    assert (block.price == ints(table, "price_tick")).all()

    spans = open_hours("ESU19", DAY)
    bars = recorded_bars("2019-08-08T22:00", "2019-08-09T21:00")
    starts = ints(bars, "ts_utc")
    assert starts[0] == spans[0][0]
    slot = np.searchsorted(starts, block.ts_event, side="right") - 1
    assert (np.bincount(slot, block.size) == ints(bars, "volume")).all()


def test_the_lead_rolls_with_the_volume_of_december_2013(tmp_path: Path) -> None:
    table = pq.read_table(FOLDER / "es_1m_lean_2013.parquet").sort_by(
        [("contract", "ascending"), ("ts_utc", "ascending")]
    )
    store = Store.create(tmp_path)
    blocks = bar_blocks(table, 60, volume="volume")
    report = store.write_bars(blocks, ImportSource("lean", "1" * 64, SourceFormat.LEAN))
    assert (report.rows, report.dropped, report.rejected) == (22_246 - 47, 47, 0)
    front = store.front("ES", "bars_60s")
    assert set(front.values()) == {"ESZ13", "ESH14"}
    assert front[20131202] == front[20131203] == "ESZ13"
    assert front[20131220] == "ESH14"
    order = list(front.values())
    assert order == sorted(order, reverse=True)

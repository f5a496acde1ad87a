"""Brackets on real trades and bars: engine and twin give the same fills."""

import os
from pathlib import Path

import numpy as np
import pytest
from fast.test_matching import on_bars, on_trades, run_kernel, run_reference

from mia._fast import records

FOLDER = os.environ.get("MIA_REAL_DATA")
pytestmark = pytest.mark.skipif(not FOLDER, reason="MIA_REAL_DATA names no folder")

SETUP = {"latency_ns": 20_000_000, "slip_ticks": 1, "queue": False}
MINUTE = 60_000_000_000


def table(name):
    return pytest.importorskip("pyarrow.parquet").read_table(Path(FOLDER) / name)


def script_of(length, every):
    """Brackets of every type and side, near the market, and now and then a cancellation."""
    script = []
    for k, at in enumerate(range(every, length, every)):
        script.append((at, "bracket", k % 3, (-1) ** k, 1 + k % 3, k % 5 - 2, 3 + k % 3))
        script.append((at + every // 2, "cancel", 0, 1, 3 * k % 7, 0, k % 6))
    return script


def test_fills_on_a_real_tape_are_those_of_the_twin():
    rows = table("es_trades_20190809.parquet").slice(200_000, 20_000)
    ts = rows["ts_utc"].cast("int64").to_numpy()
    ts = ts * (1_000_000_000 // 10 ** (len(str(int(ts[0]))) - 10))
    price = rows["price_tick"].to_numpy().astype(np.int32)
    size = rows["qty"].to_numpy().astype(np.int32)
    script = script_of(len(ts), 700)
    plain = run_reference(
        script,
        len(ts),
        ts,
        price,
        lambda engine, k: engine.on_trade(int(ts[k]), int(price[k]), int(size[k])),
        SETUP,
    )
    cuts = set(range(0, len(ts), 997))
    compiled = run_kernel(script, len(ts), ts, price, on_trades((ts, price, size)), SETUP, cuts)
    assert compiled[:2] == plain[:2]
    assert len(compiled[0]) > len(script) // 2


def test_fills_on_real_bars_are_those_of_the_twin():
    rows = table("es_1m_bidask_20260206_20260210.parquet")
    bars = np.zeros(rows.num_rows, records.BAR_DTYPE)
    opened = rows["ts_utc"].cast("int64").to_numpy()
    bars["t_open"] = opened * (1_000_000_000 // 10 ** (len(str(int(opened[0]))) - 10))
    bars["t_close"] = bars["t_open"] + MINUTE
    for name in ("open", "high", "low", "close"):
        bars[name] = rows[f"{name}_tick"].to_numpy()
    bars["volume"] = rows["volume"].to_numpy()
    script = script_of(len(bars), 120)
    ts, price = bars["t_close"], bars["close"]
    plain = run_reference(
        script, len(bars), ts, price, lambda engine, k: engine.on_bar(bars[k]), SETUP
    )
    compiled = run_kernel(script, len(bars), ts, price, on_bars(bars), SETUP, set())
    assert compiled[:2] == plain[:2]
    assert len(compiled[0]) > len(script) // 2

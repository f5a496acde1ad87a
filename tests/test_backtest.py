"""Whole runs: the same bytes from the same inputs, and nothing made or lost on the way."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from run_samples import BAR_SECONDS, bars_of_tape, easy, market, resliced, run_of

from mia.backtest import Backtest, Run, replay
from mia.config.settings import LoadedSettings
from mia.core import sessions
from mia.core.trading_types import Fill
from mia.data.tape import Tape
from mia.errors import DataError
from mia.execution.position.open_position import trade_id
from mia.performance.output import write_all

TIMING = ("seconds", "ticks_per_second")
KINDS = pytest.mark.parametrize("kind", ["trades", "bars"])
SEEDED = pytest.mark.parametrize("seed", [2, 5])


def digests(folder: Path, tape: Tape, run: Run, loaded: LoadedSettings) -> dict[str, str]:
    """Write a run and hash its files; times of the summary are left out."""
    folder.mkdir()
    write_all(folder, run.record, run.summary, tape, loaded.settings.account.start_equity)
    summary = json.loads((folder / "summary.json").read_text())
    kept = {key: value for key, value in summary.items() if key not in TIMING}
    hashes = {"summary": hashlib.sha256(json.dumps(kept).encode()).hexdigest()}
    for path in folder.glob("*.parquet"):
        hashes[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    assert set(hashes) == {
        "summary",
        "trades.parquet",
        "decisions.parquet",
        "fills.parquet",
        "sessions.parquet",
        "candles.parquet",
        "equity.parquet",
    }
    return hashes


@KINDS
def test_the_settings_of_these_tests_trade_enough_to_show_anything(kind: str) -> None:
    _, run = run_of(kind)
    assert len(run.record.trades) >= 5
    assert len({trade.exit_reason for trade in run.record.trades}) >= 2
    assert {trade.side for trade in run.record.trades} == {-1, 1}


@KINDS
@pytest.mark.parametrize("rows", [3, 1000])
def test_the_cut_of_the_blocks_changes_no_byte(kind: str, rows: int, tmp_path: Path) -> None:
    tape, run = run_of(kind)
    loaded = easy()
    again = Backtest(loaded, resliced(tape, rows)).run()
    whole = digests(tmp_path / "whole", tape, run, loaded)
    assert digests(tmp_path / "cut", tape, again, loaded) == whole


def test_neither_another_process_nor_the_hash_seed_changes_a_byte(tmp_path: Path) -> None:
    loaded = easy()
    tape, run = run_of("trades")
    here = digests(tmp_path / "here", tape, run, loaded)
    script = (
        "import sys, json; from pathlib import Path; import test_backtest as t; "
        "tape, run = t.run_of('trades'); "
        "print(json.dumps(t.digests(Path(sys.argv[1]), tape, run, t.easy())))"
    )
    # The hashes of this process are seeded at random, unless someone asked for it.
    paths = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "there")],
        env=os.environ | {"PYTHONHASHSEED": "4242", "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == here


@KINDS
@SEEDED
def test_the_equity_moves_by_the_net_of_the_trades_and_nothing_else(kind: str, seed: int) -> None:
    _, run = run_of(kind, seed)
    start, trades = run.summary["start_equity_usd"], run.record.trades
    ends = {trade.ts_exit: trade for trade in trades}
    equity = start
    for ts, _, marked in run.record.marks:
        trade = ends.get(ts)
        if trade is not None and marked == pytest.approx(equity + trade.net_pnl, abs=1e-9):
            equity = marked
    total = sum(trade.net_pnl for trade in trades)
    assert equity == pytest.approx(start + total, abs=1e-6)
    assert run.summary["end_equity_usd"] == pytest.approx(start + total, abs=1e-6)
    assert run.record.marks[-1][2] == pytest.approx(start + total, abs=1e-6)


@KINDS
@SEEDED
def test_a_trade_is_worth_what_its_fills_are_worth(kind: str, seed: int) -> None:
    _, run = run_of(kind, seed)
    fills: dict[str, list[Any]] = {}
    for fill in run.record.fills:
        fills.setdefault(fill.bracket_id, []).append(fill)
    values = {"ES": 12.5, "MES": 1.25}
    for trade in run.record.trades:
        own = fills.pop(trade.trade_id)
        assert sum(fill.side * fill.quantity for fill in own) == 0
        gross = -values[trade.symbol] * sum(f.side * f.quantity * f.price for f in own)
        costs = sum(fill.commission for fill in own)
        assert trade.gross_pnl == pytest.approx(gross, abs=1e-9)
        assert trade.net_pnl == pytest.approx(gross - costs, abs=1e-9)
        assert trade.costs > 0
    assert not fills, "fills that belong to no trade"


@KINDS
@SEEDED
def test_no_position_outlives_its_session(kind: str, seed: int) -> None:
    _, run = run_of(kind, seed)
    for trade in run.record.trades:
        entered, left = (sessions.session_id(ts) for ts in (trade.ts_entry, trade.ts_exit))
        assert entered == left == trade.session_id
        assert trade.ts_signal <= trade.ts_entry <= trade.ts_exit


@KINDS
@SEEDED
def test_an_accepted_decision_becomes_a_trade_or_an_unfilled_entry(kind: str, seed: int) -> None:
    _, run = run_of(kind, seed)
    accepted = sorted(trade_id(d) for d in run.record.decisions if d.accepted)
    unfilled = [trade_id(decision) for decision in run.record.unfilled]
    traded = [trade.trade_id for trade in run.record.trades]
    settled = sorted([*unfilled, *traded])
    assert len(set(accepted)) == len(accepted)
    missing = set(accepted) - set(settled)
    assert set(settled) <= set(accepted)
    assert len(settled) == len(set(settled))
    assert len(missing) == int(run.open_at_end)


@KINDS
def test_only_one_position_is_held_at_a_time(kind: str) -> None:
    _, run = run_of(kind)
    spans = sorted((trade.ts_entry, trade.ts_exit) for trade in run.record.trades)
    for (_, left), (entered, _) in pairwise(spans):
        assert left <= entered


def matched_price(fill: Fill) -> int:
    """Return what was traded when an order filled: its price, less the tick of slippage."""
    return fill.price if fill.price == fill.reference_price else fill.price - fill.side


@SEEDED
def test_fills_on_bars_refer_to_a_price_of_a_later_bar(seed: int) -> None:
    tape, run = run_of("bars", seed)
    bars = bars_of_tape(tape)
    closes = bars.t_open + BAR_SECONDS * 1_000_000_000
    decided = {trade_id(d): d.ts for d in run.record.decisions if d.accepted}
    assert len(run.record.fills) >= 4
    for fill in run.record.fills:
        # At the open of the bar that begins then, or somewhere in the bar that ends then.
        bar = (bars.t_open == fill.ts) | (closes == fill.ts)
        matched = matched_price(fill)
        inside = (bars.low <= matched) & (matched <= bars.high)
        assert (bar & inside & (bars.t_open >= decided[fill.bracket_id])).any()


@SEEDED
def test_fills_on_trades_happen_at_a_trade_after_the_decision(seed: int) -> None:
    tape, run = run_of("trades", seed)
    blocks = list(tape.blocks())
    times = np.concatenate([block.ts_event for block in blocks])
    prices = np.concatenate([block.price for block in blocks])
    decided = {trade_id(d): d.ts for d in run.record.decisions if d.accepted}
    assert len(run.record.fills) >= 4
    for fill in run.record.fills:
        traded = prices[times == fill.ts]
        # A limit is filled at its price when the market goes beyond it, all else where it traded.
        beyond = fill.side * (traded - fill.price) < 0
        rested = fill.price == fill.reference_price and beyond.any()
        assert matched_price(fill) in traded or rested
        assert fill.ts > decided[fill.bracket_id]


def test_a_dry_run_decides_without_any_order() -> None:
    dry = Backtest(easy(), market(), send=False).run()
    assert sum(decision.accepted for decision in dry.record.decisions) > 0
    assert not dry.record.fills
    assert not dry.record.trades
    assert dry.summary["net_pnl_usd"] == 0


def test_every_close_is_counted_once_by_what_became_of_it() -> None:
    tape, run = run_of("trades")
    rows = sum(len(part) for part in run.record.rows)
    assert run.summary["bars"] == rows
    assert run.summary["ticks"] == sum(len(block) for block in tape.blocks())
    waits = {key: run.summary["rejections"][key] for key in ("REGIME_WAIT", "NO_SETUP")}
    reasons = np.concatenate([part["reason"] for part in run.record.rows])
    assert sum(waits.values()) + int((reasons == 0).sum()) == rows


@KINDS
def test_a_replay_has_a_row_for_each_bar_of_the_backtest(kind: str, tmp_path: Path) -> None:
    tape, run = run_of(kind)
    out = tmp_path / "features.parquet"
    assert replay(easy(), tape, out) == run.summary["bars"]
    written = pq.read_table(out)
    assert written.num_rows == run.summary["bars"]
    recorded = np.concatenate([part["bar"]["t_close"] for part in run.record.rows])
    assert (written["ts"].to_numpy() == recorded).all()
    before = out.read_bytes()
    replay(easy(), resliced(tape, 501), out)
    assert out.read_bytes() == before


def test_a_replay_without_a_bar_writes_nothing(tmp_path: Path) -> None:
    empty = replace(market(days=1), blocks=lambda: iter(()))
    with pytest.raises(DataError, match="no bar closed"):
        replay(easy(), empty, tmp_path / "new" / "features.parquet")
    assert list(tmp_path.iterdir()) == []

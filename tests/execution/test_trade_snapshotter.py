"""Every proposal and trade of a run leaves its snapshots."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from execution.test_cycle import EASED

from mia.backtest import Backtest
from mia.config.settings import load_settings
from mia.core.base_types import FEATURE_NAMES, Reason
from mia.core.event_bus import ALL, EventBus
from mia.data.snapshot_files import SnapshotReader, SnapshotWriter
from mia.data.tape import synthetic_tape
from mia.execution.assembly import fit_settings, market_state, simulated_trader
from mia.execution.position.open_position import trade_id
from mia.execution.trade_snapshotter import TradeSnapshotter
from mia.performance.recorder import RunRecord

MINUTE = 60 * 10**9
LOADED = load_settings(None, EASED, environ={})
TAPE = synthetic_tape(4, 20250310, 6, 20_000)
IDENTITY = {"configuration_sha256": "abc", "code_version": "1"}


def run(sink) -> None:
    plan = fit_settings(LOADED, 0)
    state = market_state(plan, TAPE.first_session, TAPE.last_session, 0, record=False)
    trader = simulated_trader(plan, state, sink)
    for block in TAPE.blocks():
        for start in range(0, len(block), 5000):
            trader.run(cut(block, start, start + 5000))


def cut(block, start: int, stop: int):
    names = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")
    return type(block)(block.contract, *(getattr(block, name)[start:stop] for name in names))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[list[dict], RunRecord]:
    folder: Path = tmp_path_factory.mktemp("snapshots")
    record, bus = RunRecord(), EventBus()
    snapshotter = TradeSnapshotter(SnapshotWriter(folder), IDENTITY, quote=lambda: (1, 2))
    bus.subscribe(ALL, record.publish, "record")
    subscription = bus.subscribe(ALL, snapshotter.publish, "snapshots")
    run(bus)
    assert snapshotter.stop()
    assert subscription.failures == 0
    reader = SnapshotReader(folder)
    found = list(reader.records())
    assert reader.torn == 0
    return found, record


def of(found: list[dict], kind: str) -> list[dict]:
    return [snapshot for snapshot in found if snapshot["type"] == kind]


def test_every_proposal_has_its_analysis_and_its_decision(made) -> None:
    found, record = made
    names = [trade_id(decision) for decision in record.decisions]
    assert len(names) > 10
    assert [s["trade_id"] for s in of(found, "PRE_ANALYSIS")] == names
    assert [s["trade_id"] for s in of(found, "DECISION")] == names


def test_a_rejected_proposal_says_why_at_every_gate(made) -> None:
    found, record = made
    rejected = [s for s in of(found, "DECISION") if not s["decision"]["accepted"]]
    assert rejected
    wanted = {trade_id(d): d for d in record.decisions}
    for snapshot in rejected:
        decision = wanted[snapshot["trade_id"]]
        assert snapshot["decision"]["reason"] == decision.reason.value != Reason.OK.value
        assert [gate["code"] for gate in snapshot["decision"]["gates"]] == [
            gate.code.value for gate in decision.gates
        ]
        assert not all(gate["passed"] for gate in snapshot["decision"]["gates"])


def test_the_analysis_is_the_row_of_the_close(made) -> None:
    found, record = made
    wanted = {trade_id(d): d for d in record.decisions}
    for snapshot in of(found, "PRE_ANALYSIS"):
        decision = wanted[snapshot["trade_id"]]
        assert snapshot["market"]["bar"]["t_close"] == decision.ts == snapshot["ts"]
        values = snapshot["features"]["values"]
        assert tuple(values[name] for name in FEATURE_NAMES) == decision.features
        invalid = [n for n, ok in zip(FEATURE_NAMES, decision.valid, strict=True) if not ok]
        assert snapshot["features"]["invalid"] == invalid
        assert snapshot["context"]["regime"] == decision.regime.name
        assert (snapshot["market"]["bid"], snapshot["market"]["ask"]) == (1, 2)
        assert len(snapshot["context"]["frames"]) == 4
        close = snapshot["market"]["bar"]["close"]
        for zone in snapshot["context"]["zones"]:
            assert zone["low"] - 40 <= close <= zone["high"] + 40


def test_every_fill_and_every_result_is_there(made) -> None:
    found, record = made
    fills = [s["execution"] for s in of(found, "EXECUTION")]
    assert len(fills) == len(record.fills) > 5
    for snapshot, fill in zip(
        of(found, "EXECUTION"), sorted(record.fills, key=lambda f: f.ts), strict=True
    ):
        assert snapshot["execution"]["price"] == fill.price
        assert snapshot["execution"]["since_decision_ms"] >= 20
        assert snapshot["session_id"] > 0
    results = {s["trade_id"]: s["result"] for s in of(found, "FINAL_RESULT")}
    assert results.keys() == {trade.trade_id for trade in record.trades}
    for trade in record.trades:
        assert results[trade.trade_id]["net_pnl"] == pytest.approx(trade.net_pnl)
        assert results[trade.trade_id]["exit_reason"] == trade.exit_reason.value


def test_a_position_is_recorded_every_ten_bars(made) -> None:
    found, record = made
    counts = Counter(s["trade_id"] for s in of(found, "POSITION_UPDATE"))
    for trade in record.trades:
        held = counts.get(trade.trade_id, 0)
        assert abs(held - trade.bars_held // 10) <= 1
    assert counts
    assert all(s["position"]["bars_held"] % 10 == 0 for s in of(found, "POSITION_UPDATE"))


def test_prices_of_the_twenty_minutes_after_an_exit(made) -> None:
    found, record = made
    blocks = list(TAPE.blocks())
    ts = np.concatenate([b.ts_event for b in blocks])
    price = np.concatenate([b.price for b in blocks])
    after = {s["trade_id"]: s for s in of(found, "POST_TRADE")}
    assert after.keys() == {trade.trade_id for trade in record.trades}
    for trade in record.trades:
        snapshot = after[trade.trade_id]
        assert snapshot["after"]["complete"]
        assert snapshot["ts"] == trade.ts_exit + 20 * MINUTE
        seen = price[(ts > trade.ts_exit) & (ts <= snapshot["ts"])]
        best, worst = (seen.max(), seen.min()) if trade.side > 0 else (seen.min(), seen.max())
        assert (snapshot["after"]["best"], snapshot["after"]["worst"]) == (best, worst)


def test_ids_are_unique_and_every_record_names_what_made_it(made) -> None:
    found, _ = made
    ids = [snapshot["snapshot_id"] for snapshot in found]
    assert len(set(ids)) == len(ids)
    for snapshot in found:
        assert snapshot["schema"] == 1
        assert snapshot["configuration_sha256"] == "abc"
        assert snapshot["code_version"] == "1"
        assert snapshot["contract"].startswith("ES")
    assert json.dumps(found, allow_nan=False)


def test_snapshots_change_nothing(made) -> None:
    _, record = made
    plain = RunRecord()
    run(plain)
    assert list(map(repr, plain.decisions)) == list(map(repr, record.decisions))
    assert list(map(repr, plain.fills)) == list(map(repr, record.fills))


def test_a_stop_within_the_twenty_minutes_says_so(made, tmp_path: Path) -> None:
    _, record = made
    snapshotter = TradeSnapshotter(SnapshotWriter(tmp_path), IDENTITY)
    snapshotter.publish("closed", record.trades[0])
    assert snapshotter.stop()
    [after] = SnapshotReader(tmp_path).records(frozenset({"POST_TRADE"}))
    assert after["after"] | {"exit": 0} == {
        "exit": 0,
        "best": None,
        "worst": None,
        "best_ticks": None,
        "worst_ticks": None,
        "complete": False,
    }


def test_the_cycle_of_a_backtest_takes_the_same_snapshots(made, tmp_path: Path) -> None:
    found, _ = made
    snapshotter = TradeSnapshotter(SnapshotWriter(tmp_path), IDENTITY, quote=lambda: (1, 2))
    trader = Backtest(LOADED, TAPE).make_trader(snapshotter)
    for block in TAPE.blocks():
        trader.run(block)
    snapshotter.stop()
    again = list(SnapshotReader(tmp_path).records(frozenset({"PRE_ANALYSIS", "FINAL_RESULT"})))
    wanted = [s for s in found if s["type"] in {"PRE_ANALYSIS", "FINAL_RESULT"}]
    assert again == wanted

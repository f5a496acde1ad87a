import json
import os
import stat

import numpy as np
import pyarrow.parquet as pq
import pytest
from run_cases import START, a_decision, a_run
from trading_cases import SESSION, at

from mia.core.base_types import FEATURE_NAMES, Reason
from mia.core.statistics import max_drawdown
from mia.core.trading_types import GateResult
from mia.errors import DataError
from mia.performance.recorder import RunRecord
from mia.performance.results import (
    replacing,
    result_file,
    results_folder,
    staged,
    write_json,
    write_results,
)

FILES = {
    "trades.parquet",
    "decisions.parquet",
    "fills.parquet",
    "sessions.parquet",
    "equity.parquet",
    "summary.json",
}


@pytest.fixture(scope="module")
def run():
    return a_run(seed=6)


def written(folder, run):
    write_results(folder, run.record, run.summary, START)
    return folder


def test_files_of_a_run_are_there_and_nothing_else(run, tmp_path):
    assert {entry.name for entry in written(tmp_path, run).iterdir()} == FILES


def test_empty_run_writes_empty_tables_with_all_columns(run, tmp_path):
    full, empty = tmp_path / "full", tmp_path / "empty"
    for folder in (full, empty):
        folder.mkdir()
    written(full, run)
    write_results(empty, RunRecord(), {}, START)
    for name in sorted(FILES - {"summary.json"}):
        table = pq.read_table(empty / name)
        assert table.num_rows == 0
        assert table.schema == pq.read_schema(full / name)


def test_summary_comes_back_as_it_was(run, tmp_path):
    text = (written(tmp_path, run) / "summary.json").read_text(encoding="utf-8")
    assert json.loads(text) == run.summary
    assert "NaN" not in text
    assert "Infinity" not in text


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_cannot_say_is_refused_and_the_old_file_stays(tmp_path, number):
    path = tmp_path / "summary.json"
    write_json(path, {"sharpe": 1.0})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"sharpe": number})
    assert json.loads(path.read_text()) == {"sharpe": 1.0}
    assert os.listdir(tmp_path) == ["summary.json"]


def test_trades_come_back_with_every_field(run, tmp_path):
    rows = pq.read_table(written(tmp_path, run) / "trades.parquet").to_pylist()
    assert len(rows) == len(run.record.trades) > 20
    for row, trade in zip(rows, run.record.trades, strict=True):
        assert row["trade_id"] == trade.trade_id
        assert (row["strategy"], row["trigger"]) == (trade.strategy.value, trade.kind.name)
        assert (row["regime"], row["exit_reason"]) == (trade.regime.name, trade.exit_reason.value)
        for column, name in {
            "entry_ticks": "entry",
            "exit_ticks": "exit",
            "stop_ticks": "stop",
            "target_ticks": "target",
            "distance_ticks": "distance",
            "gross_pnl_usd": "gross_pnl",
            "costs_usd": "costs",
            "net_pnl_usd": "net_pnl",
        }.items():
            assert row[column] == getattr(trade, name)
        for name in ("symbol", "contract", "session_id", "side", "quantity", "ts_signal"):
            assert row[name] == getattr(trade, name)
        for name in ("ts_entry", "ts_exit", "gross_ticks", "r_multiple", "mfe_ticks", "mae_ticks"):
            assert row[name] == getattr(trade, name)
        for name in ("bars_held", "confidence", "slippage_ticks"):
            assert row[name] == getattr(trade, name)


def test_decisions_come_back_with_every_gate_part_and_feature(run, tmp_path):
    every = tuple(
        GateResult(code, k / 7, 0.5, k % 3 > 0, k % 2 > 0) for k, code in enumerate(Reason)
    )
    more = [
        a_decision(at("10:00"), SESSION, gates=every),
        a_decision(at("10:05"), SESSION, gates=(), parts={}, budgets={}),
    ]
    record = RunRecord(decisions=[*run.record.decisions, *more])
    write_results(tmp_path, record, {}, START)
    rows = pq.read_table(tmp_path / "decisions.parquet").to_pylist(maps_as_pydicts="strict")
    assert len(rows) == len(record.decisions)
    assert len(rows[-2]["gates"]) == len(Reason)
    for row, decision in zip(rows, record.decisions, strict=True):
        gates = [GateResult(Reason(g["code"]), g["value"], g["limit"], g["passed"], g["known"])
                 for g in row["gates"]]  # fmt: skip
        assert gates == list(decision.gates)
        assert row["parts"] == decision.parts
        assert row["budgets"] == decision.budgets
        assert tuple(row[name] for name in FEATURE_NAMES) == decision.features
        assert tuple(row[f"{name}_valid"] for name in FEATURE_NAMES) == decision.valid
        assert (row["ts"], row["session_id"]) == (decision.ts, decision.session_id)
        assert (row["reason"], row["signal"]) == (decision.reason.value, decision.signal.value)
        assert (row["regime"], row["phase"]) == (decision.regime.name, decision.phase.name)
        assert row["trigger"] == decision.proposal.kind.name
        assert row["stop_ticks"] == decision.proposal.stop
        assert row["entry_type"] == decision.proposal.entry_type.name


def test_undefined_gate_values_stay_undefined(tmp_path):
    gate = GateResult(Reason.SPREAD, float("nan"), 1.0, False, False)
    record = RunRecord(decisions=[a_decision(at("10:00"), SESSION, gates=(gate,))])
    write_results(tmp_path, record, {}, START)
    row = pq.read_table(tmp_path / "decisions.parquet").to_pylist()[0]
    assert np.isnan(row["gates"][0]["value"])


def test_equity_holds_the_marks_and_their_falls(run, tmp_path):
    table = pq.read_table(written(tmp_path, run) / "equity.parquet").to_pydict()
    assert list(zip(table["ts"], table["session_id"], table["equity_usd"], strict=True)) == (
        run.record.marks
    )
    fall = max_drawdown(np.array([START, *table["equity_usd"]]))
    assert max(table["drawdown_usd"]) == fall.usd == run.summary["max_drawdown_usd"]


def test_a_run_that_loses_from_the_start_is_in_drawdown_at_once(tmp_path):
    record = RunRecord(marks=[(at("10:00"), SESSION, START - 70.0)])
    write_results(tmp_path, record, {}, START)
    assert pq.read_table(tmp_path / "equity.parquet")["drawdown_usd"].to_pylist() == [70.0]


@pytest.mark.parametrize("inside", ["", "deeper"])
def test_a_folder_that_is_a_file_is_refused(tmp_path, inside):
    (tmp_path / "out").write_text("a file")
    with (
        pytest.raises(DataError, match=r"cannot write .*out.*choose another --out"),
        results_folder(tmp_path / "out" / inside),
    ):
        pytest.fail("a file was taken for a folder")
    assert (tmp_path / "out").read_text() == "a file"


def test_folders_are_made_with_their_parents_and_twice_does_no_harm(tmp_path):
    for _ in range(2):
        with results_folder(tmp_path / "a" / "b") as folder:
            (folder / "kept").write_text("x")
    assert os.listdir(folder) == ["kept"]


@pytest.mark.parametrize("filled", [False, True])
def test_folders_of_a_run_that_failed_go_unless_they_hold_something(tmp_path, filled):
    def fail() -> None:
        with results_folder(tmp_path / "a" / "b") as folder:
            if filled:
                (folder / "kept").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (tmp_path / "a" / "b" / "kept").exists() == (tmp_path / "a").exists() == filled


def test_a_folder_is_no_result_file(tmp_path):
    with pytest.raises(DataError, match="it is a folder"), result_file(tmp_path):
        pytest.fail("a folder was taken for a file")


def test_staged_files_take_their_places_together(tmp_path):
    (tmp_path / "a").write_text("old")
    with staged(tmp_path) as staging:
        (staging / "a").write_text("new")
        (staging / "b").write_text("new")
        assert (tmp_path / "a").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    assert (tmp_path / "a").read_text() == "new"


@pytest.mark.parametrize("trouble", ["failure", "folder"])
def test_a_failed_stage_leaves_the_folder_as_it_was(tmp_path, trouble):
    (tmp_path / "a").write_text("old")
    if trouble == "folder":
        (tmp_path / "b").mkdir()

    def stage() -> None:
        with staged(tmp_path) as staging:
            (staging / "a").write_text("new")
            (staging / "b").write_text("new")
            if trouble == "failure":
                raise OSError(28, "No space left on device")

    before = sorted(os.listdir(tmp_path))
    with pytest.raises(DataError, match="cannot write"):
        stage()
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "a").read_text() == "old"


def test_results_into_a_file_are_refused_and_leave_nothing(run, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(DataError, match=r"cannot write .*trades\.parquet"):
        write_results(tmp_path / "out", run.record, run.summary, START)
    assert os.listdir(tmp_path) == ["out"]


def test_a_folder_in_the_place_of_a_file_is_refused_and_leaves_no_half_file(run, tmp_path):
    (tmp_path / "decisions.parquet").mkdir()
    with pytest.raises(DataError, match=r"cannot write .*decisions\.parquet"):
        write_results(tmp_path, run.record, run.summary, START)
    assert sorted(os.listdir(tmp_path)) == ["decisions.parquet", "trades.parquet"]
    assert pq.read_table(tmp_path / "trades.parquet").num_rows == len(run.record.trades)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError("disk on fire")])
def test_failure_half_way_keeps_the_old_file_and_names_the_cause(tmp_path, error):
    path = tmp_path / "trades.parquet"
    path.write_text("old")

    def half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half of the ne")
            raise error

    with pytest.raises(DataError, match=r"No space left on device|disk on fire"):
        half()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["trades.parquet"]


def test_files_have_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("x")
    write_json(tmp_path / "summary.json", {})
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "summary.json")]
    assert modes[0] == modes[1]

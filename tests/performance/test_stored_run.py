import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from run_cases import START, ARun, a_run

from mia.core.base_types import OrderRole
from mia.core.overfitting import Trials
from mia.core.trading_types import Fill
from mia.errors import DataError
from mia.performance.output import write_candles
from mia.performance.report import render
from mia.performance.results import write_results
from mia.performance.stored_run import read_run, read_variants


def stored(folder, run: ARun):
    folder.mkdir(exist_ok=True)
    write_results(folder, run.record, run.summary, START)
    write_candles(folder / "candles.parquet", run.bars)
    return read_run(folder)


@pytest.fixture(scope="module")
def run():
    made = a_run(seed=6)
    made.record.fills.append(
        Fill("TRADE_1", OrderRole.ENTRY, 5, 1, 2, 24_001, 24_000, 4.5),
    )
    return made


@pytest.mark.parametrize("per_day", [0.0, 0.1, 2.0])
def test_summary_and_page_of_the_files_are_those_of_the_run(tmp_path, per_day):
    run = a_run(seed=6, per_day=per_day)
    again = stored(tmp_path, run)
    told = json.loads(json.dumps(run.summary))
    assert again.summary == told
    assert again.summarised() == told
    page = render(again.record, again.summary, again.bars, again.start_equity)
    assert page == render(run.record, run.summary, run.bars, START)


def test_events_come_back_as_they_were(run, tmp_path):
    again = stored(tmp_path, run)
    assert again.record.trades == run.record.trades
    assert again.record.fills == run.record.fills
    assert again.record.sessions == run.record.sessions
    assert again.record.marks == run.record.marks
    assert again.record.decisions == [
        replace(d, gates=tuple(d.gates)) for d in run.record.decisions
    ]


def test_unfilled_entries_are_marked_and_counted(tmp_path):
    run = a_run(seed=6)
    chosen = next(d for d in run.record.decisions if d.accepted)
    run.record.unfilled.append(chosen)
    stored(tmp_path, run)
    rows = pq.read_table(tmp_path / "decisions.parquet").to_pylist()
    assert [row["ts"] for row in rows if row["unfilled"]] == [chosen.ts]


def test_trials_change_the_selection_and_nothing_else(run, tmp_path):
    again = stored(tmp_path, run)
    one, many = again.summary, again.summarised(Trials(100, 1.0))
    assert {key for key in one if one[key] != many[key]} == {"selection"}
    assert many["selection"]["deflated_sharpe"] < one["selection"]["deflated_sharpe"]
    assert one["selection"]["deflated_sharpe"] == one["probabilistic_sharpe"]


def test_variants_are_counted_with_the_run_itself(tmp_path):
    ratios = []
    for seed in (6, 7, 8):
        run = a_run(seed=seed, last=20251231)
        ratios.append(run.summary["sharpe"])
        stored(tmp_path / f"{seed}", run)
    (tmp_path / "notes").mkdir()
    chosen = read_run(tmp_path / "7")
    tried = read_variants(chosen, tmp_path)
    assert tried.trials.count == 3
    assert tried.trials.deviation == pytest.approx(np.std(ratios, ddof=1), rel=1e-12)
    assert (tried.overfitting.variants, tried.overfitting.sessions) == (3, len(chosen.daily))
    elsewhere = stored(tmp_path.parent / f"{tmp_path.name}-apart", a_run(seed=9, last=20251231))
    assert read_variants(elsewhere, tmp_path).trials.count == 4


def test_variants_on_other_sessions_are_refused(run, tmp_path):
    stored(tmp_path / "a", run)
    stored(tmp_path / "b", a_run(last=20251114))
    with pytest.raises(DataError, match="covers other sessions"):
        read_variants(read_run(tmp_path / "a"), tmp_path)


def test_a_run_alone_is_no_set_of_variants(run, tmp_path):
    chosen = stored(tmp_path / "a", run)
    with pytest.raises(DataError, match="holds no other run"):
        read_variants(chosen, tmp_path)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no run: name a folder"):
        read_run(tmp_path)


@pytest.mark.parametrize("name", ["trades", "decisions", "fills", "sessions", "equity", "candles"])
def test_a_run_without_one_of_its_tables_is_refused(run, tmp_path, name):
    stored(tmp_path, run)
    (tmp_path / f"{name}.parquet").unlink()
    with pytest.raises(DataError, match=f"{name}.parquet is missing"):
        read_run(tmp_path)


@pytest.mark.parametrize("text", ["{", "[1]", "{}", '{"rejections": {}, "rows": "many"}'])
def test_a_summary_that_is_none_is_refused(run, tmp_path, text):
    stored(tmp_path, run)
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(DataError, match=r"run (it|the backtest) again"):
        read_run(tmp_path)


def test_a_damaged_table_is_named(run, tmp_path):
    stored(tmp_path, run)
    (tmp_path / "trades.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match=r"cannot read .*trades\.parquet"):
        read_run(tmp_path)


def test_a_table_of_another_version_is_refused(run, tmp_path):
    stored(tmp_path, run)
    pq.write_table(pa.table({"ts": np.arange(3)}), tmp_path / "fills.parquet")
    with pytest.raises(DataError, match="another version"):
        read_run(tmp_path)

import json

import pytest
from run_cases import START, a_run

from mia.errors import DataError
from mia.monitoring.dashboard.views.breakdown import breakdown, drawdown
from mia.monitoring.dashboard.views.stored_runs import StoredRuns
from mia.performance.results import write_results


@pytest.fixture(scope="module")
def run():
    return a_run(seed=3)


def left(folder, run):
    folder.mkdir(parents=True)
    write_results(folder, run.record, run.summary, START)
    (folder / "report.html").write_text("<!doctype html><title>report</title>", encoding="utf-8")
    return folder


def test_runs_are_listed_newest_first_with_their_figures(tmp_path, run):
    left(tmp_path / "results" / "old", run)
    newer = left(tmp_path / "results" / "sweep" / "new", run)
    (newer / "summary.json").touch()
    found = StoredRuns(tmp_path / "results").listed()
    assert [entry["name"] for entry in found] == ["results/sweep/new", "results/old"]
    assert found[0]["net_pnl_usd"] == run.summary["net_pnl_usd"]
    assert found[0]["win_rate_wilson_95"] == run.summary["win_rate_wilson_95"]
    assert found[0]["report"]
    assert len({entry["id"] for entry in found}) == 2


def test_trades_of_a_run_give_the_figures_of_its_summary(tmp_path, run):
    left(tmp_path / "results" / "one", run)
    runs = StoredRuns(tmp_path / "results")
    trades, equity = runs.trades(runs.listed()[0]["id"])
    whole = breakdown(trades)["all"]
    assert whole["net"] == pytest.approx(run.summary["net_pnl_usd"])
    assert whole["expectancy_r_95"] == pytest.approx(run.summary["expectancy_r_95"])
    assert equity[0][1] == START
    assert [point[0] for point in equity] == sorted(point[0] for point in equity)
    assert equity[-1][1] == pytest.approx(run.summary["end_equity_usd"])
    assert drawdown(equity)["deepest"] == pytest.approx(run.summary["max_drawdown_usd"])


def test_a_damaged_run_is_listed_with_what_is_wrong(tmp_path, run):
    folder = left(tmp_path / "results" / "one", run)
    (folder / "summary.json").write_text("[1", encoding="utf-8")
    entry = StoredRuns(tmp_path / "results").listed()[0]
    assert "cannot be read" in entry["fault"]
    assert "net_pnl_usd" not in entry
    with pytest.raises(DataError):
        StoredRuns(tmp_path / "results").trades(entry["id"])


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "..", "results/one", "0" * 16])
def test_no_name_leads_out_of_the_folder(tmp_path, run, name):
    left(tmp_path / "results" / "one", run)
    runs = StoredRuns(tmp_path / "results")
    for ask in (runs.report, runs.trades):
        with pytest.raises(DataError):
            ask(name)


def test_links_out_of_the_folder_are_not_followed(tmp_path, run):
    outside = left(tmp_path / "outside", run)
    inside = left(tmp_path / "results" / "one", run)
    (tmp_path / "results" / "linked").symlink_to(outside)
    (inside / "report.html").unlink()
    (inside / "report.html").symlink_to(outside / "report.html")
    runs = StoredRuns(tmp_path / "results")
    entry = runs.listed()[0]
    assert [e["name"] for e in runs.listed()] == ["results/one"]
    assert not entry["report"]
    with pytest.raises(DataError, match="no report"):
        runs.report(entry["id"])


def test_a_summary_that_is_no_finite_number_is_listed(tmp_path, run):
    folder = left(tmp_path / "results" / "one", run)
    (folder / "summary.json").write_text(json.dumps(run.summary | {"sharpe": None}))
    assert StoredRuns(tmp_path / "results").listed()[0]["sharpe"] is None


def test_an_absent_folder_has_no_runs(tmp_path):
    assert StoredRuns(tmp_path / "absent").listed() == []

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mia.data.journal import Journal
from mia.data.state_files import JOURNAL
from mia.errors import JournalError
from mia.performance.account import CYCLE, is_state_directory, read_account
from mia.performance.stored_run import read_run

ROOT = Path(__file__).parent.parent.parent


def mia(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "TERM": "dumb"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A real trader that traded over TCP, its state, and the run it reported."""
    folder = tmp_path_factory.mktemp("demo")
    done = mia(folder, "mia.trader", "--config", "demo", "--out", "out", "--quiet")
    assert done.returncode == 0, done.stderr
    return folder / "out"


@pytest.mark.slow
def test_an_account_has_the_trades_decisions_and_money_of_its_trader(demo):
    account, run = read_account(demo / "state"), read_run(demo)
    assert [replace(trade, extra={}) for trade in account.record.trades] == run.record.trades
    assert len(run.record.trades) > 1
    assert account.record.decisions == run.record.decisions
    assert account.record.sessions == run.record.sessions
    assert account.start_equity == run.start_equity
    journal = account.summary["journal"]
    assert journal["closed_trades"] == len(run.record.trades)
    assert journal["equity_change_usd"] == pytest.approx(run.summary["net_pnl_usd"])
    assert (journal["missing_trades"], journal["unexplained_usd"]) == (0, 0.0)
    for key in ("win_rate", "net_pnl_usd", "costs_usd", "by_hour", "by_side", "excursions"):
        assert account.summary[key] == run.summary[key]


@pytest.mark.slow
def test_a_snapshot_that_is_missing_is_told_and_not_passed_over(demo, tmp_path):
    import shutil

    state = tmp_path / "DU1"
    shutil.copytree(demo / "state", state)
    path = next((state / "snapshots").glob("*_final_result.jsonl"))
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[1:]), encoding="utf-8")
    lost = json.loads(lines[0])["result"]["net_pnl"]
    journal = read_account(state).summary["journal"]
    assert journal["missing_trades"] == 1
    assert journal["unexplained_usd"] == pytest.approx(lost)
    done = mia(tmp_path, "mia.cli", "report", "DU1", "--out", "page.html", "--csv", "tables")
    assert done.returncode == 0, done.stderr
    assert "The snapshots lack 1 trade" in " ".join(done.stdout.split())
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h1>Account DU1</h1>" in page
    with (tmp_path / "tables" / "trades.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(lines) - 1


def test_a_folder_without_a_journal_is_no_account(tmp_path):
    assert not is_state_directory(tmp_path)
    with pytest.raises(JournalError, match="journal"):
        read_account(tmp_path)


@pytest.mark.parametrize(
    ("after", "day", "start"), [("closed", -50.0, 10_050.0), ("sent", 7.0, 10_000.0)]
)
def test_equity_begins_before_the_trade_that_the_first_event_closes(tmp_path, after, day, start):
    risk = {"equity": 10_000.0, "day_pnl": day, "session_id": 20251118}
    at = 1_763_478_000_000_000_000
    with Journal.open(tmp_path / JOURNAL, clock=lambda: at) as journal:
        journal.start_run("0" * 64, "0.1")
        journal.append(CYCLE, {"after": after, "risk": risk}, ts=at)
        later = risk | {"equity": 10_100.0}
        journal.append(CYCLE, {"after": "closed", "risk": later}, ts=at + 1)
    account = read_account(tmp_path)
    assert account.start_equity == start
    assert account.summary["journal"]["equity_change_usd"] == 10_100.0 - start
    assert account.summary["journal"]["closed_trades"] == 1 + (after == "closed")

"""The trader's command: what it prints, leaves and refuses."""

import json
import sys
from pathlib import Path

import pytest
from rich.console import Console
from run_samples import EASY, TRADES_PER_DAY, easy, run_of

import mia
from mia.backtest import Backtest
from mia.command_line import run_app
from mia.config.settings import known_keys, load_settings
from mia.core import sessions
from mia.data.journal_reader import JournalReader
from mia.data.state_files import JOURNAL
from mia.errors import ConfigError
from mia.monitoring.daily_report import daily_report
from mia.trader.app import app
from mia.trader.panel import panel, report_lines

QUICK = ("--set", "demo.faults=false", "--set", f"demo.trades_per_day={TRADES_PER_DAY}")


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    for name in ("TRADING_MODE", "RISK_LEVEL", "MAX_DAILY_LOSS", "MAX_POSITION_SIZE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def trade(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def run(*argv: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["trader", *argv])
        with pytest.raises(SystemExit) as left:
            run_app(app, "python -m mia.trader")
        return left.value.code, *capsys.readouterr()

    return run


def test_the_demo_trades_a_session_and_leaves_a_report(trade, tmp_path: Path) -> None:
    code, out, err = trade("--config", "demo", "--out", "results", *QUICK)
    assert code == 0
    seed = known_keys()["demo.seed"]
    assert f"synthetic market, seed {seed} as wire, session 20250310, paper mode" in err
    assert "report: results/report.html" in out
    names = {path.name for path in (tmp_path / "results").iterdir()}
    assert names == {
        "trades.parquet",
        "decisions.parquet",
        "equity.parquet",
        "candles.parquet",
        "fills.parquet",
        "sessions.parquet",
        "summary.json",
        "report.html",
        "gateway.log",
        "state",
    }
    summary = json.loads((tmp_path / "results" / "summary.json").read_text())
    assert (summary["sessions"], summary["trading_mode"]) == (1, "paper")
    with JournalReader(tmp_path / "results" / "state" / JOURNAL) as journal:
        day = daily_report(journal.events(), 20250310, sessions.session_open(20250311))
    assert 0.99 < day.uptime <= 1.0
    assert (day.runs, day.crashes) == (1, 0)
    assert day.trades.count == summary["trades"]
    assert day.trades.net_usd == pytest.approx(summary["net_pnl_usd"])


def test_the_demo_trades_under_the_limits_of_paper() -> None:
    demo, paper = (load_settings(name, environ={}).limits for name in ("demo", "paper"))
    assert demo == paper
    assert demo.mode == "paper"


@pytest.mark.slow
def test_json_is_all_that_is_printed_and_a_second_demo_is_as_the_first(trade) -> None:
    told = []
    for _ in range(2):
        code, out, err = trade("--config", "demo", "--json", "--quiet", "--out", "results", *QUICK)
        assert (code, err) == (0, "")
        told.append({k: v for k, v in json.loads(out).items() if "second" not in k})
    assert told[0]["source_kind"] == "synthetic, as wire"
    assert told[0] == told[1]


def test_a_state_that_is_not_of_a_demo_is_left_alone(trade, tmp_path: Path) -> None:
    (tmp_path / "results" / "state").mkdir(parents=True)
    code, _, err = trade("--config", "demo", "--out", "results", *QUICK)
    assert code == 3
    assert "choose another folder with --out" in err
    assert (tmp_path / "results" / "state").exists()


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["--set", "feed=none"], 5, ["names no market feed", "--config demo"]),
        (["--set", "trading_mode=live"], 3, ["live", "choose paper"]),
        (["--live"], 2, ["--live has no place in a simulation"]),
        (["--set", "demo.start=tomorrow"], 3, ["demo.start", "'tomorrow'"]),
        (["--set", "demo.start=1999-01-04"], 5, ["the calendar covers"]),
        (["--set", "demo.sessions=0"], 3, ["demo.sessions"]),
        (["--set", "feed=ibkr"], 3, ["set ibkr.port and ibkr.account"]),
        (["--config", "nothing"], 3, ["no profile 'nothing'"]),
        (["--out", "file"], 5, ["file"]),
        (["more"], 2, ["more", "`python -m mia.trader --help`"]),
    ],
)
def test_what_cannot_be_is_told_in_one_line(trade, tmp_path, argv, code, words) -> None:
    (tmp_path / "file").write_text("kept")
    found, out, err = trade(*argv)
    assert (found, out) == (code, "")
    assert err.splitlines()[-1].startswith("mia: ")
    assert "Traceback" not in err
    for word in words:
        assert word in err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_help_and_version(trade) -> None:
    assert trade("--version") == (0, f"mia {mia.__version__}\n", "")
    text = " ".join(trade("--help")[1].split())
    assert "Example: mia trade --config demo" in text
    assert "130 interrupted" in text


def test_the_panel_says_what_is_held_and_why_nothing_was_traded() -> None:
    tape, run = run_of("trades")
    record = run.record
    trader = Backtest(easy(), tape).make_trader(record)
    console = Console(width=120)
    with console.capture() as captured:
        console.print(panel(trader, record, "now"))
    text = captured.get()
    assert "flat" in text
    assert f"{len(record.trades)} closed" in text
    assert "CONFLUENCE" in text


def test_the_last_lines_tell_trades_and_rejections() -> None:
    _, run = run_of("trades")
    lines = list(report_lines(run.summary, Path("x")))
    assert f"{len(run.record.trades)} trades, {run.summary['wins']} won" in lines[0]
    assert "NO_SETUP" in lines[1]
    assert lines[2] == "report: x/report.html"


def test_the_easy_settings_are_settings() -> None:
    assert all(item.split("=")[0] in easy().origin for item in EASY)
    with pytest.raises(ConfigError):
        easy("nothing=1")

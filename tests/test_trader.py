"""The trading cycle as a program, on the synthetic market."""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from run_samples import EASY, TRADES_PER_DAY, easy, market, run_of

import mia
from mia.backtest import Backtest
from mia.command_line import run_app
from mia.config.settings import known_keys, load_settings
from mia.core.base_types import TradeBlock
from mia.errors import ConfigError
from mia.trader.demo import SLICE_NS, app, panel, report_lines, run_demo, slices

QUICK = ("--speed", "0", "--set", f"demo.trades_per_day={TRADES_PER_DAY}")


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
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
    assert f"synthetic market, seed {seed}, session 20250310, paper mode" in err
    assert "report: results/report.html" in out
    names = {path.name for path in (tmp_path / "results").iterdir()}
    assert names == {
        "trades.parquet",
        "decisions.parquet",
        "equity.parquet",
        "summary.json",
        "report.html",
    }
    summary = json.loads((tmp_path / "results" / "summary.json").read_text())
    assert (summary["sessions"], summary["trading_mode"]) == (1, "paper")


def test_the_demo_trades_under_the_limits_of_paper() -> None:
    demo, paper = (load_settings(name, environ={}).limits for name in ("demo", "paper"))
    assert demo == paper
    assert demo.mode == "paper"


def test_the_trader_and_the_backtest_decide_alike(tmp_path: Path) -> None:
    tape, run = run_of("trades")
    summary = run_demo(easy(), tape, tmp_path, 0.0, Console(stderr=True, quiet=True))
    for key in ("trades", "net_pnl_usd", "decisions", "accepted", "rejections", "bars", "ticks"):
        assert summary[key] == run.summary[key], key
    written = pq.read_table(tmp_path / "trades.parquet")
    assert written["trade_id"].to_pylist() == [trade.trade_id for trade in run.record.trades]


def test_json_is_all_that_is_printed(trade) -> None:
    code, out, err = trade("--config", "demo", "--json", "--quiet", "--out", "results", *QUICK)
    assert (code, err) == (0, "")
    assert json.loads(out)["source_kind"] == "synthetic"


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["--config", "production"], 5, ["production names no market feed", "--config demo"]),
        (["--set", "trading_mode=live"], 3, ["live", "choose paper"]),
        (["--set", "demo.start=tomorrow"], 3, ["demo.start", "'tomorrow'"]),
        (["--set", "demo.start=1999-01-04"], 5, ["the calendar covers"]),
        (["--set", "demo.sessions=0"], 3, ["demo.sessions"]),
        (["--config", "nothing"], 3, ["no profile 'nothing'"]),
        (["--speed", "-1"], 2, ["--speed"]),
        (["--speed", "nan"], 2, ["--speed"]),
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
    assert "Example: python -m mia.trader --config demo" in text
    assert "130 interrupted" in text


@pytest.mark.parametrize("span", [SLICE_NS, 1, 10**18])
def test_slices_are_the_block_in_pieces(span: int) -> None:
    block = next(iter(market(days=1).blocks()))
    assert isinstance(block, TradeBlock)
    short = next(slices(block, SLICE_NS * 60))
    pieces = list(slices(short, span))
    assert all(len(piece) for piece in pieces)
    assert all(piece.ts_event[-1] - piece.ts_event[0] < span for piece in pieces)
    for name in ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price"):
        joined = np.concatenate([getattr(piece, name) for piece in pieces])
        assert (joined == getattr(short, name)).all()


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


def test_speed_keeps_to_market_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    slept: list[float] = []
    clock = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr("mia.trader.demo.time.sleep", sleep)
    monkeypatch.setattr("mia.trader.demo.time.monotonic", lambda: clock[0])
    tape = market(days=1)
    run_demo(easy(), tape, tmp_path, 7200.0, Console(stderr=True, quiet=True))
    (block,) = tape.blocks()
    market_seconds = int(block.ts_event[-1] - block.ts_event[0]) / 1e9
    assert sum(slept) == pytest.approx(market_seconds / 7200.0, rel=0.01)


def test_the_easy_settings_are_settings() -> None:
    assert all(item.split("=")[0] in easy().origin for item in EASY)
    with pytest.raises(ConfigError):
        easy("nothing=1")

"""What the demo promises: a session with something of everything, on unchanged paper limits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mia.backtest import Backtest
from mia.config.limits import effective_limits
from mia.config.settings import load_settings
from mia.core.base_types import Reason
from mia.data.tape import synthetic_tape
from mia.data.wire_tape import as_wire
from mia.performance.recorder import RunRecord

ROOT = Path(__file__).parent.parent
WITHIN_S = 60
NO_GATE = {Reason.STOP_TOO_FAR, Reason.NO_SETUP, Reason.REGIME_WAIT}


@pytest.fixture(scope="module")
def record() -> RunRecord:
    loaded = load_settings("demo", environ={}, env_file=Path("absent"))
    assert loaded.limits == effective_limits("paper", "conservative")
    assert set(loaded.origin) <= {"trading_mode", "risk_level", "feed", "backup.every_h"}
    demo = loaded.settings.demo
    start = int(demo.start.replace("-", ""))
    tape = as_wire(synthetic_tape(demo.seed, start, demo.sessions, demo.trades_per_day))
    assert tape.sessions == 1
    return Backtest(loaded, tape).run().record


def test_the_demo_has_a_winner_and_a_loser(record: RunRecord) -> None:
    assert any(trade.net_pnl > 0 for trade in record.trades)
    assert any(trade.net_pnl < 0 for trade in record.trades)


def test_the_demo_is_rejected_by_at_least_five_gates(record: RunRecord) -> None:
    reasons = {d.reason for d in record.decisions if not d.accepted} - NO_GATE
    assert len(reasons) >= 5, reasons


def test_the_demo_ends_flat(record: RunRecord) -> None:
    held = sum(fill.side * fill.quantity for fill in record.fills)
    assert held == 0


def run(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"}
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def summary(folder: Path) -> dict[str, object]:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_demo_does_within_a_minute_what_the_backtest_of_its_tape_does(tmp_path: Path) -> None:
    said = run(tmp_path, "mia.trader", "--config", "demo", "--out", "demo")
    assert "repaired the data" in said
    market = ("--synthetic", "--seed", "41", "--from", "2025-03-10", "--days", "1", "--as-wire")
    activity = ("--trades-per-day", "60000", "--config", "demo", "--out", "backtest")
    run(tmp_path, "mia.cli", "backtest", *market, *activity)
    demo, backtest = summary(tmp_path / "demo"), summary(tmp_path / "backtest")
    assert demo["trades"] == backtest["trades"] > 0
    for name in ("decisions", "accepted", "net_pnl_usd", "costs_usd", "by_exit", "end_equity_usd"):
        assert demo[name] == backtest[name], name

"""What the demo promises: a session with something of everything, on unchanged paper limits."""

from pathlib import Path

import pytest

from mia.backtest import Backtest
from mia.config.limits import effective_limits
from mia.config.settings import load_settings
from mia.core.base_types import Reason
from mia.data.tape import synthetic_tape
from mia.performance.recorder import RunRecord

NO_GATE = {Reason.STOP_TOO_FAR, Reason.NO_SETUP, Reason.REGIME_WAIT}


@pytest.fixture(scope="module")
def record() -> RunRecord:
    loaded = load_settings("demo", environ={}, env_file=Path("absent"))
    assert loaded.limits == effective_limits("paper", "conservative")
    assert set(loaded.origin) <= {"trading_mode", "risk_level", "feed"}
    demo = loaded.settings.demo
    start = int(demo.start.replace("-", ""))
    tape = synthetic_tape(demo.seed, start, demo.sessions, demo.trades_per_day)
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

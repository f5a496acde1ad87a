"""The watchdog tells a breach once while it lasts, and the day when its market has closed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from trading_cases import SESSION, a_closed_trade

from mia.core import sessions
from mia.core.alert_file import AlertLevel
from mia.data.account_history import UPTIME, trade_to_dict, uptime_to_dict
from mia.data.journal import Journal
from mia.data.state_files import JOURNAL
from mia.monitoring.performance_tracker import Thresholds
from mia.monitoring.watch.account_watch import LOOK_S, AccountWatch

SECOND = 1_000_000_000
OPEN = sessions.session_open(SESSION)
CLOSE = sessions.expected_intervals(SESSION)[-1][1]


class Watched:
    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / JOURNAL
        self.told: list[tuple[AlertLevel, str, str]] = []
        self.wall = OPEN + 3600 * SECOND
        self.now = 0.0
        limits = Thresholds(min_trades=3, win_rate=0.5, expectancy_r=-0.5)
        self.watch = AccountWatch(state_dir, limits, self.hear, lambda: self.wall)

    def hear(self, level: AlertLevel, key: str, text: str, now: float) -> None:
        self.told.append((level, key, text))

    def look(self) -> list[str]:
        """Look once more and return the keys of what is told."""
        self.told.clear()
        self.now += LOOK_S
        self.watch.step(self.now)
        return [key for _, key, _ in self.told]

    def close(self, *nets: float) -> None:
        with Journal.open(self.path, clock=lambda: self.wall) as journal:
            journal.append(UPTIME, uptime_to_dict(SESSION, 1800.0, 3600.0), ts=self.wall)
            for net in nets:
                trade = {"closed_trade": trade_to_dict(a_closed_trade(net))}
                journal.append("cycle", trade, ts=self.wall)


@pytest.fixture
def watched(tmp_path) -> Watched:
    return Watched(tmp_path)


def test_without_a_journal_there_is_nothing_to_tell(watched) -> None:
    assert watched.look() == []
    watched.wall = CLOSE
    assert watched.look() == []


def test_a_breach_is_told_once_and_again_only_after_it_had_gone(watched) -> None:
    watched.close(-150.0, -150.0)
    assert watched.look() == []
    watched.close(-150.0)
    keys = watched.look()
    assert "performance:expectancy_r:ALL:ALL" in keys
    assert "performance:expectancy_r:TREND:STRONG_TREND_BULL" in keys
    level, _, text = watched.told[0]
    assert level is AlertLevel.WARNING
    assert "3 trades, 0 won" in text
    assert watched.look() == []
    watched.close(450.0, 450.0)
    assert watched.look() == []
    watched.close(*[-150.0] * 12)
    assert "performance:expectancy_r:ALL:ALL" in watched.look()


def test_it_looks_twice_a_minute_at_most(watched) -> None:
    watched.watch.step(0.0)
    watched.close(-150.0, -150.0, -150.0)
    watched.watch.step(LOOK_S - 0.1)
    assert watched.told == []
    watched.watch.step(LOOK_S)
    assert watched.told


def test_the_day_is_told_when_its_market_closes_and_once(watched) -> None:
    watched.close(100.0)
    watched.wall = CLOSE - SECOND
    assert watched.look() == []
    watched.wall = CLOSE
    assert watched.look() == [f"day:{SESSION}"]
    level, _, text = watched.told[0]
    assert level is AlertLevel.INFO
    assert f"Session {SESSION}: uptime " in text
    assert "1 trades, 1 won" in text
    watched.wall = CLOSE + SECOND
    assert watched.look() == []


def test_a_start_after_the_close_tells_no_day(watched) -> None:
    watched.close(100.0)
    watched.wall = CLOSE + SECOND
    assert watched.look() == []
    watched.wall = CLOSE + 3000 * SECOND
    assert watched.look() == []


def test_a_journal_that_cannot_be_read_is_told_once(watched) -> None:
    watched.path.write_bytes(b"no database, but as long as one has to be" * 100)
    assert watched.look() == ["journal:unreadable"]
    assert watched.look() == []


def test_the_process_tells_a_breach_on_its_console(tmp_path) -> None:
    Watched(tmp_path).close(*[-150.0] * 20)
    arguments = ["-m", "mia.cli", "watch", "--state-dir", str(tmp_path)]
    root = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, *arguments, "--set", "track.expectancy_r=-0.5"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    try:
        for line in process.stdout:
            if "expectancy_r of all trades is -1.00, the limit is -0.50" in line:
                break
        else:
            pytest.fail("the process ended and told nothing")
    finally:
        process.terminate()
        process.communicate()
    assert process.returncode in (0, 143)

"""A day's report says what the journal holds of that day, and nothing of another."""

import json
from pathlib import Path
from typing import Any

import pytest
from trading_cases import a_closed_trade, at
from typer.testing import CliRunner

from mia.cli.app import app
from mia.core import sessions
from mia.core.base_types import Strategy
from mia.core.statistics import wilson_interval
from mia.data.account_history import UPTIME, trade_to_dict, uptime_to_dict
from mia.data.journal import Journal
from mia.data.journal_reader import JournalReader
from mia.data.state_files import JOURNAL
from mia.errors import DataError
from mia.monitoring.daily_report import DailyReport, daily_report, lines

SESSION = 20251118
BEFORE = 20251117
HOUR = 3600 * 1_000_000_000
OPEN = sessions.session_open(SESSION)
OPEN_S = sum(b - a for a, b in sessions.expected_intervals(SESSION)) / 1e9


class Diary:
    """A journal whose clock is set by hand."""

    def __init__(self, folder: Path) -> None:
        self.now = OPEN
        self.path = folder / JOURNAL

    def write(self, *events: tuple[int, str, dict[str, Any]], ends: bool = True) -> None:
        with Journal.open(self.path, clock=lambda: self.now) as journal:
            journal.start_run("config", "code")
            for ts, kind, payload in events:
                journal.append(kind, payload, ts=ts)
            if ends:
                journal.end_run()

    def report(self, now: int, session: int = SESSION) -> DailyReport:
        with JournalReader(self.path) as journal:
            return daily_report(journal.events(), session, now)


@pytest.fixture
def diary(tmp_path) -> Diary:
    return Diary(tmp_path)


def ready(hours: float, ready_s: float, session: int = SESSION) -> tuple[int, str, dict[str, Any]]:
    return OPEN + round(hours * HOUR), UPTIME, uptime_to_dict(session, ready_s, ready_s + 1)


def closed(**changes: Any) -> tuple[int, str, dict[str, Any]]:
    trade = a_closed_trade(changes.pop("net", 100.0), **changes)
    return trade.ts_exit, "cycle", {"closed_trade": trade_to_dict(trade)}


def test_uptime_is_of_the_open_market_up_to_now(diary) -> None:
    diary.write(ready(1, 3000.0), ready(2, 5400.0))
    found = diary.report(OPEN + 2 * HOUR)
    assert (found.open_s, found.ready_s) == (7200.0, 5400.0)
    assert found.uptime == 0.75
    late = diary.report(OPEN + 30 * HOUR)
    assert late.open_s == OPEN_S
    assert late.uptime == pytest.approx(5400.0 / OPEN_S)


def test_the_time_in_which_no_trader_ran_counts_as_not_ready(diary) -> None:
    diary.write(ready(1, 3600.0))
    diary.now = OPEN + 3 * HOUR
    diary.write(ready(4, 3500.0))
    found = diary.report(OPEN + 4 * HOUR)
    assert found.ready_s == 7100.0
    assert found.uptime == pytest.approx(7100 / (4 * 3600))


def test_uptime_of_another_session_is_not_counted(diary) -> None:
    diary.write(ready(0.1, 70_000.0, BEFORE), ready(1, 3000.0))
    assert diary.report(OPEN + HOUR).ready_s == 3000.0


def test_before_the_market_opens_there_is_no_uptime(diary) -> None:
    diary.write()
    found = diary.report(OPEN)
    assert found.uptime is None
    assert "not open yet" in lines(found)[0]


def test_a_run_that_never_ended_is_a_crash_once_another_begins(diary) -> None:
    diary.write(ends=False)
    assert diary.report(OPEN + HOUR).crashes == 0
    diary.now += HOUR
    diary.write()
    diary.now += HOUR
    diary.write(ends=False)
    found = diary.report(OPEN + 3 * HOUR)
    assert (found.runs, found.crashes) == (3, 1)


def test_trades_are_those_of_the_session(diary) -> None:
    diary.write(
        closed(net=200.0, costs=4.0, slippage_ticks=0.0),
        closed(net=-150.0, costs=4.0, slippage_ticks=2.0, strategy=Strategy.RANGE),
        closed(net=999.0, session_id=BEFORE),
    )
    found = diary.report(at("16:00"))
    trades = found.trades
    assert (trades.count, trades.wins, trades.net_usd, trades.costs_usd) == (2, 1, 50.0, 8.0)
    assert trades.win_interval == wilson_interval(1, 2)
    assert (trades.best_usd, trades.worst_usd, trades.slippage_mean) == (200.0, -150.0, 1.0)
    assert {name: part.net_usd for name, part in found.by_strategy.items()} == {
        "TREND": 200.0,
        "RANGE": -150.0,
    }
    said = "\n".join(lines(found))
    assert "2 trades, 1 won (95 % interval 9% to 91%), net +50.00 USD after 8.00" in said
    assert "RANGE: 1 trades, 0 won, net -150.00 USD" in said


def test_what_stopped_trading_is_told_once(diary) -> None:
    cause = {"rule": "FEED_STALE", "state": "HALT_ENTRIES", "since": OPEN + 5, "until": None}
    old = {**cause, "rule": "DAILY_LOSS", "since": OPEN - 5}
    state = {"causes": [cause, old]}
    diary.write(
        (OPEN + 5, "kill.state", state),
        (OPEN + 6, "kill.state", state),
        (OPEN + 7, "kill.command", {"identity": "x", "name": "halt", "outcome": "obeyed"}),
        (OPEN + 8, "gate.refused", {"code": "STALE"}),
        (OPEN + 9, "gate.refused", {"code": "STALE"}),
        (OPEN + 10, "hole", {"since": 1, "until": 2}),
    )
    found = diary.report(OPEN + HOUR)
    assert [(stop.rule, stop.state) for stop in found.stops] == [("FEED_STALE", "HALT_ENTRIES")]
    assert found.commands == ["halt obeyed"]
    assert found.refused == {"STALE": 2}
    assert found.holes == 1
    said = lines(found)
    assert "stopped by FEED_STALE: HALT_ENTRIES" in said
    assert "refused at the last gate: STALE 2" in said


def test_a_day_without_a_market_is_refused(diary) -> None:
    diary.write()
    with pytest.raises(DataError):
        diary.report(OPEN, 18000101)


def test_the_command_prints_the_newest_session(diary, tmp_path) -> None:
    diary.write(ready(2, 7000.0), closed(net=80.0))
    done = CliRunner().invoke(app, ["report", "day", "--state", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["session_id"] == SESSION
    assert found["uptime"] == pytest.approx(7000.0 / OPEN_S)
    assert found["trades"]["net_usd"] == 80.0
    plain = CliRunner().invoke(app, ["report", "day", "--state", str(tmp_path)])
    assert plain.stdout.startswith(f"Session {SESSION}: uptime ")

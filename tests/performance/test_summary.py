import json
from dataclasses import replace
from math import inf, isfinite, nan

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from run_cases import SECOND, START, a_run
from trading_cases import SESSION, a_closed_trade, at

from mia.core.base_types import ExitReason, Regime, SetupKind, Strategy
from mia.performance.recorder import RunRecord
from mia.performance.summary import RunFacts, daily_pnl, entry_hour, session_month, summarise

FIGURES = {
    "trades",
    "wins",
    "win_rate",
    "win_rate_wilson_95",
    "profit_factor",
    "expectancy_r",
    "expectancy_r_95",
    "expectancy_usd",
    "net_pnl_usd",
    "gross_pnl_usd",
    "costs_usd",
    "slippage_ticks_mean",
    "bars_held_mean",
}
GROUPS = {
    "by_strategy",
    "by_trigger",
    "by_regime",
    "by_exit",
    "by_side",
    "by_hour",
    "by_weekday",
    "by_month",
    "by_phase",
}
SECTIONS = {
    "daily",
    "growth",
    "under_water",
    "cone",
    "selection",
    "rolling",
    "r_distribution",
    "excursions",
    "streaks",
    "cost_shares",
    "activity",
}
KEYS = FIGURES | GROUPS | SECTIONS | {
    "rows",
    "bars",
    "ticks",
    "seconds",
    "ticks_per_second",
    "sessions",
    "first_session",
    "last_session",
    "sessions_with_trades",
    "sessions_after_last_trade",
    "sharpe",
    "sharpe_standard_error",
    "probabilistic_sharpe",
    "sortino",
    "sortino_standard_error",
    "max_drawdown_usd",
    "max_drawdown_share",
    "start_equity_usd",
    "end_equity_usd",
    "exposure",
    "decisions",
    "accepted",
    "unfilled",
    "rejections",
    "kill_switch",
}  # fmt: skip


def facts(**changed):
    return replace(RunFacts(10, 8, 10, 2.0, START, 4, 3, {"source": "x"}), **changed)


def numbers(value):
    if isinstance(value, dict):
        for part in value.values():
            yield from numbers(part)
    elif isinstance(value, list):
        for part in value:
            yield from numbers(part)
    elif isinstance(value, float):
        yield value


@pytest.mark.parametrize("per_day", [0.0, 0.1, 2.0])
def test_every_key_is_there_whatever_happened(per_day):
    summary = a_run(seed=1, per_day=per_day).summary
    assert set(summary) >= KEYS
    assert summary["source"] == "es.parquet"
    for group in GROUPS:
        for figures in summary[group].values():
            assert set(figures) == FIGURES


@given(
    st.lists(
        st.tuples(
            st.floats(-1e9, 1e9),
            st.floats(-1e3, 1e3),
            st.sampled_from([20251117, 20251118, 20251119]),
            st.floats(-1e9, 1e9) | st.sampled_from([nan, inf]),
        ),
        max_size=8,
    ),
    st.booleans(),
)
@settings(max_examples=40)
@example([(1.0, 0.0, 20251117, 0.0), (-3.2e-158, 0.0, 20251118, 0.0)], False)
def test_no_summary_holds_a_number_that_json_cannot_say(rows, marked):
    record = RunRecord(sessions=[20251117, 20251118, 20251119])
    for net, r, sid, slippage in rows:
        record.trades.append(
            a_closed_trade(net, r_multiple=r, session_id=sid, slippage_ticks=slippage)
        )
        if marked:
            record.marks.append((at("10:15"), sid, START + net))
    summary = summarise(record, facts())
    assert all(isfinite(number) for number in numbers(summary))
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_empty_run_has_counts_and_no_ratio():
    summary = summarise(RunRecord(), facts(rows=0, bars=0, ticks=0, seconds=0.0, waits=0))
    assert summary["trades"] == summary["sessions"] == 0
    assert summary["first_session"] is summary["last_session"] is None
    undefined = ("win_rate", "sharpe", "sortino", "expectancy_r", "exposure", "ticks_per_second")
    assert [summary[key] for key in undefined] == [None] * len(undefined)
    assert summary["end_equity_usd"] == START


def test_sessions_with_and_after_trades_are_counted():
    record = RunRecord(sessions=[20251114, 20251117, 20251118, 20251119, 20251120])
    assert summarise(record, facts())["sessions_after_last_trade"] == 5
    record.trades += [a_closed_trade(1.0, session_id=20251117), a_closed_trade(1.0)]
    record.trades.append(a_closed_trade(2.0))
    summary = summarise(record, facts())
    assert (summary["sessions_with_trades"], summary["sessions_after_last_trade"]) == (2, 2)


def test_flat_sessions_count_as_days_without_profit():
    record = RunRecord(sessions=[20251117, 20251118, 20251119])
    record.trades += [a_closed_trade(100.0), a_closed_trade(-30.0)]
    assert daily_pnl(record).tolist() == [0.0, 70.0, 0.0]


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_groups_divide_the_trades(group):
    summary = a_run(seed=2).summary
    parts = summary[group].values()
    assert len(parts) > 0
    assert sum(part["trades"] for part in parts) == summary["trades"]
    assert sum(part["wins"] for part in parts) == summary["wins"]
    for key in ("net_pnl_usd", "gross_pnl_usd", "costs_usd"):
        assert sum(part[key] for part in parts) == pytest.approx(summary[key])


def test_figures_of_a_few_trades_are_those_of_the_hand():
    record = RunRecord(sessions=[20251117, SESSION])
    record.trades += [
        a_closed_trade(300.0, costs=5.0, gross_pnl=305.0, slippage_ticks=0.0, bars_held=3),
        a_closed_trade(-150.0, costs=5.0, gross_pnl=-145.0, slippage_ticks=2.0, bars_held=1),
        a_closed_trade(0.0, costs=5.0, gross_pnl=5.0, session_id=20251117, bars_held=2),
    ]
    record.marks += [(at("10:05"), SESSION, START + 400.0), (at("10:15"), SESSION, START + 150.0)]
    summary = summarise(record, facts(bars=60))
    assert summary["wins"] == 1
    assert summary["win_rate"] == 1 / 3
    assert summary["expectancy_r"] == pytest.approx((2.0 - 1.0 + 0.0) / 3)
    assert summary["profit_factor"] == 2.0
    assert summary["costs_usd"] == 15.0
    assert summary["net_pnl_usd"] == 150.0
    assert summary["end_equity_usd"] == START + 150.0
    assert summary["slippage_ticks_mean"] == 1.0
    assert summary["exposure"] == 6 / 60
    assert summary["max_drawdown_usd"] == 250.0
    assert summary["max_drawdown_share"] == pytest.approx(250.0 / (START + 400.0))


def test_trades_are_named_by_what_they_were():
    record = RunRecord(sessions=[SESSION])
    record.trades.append(
        a_closed_trade(
            1.0,
            strategy=Strategy.RANGE,
            kind=SetupKind.R1,
            regime=Regime.RANGE_NEUTRAL,
            side=-1,
            exit_reason=ExitReason.TIME_STOP,
        )
    )
    summary = summarise(record, facts())
    assert {group: list(summary[group]) for group in sorted(GROUPS)} == {
        "by_exit": ["TIME_STOP"],
        "by_hour": ["10"],
        "by_month": ["2025-11"],
        "by_phase": ["ny_open"],
        "by_regime": ["RANGE_NEUTRAL"],
        "by_side": ["SHORT"],
        "by_strategy": ["RANGE"],
        "by_trigger": ["R1"],
        "by_weekday": ["Tuesday"],
    }


@pytest.mark.parametrize(
    ("utc", "hour"),
    [
        ("2025-10-31T13:30", "09"),
        ("2025-11-03T14:30", "09"),
        ("2025-03-10T13:59", "09"),
        ("2025-11-18T05:00", "00"),
    ],
)
def test_hour_of_entry_follows_the_clocks_of_new_york(utc, hour):
    ts = int(np.datetime64(utc, "s").astype(np.int64)) * SECOND
    assert entry_hour(a_closed_trade(1.0, ts_entry=ts)) == hour


def test_evening_trade_belongs_to_the_weekday_and_month_of_its_session():
    sunday = int(np.datetime64("2025-11-30T23:30", "s").astype(np.int64)) * SECOND
    trade = a_closed_trade(1.0, session_id=20251201, ts_entry=sunday)
    summary = summarise(RunRecord(sessions=[20251201], trades=[trade]), facts())
    assert list(summary["by_weekday"]) == ["Monday"]
    assert list(summary["by_hour"]) == ["18"]
    assert session_month(trade) == "2025-12"

"""Sections of a summary, of samples that can be worked out by hand and of none."""

from math import sqrt

import numpy as np
import pytest
from run_cases import START, a_run
from trading_cases import SESSION, a_closed_trade

from mia.core.overfitting import Trials, probability_of_overfitting
from mia.core.statistics import sharpe
from mia.performance import session_analysis, trade_analysis
from mia.performance.report import render

DAYS = [20251117, 20251118, 20251119, 20251120]


def some_trades():
    return [
        a_closed_trade(300.0, gross_ticks=24.0, mfe_ticks=30, mae_ticks=-3, costs=5.0,
                       gross_pnl=305.0, slippage_ticks=1.0),
        a_closed_trade(-150.0, gross_ticks=-12.0, mfe_ticks=12, mae_ticks=-12, costs=5.0,
                       gross_pnl=-145.0, slippage_ticks=0.5, side=-1),
        a_closed_trade(-150.0, gross_ticks=-12.0, mfe_ticks=6, mae_ticks=-15, costs=5.0,
                       gross_pnl=-145.0, slippage_ticks=float("nan"), session_id=20251120),
    ]  # fmt: skip


def test_excursions_are_in_units_of_the_first_stop():
    found = trade_analysis.excursion_figures(some_trades())
    assert found["best_r"]["mean"] == pytest.approx((2.5 + 1.0 + 0.5) / 3)
    assert found["worst_r"]["p50"] == 1.0
    assert found["captured"] == pytest.approx(24 / 30)
    assert found["edge_ratio"] == pytest.approx(48 / 30)
    assert found["given_back_r"]["mean"] == pytest.approx((0.5 + 2.0 + 1.5) / 3)
    assert (found["losers"], found["losers_once_ahead_by_r"]) == (2, 1)


def test_costs_are_set_against_the_gains_before_them():
    found = trade_analysis.cost_figures(some_trades())
    assert found["commissions_usd"] == 15.0
    assert found["slippage_usd"] == pytest.approx(1.5 * 12.5)
    assert found["commissions_share_of_gains"] == pytest.approx(15 / 305)
    assert found["slippage_ticks"]["mean"] == 0.75


def test_results_in_r_with_payoff_and_kelly():
    found = trade_analysis.r_figures(some_trades())
    assert (found["winners"], found["losers"], found["trades"]) == (1, 2, 3)
    assert found["payoff"] == pytest.approx(2.0)
    assert found["kelly_fraction"] == pytest.approx(1 / 3 - (2 / 3) / 2)


def test_activity_counts_sessions_and_sides():
    found = trade_analysis.activity_figures(some_trades(), DAYS, bars=100)
    assert found["trades_per_session"] == 0.75
    assert found["trades_per_traded_session"] == 1.5
    assert found["longest_silence_sessions"] == 1
    assert found["long_share_of_bars"] == pytest.approx(0.28)
    assert found["short_share_of_bars"] == pytest.approx(0.14)
    assert found["minutes_held"]["p50"] == 14.0


def test_streaks_follow_the_order_of_the_trades():
    found = trade_analysis.streak_figures(some_trades())
    assert (found["longest_wins"], found["longest_losses"], found["current"]) == (1, 2, -2)


def test_sessions_under_water_are_named():
    daily = np.array([100.0, -40.0, -10.0, 60.0])
    equity = session_analysis.closing_equity(daily, 1000.0)
    found = session_analysis.under_water(equity, DAYS)
    assert found["share_of_sessions"] == 0.5
    assert found["deepest"] == [
        {
            "high": DAYS[0],
            "trough": DAYS[2],
            "recovered": DAYS[3],
            "usd": 50.0,
            "share": pytest.approx(50 / 1100),
            "sessions": 3,
        }
    ]
    falling = session_analysis.under_water(np.array([10.0, 9.0]), DAYS[:1])
    assert falling["deepest"][0]["high"] is None
    assert falling["current_sessions"] == falling["longest_sessions"] == 1


def test_intervals_of_sessions_hold_the_estimate():
    daily = np.random.Generator(np.random.PCG64(2)).normal(30.0, 100.0, 250)
    found = session_analysis.daily_figures(daily)
    low, high = found["sharpe_95"]
    assert low < sharpe(daily).value < high
    # Of the normal the error is known; the bootstrap comes within a tenth of it.
    assert high - low == pytest.approx(3.92 * sharpe(daily).standard_error, rel=0.1)
    assert found["mean_usd_95"][1] - found["mean_usd_95"][0] == pytest.approx(
        3.92 * daily.std() / sqrt(250), rel=0.1
    )
    low, high = found["sortino_95"]
    assert low < high


def test_selection_tells_the_trials_and_the_length_that_would_do():
    daily = np.random.Generator(np.random.PCG64(3)).normal(10.0, 100.0, 400)
    outcome = probability_of_overfitting(np.column_stack([daily, -daily]))
    alone = session_analysis.selection_figures(daily, Trials(), None)
    among = session_analysis.selection_figures(daily, Trials(50, 0.8), outcome)
    assert alone["best_sharpe_by_chance"] == 0.0
    assert among["best_sharpe_by_chance"] == pytest.approx(0.8 * 2.27, abs=0.02)
    assert among["deflated_sharpe"] < alone["deflated_sharpe"]
    assert among["overfitting"]["variants"] == 2
    assert alone["minimum_track_record_sessions"] > 1


@pytest.mark.parametrize(
    "daily", [[], [100.0], [0.0, 0.0], [100.0, 100.0, 100.0]], ids=["none", "one", "flat", "equal"]
)
def test_sessions_without_variance_have_no_ratio_and_no_interval(daily):
    daily = np.array(daily)
    found = session_analysis.daily_figures(daily)
    assert found["sharpe_95"] == found["sortino_95"] == found["mean_usd_95"] == [None, None]
    assert found["skewness"] is None
    selection = session_analysis.selection_figures(daily, Trials(), None)
    assert selection["deflated_sharpe"] is None
    assert selection["minimum_track_record_sessions"] is None
    cone = session_analysis.cone_figures(daily)
    assert (cone is None) == (len(daily) < 2)
    rolling = session_analysis.rolling_figures(daily, np.empty(0))
    assert rolling["sharpe"]["windows"] == 0


@pytest.mark.parametrize("net", [[], [100.0], [-50.0], [100.0, -50.0], [70.0, 70.0]])
def test_none_one_and_two_trades_are_defined(net):
    trades = [a_closed_trade(value) for value in net]
    r = trade_analysis.r_figures(trades)
    assert r["trades"] == len(net)
    assert (r["mean"] is None) == (not net)
    assert (r["payoff"] is None) == (len(set(net)) < 2)
    assert (r["kelly_fraction"] is None) == (len(set(net)) < 2)
    assert (r["standard_deviation"] is None) == (len(net) < 2)
    assert trade_analysis.excursion_figures(trades)["edge_ratio"] is None
    assert trade_analysis.streak_figures(trades)["runs_z"] is None
    costs = trade_analysis.cost_figures(trades)
    assert (costs["commissions_share_of_gains"] is None) == (not any(x > 0 for x in net))
    assert trade_analysis.activity_figures(trades, [SESSION], 0)["long_share_of_bars"] is None


def test_page_shows_every_section_for_one_trade_and_for_many():
    for per_day in (0.06, 2.0):
        run = a_run(seed=4, per_day=per_day)
        assert run.summary["trades"] > 0
        page = render(run.record, run.summary, run.bars, START)
        for title in ("Is it luck?", "Risk", "Under water", "What a trade goes through"):
            assert title in page

"""Each risk gate: one case that it stops and one near miss, through the whole decision."""

import json
from dataclasses import replace
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trading_cases import (
    COLLECT,
    LIVE,
    MINUTE,
    PAPER,
    SESSION,
    a_closed_trade,
    a_context,
    a_proposal,
    at,
    some_facts,
)

from mia.config.method import Account, Risk
from mia.core.base_types import ExitReason, OrderType, Phase, Reason, Strategy, Tier
from mia.errors import DataError
from mia.execution.risk_manager import RiskManager, position_equivalents, volatility_mult
from mia.strategies.session_hours import session_hours
from mia.strategies.signal_generator import SignalGenerator

NEXT_SESSION = 20251119


def assess(risk=None, context=None, proposal=None, limits=PAPER, **facts):
    risk = risk or RiskManager(limits)
    facts_ = some_facts(limits, **facts)
    return risk.assess(context or a_context(), proposal or a_proposal(), facts_)


def gate(assessment, code: Reason):
    (found,) = (g for g in assessment.gates if g.code is code)
    return found


def after(*results: float, limits=PAPER, equity=25_000.0, **trade) -> RiskManager:
    """Return a manager that has booked these net results, 20 minutes before the decision."""
    risk = RiskManager(limits, {"account": Account(start_equity=equity)})
    risk.roll(SESSION)
    for net in results:
        risk.record_closed(a_closed_trade(net, ts_exit=at("10:10"), **trade))
    return risk


def reason(risk=None, context=None, limits=PAPER, **facts) -> Reason:
    generator = SignalGenerator(limits, risk or RiskManager(limits))
    facts_ = some_facts(limits, **facts)
    return generator.decide(context or a_context(), a_proposal(), facts_).reason


def test_gates_come_in_the_order_of_their_codes() -> None:
    codes = list(Reason)
    expected = codes[codes.index(Reason.DAILY_LOSS) :]
    assert [g.code for g in assess().gates] == expected


def test_daily_loss_stops_at_the_limit() -> None:
    assert reason(after(-600.0)) is Reason.DAILY_LOSS
    assert gate(assess(after(-599.99)), Reason.DAILY_LOSS).passed


def test_an_open_loss_counts_towards_the_daily_loss_and_an_open_gain_does_not() -> None:
    assert not gate(assess(after(-500.0), open_pnl=-100.0), Reason.DAILY_LOSS).passed
    assert gate(assess(after(-500.0), open_pnl=900.0), Reason.DAILY_LOSS).value == -500


def test_daily_target_stops_for_the_day_even_if_profit_is_given_back() -> None:
    assert reason(after(1000.0)) is Reason.DAILY_TARGET
    assert reason(after(1000.0, -1.0, exit_reason=ExitReason.TIME_STOP)) is Reason.DAILY_TARGET
    assert reason(after(999.99)) is Reason.OK


def test_the_next_session_starts_its_day_afresh() -> None:
    risk = after(1000.0)
    tomorrow = a_context(session_id=NEXT_SESSION)
    assert gate(assess(risk, tomorrow), Reason.DAILY_TARGET).passed
    assert (risk.day_pnl, risk.day_trades, risk.equity) == (0.0, 0, 26_000.0)


def test_fifty_trades_a_day_in_paper() -> None:
    risk = RiskManager(PAPER)
    for _ in range(49):
        risk.record_entry(SESSION)
    assert reason(risk) is Reason.OK
    risk.record_entry(SESSION)
    assert reason(risk) is Reason.TRADES_PER_DAY


def test_drawdown_stops_at_five_per_cent_of_the_equity_high() -> None:
    # high 25000: 5 % = 1250, lost over earlier sessions so that no other limit binds
    for lost, expected in ((1250.0, Reason.DRAWDOWN), (1249.0, Reason.OK)):
        risk = after(-lost, exit_reason=ExitReason.TIME_STOP)
        risk.roll(NEXT_SESSION)
        context = a_context(session_id=NEXT_SESSION)
        assert reason(risk, context) is expected


def test_drawdown_is_measured_from_the_highest_equity() -> None:
    # 25000 -> 27000 -> 26000: 1 - 26/27 = 3.7 %
    risk = after(2000.0, -1000.0)
    assert gate(assess(risk), Reason.DRAWDOWN).value == pytest.approx(1 / 27)


def test_vix_above_the_ceiling_stops_and_at_it_does_not() -> None:
    # 30 in paper; from 25 size is halved: budget 90, MES risk 19.42: 4
    assert reason(context=a_context(vix=30.01)) is Reason.VIX_CEILING
    assert reason(context=a_context(vix=30.0)) is Reason.OK


def test_a_missing_vix_passes_as_unknown() -> None:
    found = gate(assess(context=a_context(vix=nan)), Reason.VIX_CEILING)
    assert (found.passed, found.known) == (True, False)


def test_data_collection_has_no_vix_ceiling() -> None:
    found = gate(assess(context=a_context(vix=80.0), limits=COLLECT), Reason.VIX_CEILING)
    assert (found.passed, found.limit) == (True, inf)


def test_four_losses_in_a_row_pause_for_two_hours() -> None:
    small = {"exit_reason": ExitReason.TIME_STOP}
    risk = after(-1.0, -1.0, -1.0, -1.0, **small)
    assert reason(risk) is Reason.LOSS_STREAK
    end = at("10:10") + 120 * MINUTE
    assert not gate(assess(risk, a_context(ts=end - 1)), Reason.LOSS_STREAK).passed
    assert gate(assess(risk, a_context(ts=end)), Reason.LOSS_STREAK).passed
    assert reason(after(-1.0, -1.0, -1.0, **small)) is Reason.OK


def test_a_trade_that_does_not_lose_breaks_the_streak() -> None:
    small = {"exit_reason": ExitReason.TIME_STOP}
    assert reason(after(-1.0, -1.0, -1.0, 0.0, -1.0, **small)) is Reason.OK


def test_friday_stops_at_15_00() -> None:
    friday = 20251121
    hours = session_hours(friday, PAPER)
    before = a_context(session_id=friday, ts=hours.friday_cut - 1)
    on_time = a_context(session_id=friday, ts=hours.friday_cut)
    assert gate(assess(context=before, hours=hours), Reason.FRIDAY).passed
    assert not gate(assess(context=on_time, hours=hours), Reason.FRIDAY).passed
    thursday = session_hours(20251120, PAPER)
    late = a_context(session_id=20251120, ts=thursday.half_after)
    assert gate(assess(context=late, hours=thursday), Reason.FRIDAY).passed


@pytest.mark.parametrize(
    ("context", "facts"),
    [
        (a_context(vix=nan), {}),
        (a_context(), {"calendar_covered": False}),
        (a_context(), {"news_window": lambda ts: None}),
    ],
)
def test_missing_coverage_blocks_live_and_is_counted_as_unknown_elsewhere(context, facts) -> None:
    live = gate(assess(context=context, limits=LIVE, **facts), Reason.COVERAGE)
    paper = gate(assess(context=context, **facts), Reason.COVERAGE)
    assert (live.passed, live.known, live.value) == (False, False, 1)
    assert (paper.passed, paper.known, paper.value) == (True, False, 1)


def test_full_coverage_passes_live() -> None:
    found = gate(assess(limits=LIVE), Reason.COVERAGE)
    assert (found.passed, found.known) == (True, True)


def test_one_position_or_working_entry_at_a_time() -> None:
    assert reason(positions=1) is Reason.MAX_POSITIONS
    assert reason(positions=0) is Reason.OK


def test_open_risk_may_be_half_the_daily_limit() -> None:
    # 9 MES at 19.42 = 174.78; 300 - 174.78 = 125.22
    assert reason(open_risk=125.23) is Reason.OPEN_RISK
    assert reason(open_risk=125.22) is Reason.OK


def test_a_long_record_without_an_edge_stops() -> None:
    # 30 trades, 10 won, b = 1: p = 15/40 < 1/2; the last is a win, so no streak
    results = [-10.0, -10.0, 10.0] * 10
    risk = after(*results, exit_reason=ExitReason.TIME_STOP)
    assert reason(risk) is Reason.KELLY_NO_EDGE
    young = after(*results[3:], exit_reason=ExitReason.TIME_STOP)
    assert gate(assess(young), Reason.KELLY_NO_EDGE).passed


def test_each_family_has_its_own_record() -> None:
    results = [-10.0, -10.0, 10.0] * 10
    trade = {"exit_reason": ExitReason.TIME_STOP, "strategy": Strategy.RANGE}
    assert gate(assess(after(*results, **trade)), Reason.KELLY_NO_EDGE).passed


def test_a_size_of_zero_stops() -> None:
    # allowance 600 - 540 = 60: budget 18 < 19.42
    assert reason(after(-540.0, exit_reason=ExitReason.TIME_STOP)) is Reason.SIZE_ZERO
    # 600 - 535 = 65: budget 19.50: one MES
    found = assess(after(-535.0, exit_reason=ExitReason.TIME_STOP))
    assert (found.symbol, found.quantity) == ("MES", 1)


def test_size_is_halved_from_15_00() -> None:
    # 9 MES by budget at 12 ticks in ny_open; half of 9 is 4
    late = a_context(ts=at("15:00"))
    assert assess(context=late).quantity == 4
    assert assess(context=a_context(ts=at("15:00") - 1)).quantity == 9


@pytest.mark.parametrize(
    ("phase", "mult"),
    [
        (Phase.ny_open, 1.0),
        (Phase.afternoon, 0.8),
        (Phase.london_open, 0.8),
        (Phase.lunch, 0.5),
        (Phase.after_hours, 0.5),
        (Phase.pre_market, 0.5),
        (Phase.close, 0.5),
        (Phase.halt, 0.5),
    ],
)
def test_session_mult_scales_the_budget(phase: Phase, mult: float) -> None:
    budgets = assess(context=a_context(phase=phase)).budgets
    assert budgets["session_mult"] == mult
    assert budgets["risk_budget"] == pytest.approx(180 * mult)


@pytest.mark.parametrize(
    ("vix", "atr", "atr_ref", "mult"),
    [
        (35.01, 6.0, 6.0, 0.0),
        (35.0, 6.0, 6.0, 0.5),
        (25.01, 6.0, 6.0, 0.5),
        (25.0, 6.0, 6.0, 1.0),
        (18.0, 12.01, 6.0, 0.0),
        (18.0, 12.0, 6.0, 0.5),
        (18.0, 9.01, 6.0, 0.5),
        (18.0, 9.0, 6.0, 1.0),
        (nan, 6.0, nan, 1.0),
        (nan, 9.01, 6.0, 0.5),
    ],
)
def test_volatility_halves_size_and_then_stops_it(vix, atr, atr_ref, mult) -> None:
    assert volatility_mult(vix, atr, atr_ref) == mult


@pytest.mark.parametrize(
    ("tier", "factor"),
    [(Tier.PREMIUM, 1), (Tier.STRONG, 1), (Tier.UNRANKED, 1), (Tier.WEAK, 0.75), (Tier.NONE, 0.5)],
)
def test_the_tier_scales_the_budget(tier: Tier, factor: float) -> None:
    budgets = assess(context=a_context(tier=tier)).budgets
    assert budgets["risk_budget"] == pytest.approx(180 * factor)


def test_all_factors_multiply() -> None:
    # afternoon .8, VIX 26 .5, quality .75 .75, WEAK .75: .225 * 180 = 40.50
    context = a_context(phase=Phase.afternoon, vix=26.0, tier=Tier.WEAK)
    budgets = assess(context=context, proposal=a_proposal(quality=0.75)).budgets
    assert budgets["risk_budget"] == pytest.approx(40.50)


def test_costs_in_r_are_those_of_the_instrument_that_would_be_traded() -> None:
    # MES (1.92 + 2.50)/15; limit entry (1.92 + 1.25)/15
    assert assess().cost_r == pytest.approx(4.42 / 15)
    limit = a_proposal(entry_type=OrderType.LIMIT)
    assert assess(proposal=limit).cost_r == pytest.approx((6.90 + 12.50) / 150)


def test_a_stop_out_is_a_losing_stop() -> None:
    risk = after(-100.0)
    assert risk.last_stop_out == at("10:10")
    for trade in ({"exit_reason": ExitReason.TIME_STOP}, {"net_pnl": 50.0}):
        other = RiskManager(PAPER)
        other.record_closed(replace(a_closed_trade(-100.0), **trade))
        assert other.last_stop_out < 0


@pytest.mark.parametrize("facts", [{"open_pnl": nan}, {"open_risk": nan}])
def test_an_amount_that_is_no_number_stops_the_trade(facts) -> None:
    assert reason(**facts) is not Reason.OK


def test_an_account_that_is_no_number_stops_every_trade() -> None:
    risk = after(nan)
    found = assess(risk)
    assert found.quantity == 0
    assert not gate(found, Reason.DAILY_LOSS).passed
    assert not gate(found, Reason.DRAWDOWN).passed
    assert risk.remaining_allowance() == 0.0


def test_state_survives_a_restart_through_json() -> None:
    risk = after(-100.0, -50.0, 30.0)
    risk.record_entry(SESSION)
    other = RiskManager(PAPER)
    other.restore(json.loads(json.dumps(risk.to_dict())))
    assert other.to_dict() == risk.to_dict()
    assert assess(other) == assess(risk)


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 2},
        {"equity": nan},
        {"equity": "much"},
        {"results": {"TREND": [1.0]}},
        {"results": {"TREND": [nan], "RANGE": []}},
        {"day_trades": None},
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(damage) -> None:
    risk = after(-100.0)
    before = risk.to_dict()
    with pytest.raises(DataError, match="saved risk state is damaged"):
        risk.restore(before | damage)
    with pytest.raises(DataError, match="saved risk state is damaged"):
        risk.restore({key: before[key] for key in before if key not in damage})
    assert risk.to_dict() == before


def test_the_instrument_may_be_fixed() -> None:
    groups = {"risk": Risk(instrument="ES")}
    found = assess(RiskManager(PAPER, groups))
    assert (found.symbol, found.quantity) == ("ES", 0)


def test_ten_mes_are_one_es() -> None:
    assert position_equivalents("MES", -15) == pytest.approx(1.5)
    assert position_equivalents("ES", 2) == 2


@given(
    loss=st.floats(0, 700),
    more=st.floats(0, 700),
    open_pnl=st.floats(-300, 300),
    worse=st.floats(0, 300),
)
def test_size_does_not_grow_as_the_day_gets_worse(loss, more, open_pnl, worse) -> None:
    good = assess(after(-loss), open_pnl=open_pnl)
    bad = assess(after(-loss - more), open_pnl=open_pnl - worse)
    for code in (Reason.DAILY_LOSS, Reason.DRAWDOWN):
        assert gate(good, code).passed or not gate(bad, code).passed
    scale = {"ES": 10, "MES": 1}
    assert bad.quantity * scale[bad.symbol] <= good.quantity * scale[good.symbol]

"""Each rule of section 18: what raises the state, a near miss, and how it falls."""

import json
from dataclasses import replace
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trading_cases import COLLECT, MINUTE, PAPER, SESSION, at

from mia.core.base_types import TradingState
from mia.errors import DataError
from mia.execution.kill_switch import CONDITIONS, Exposure, KillSwitch, Rule

NORMAL, HALT_ENTRIES, HALT_TRADING, EMERGENCY = TradingState
SECOND = 1_000_000_000
T = at("10:00")
NEXT_SESSION = SESSION + 1
FLAT = Exposure()
# per trade 200, so that -3R = -600 and -2R = -400 do not meet the daily limit of 2000
ROOMY = replace(PAPER, daily_loss_usd=2000.0)


def switch(limits=ROOMY, **rest) -> KillSwitch:
    ks = KillSwitch(limits, **rest)
    ks.check(T, SESSION, FLAT, 18.0)
    return ks


def check(ks, ts=T, session=SESSION, vix=18.0, **exposure) -> TradingState:
    return ks.check(ts, session, Exposure(**exposure), vix)


def test_a_quiet_account_is_normal() -> None:
    assert check(switch(), realized=100.0, open_pnl=-50.0, worst_pnl=-80.0, position=1) is NORMAL


def test_three_r_lost_in_a_day_halts_trading_until_the_next_session() -> None:
    ks = switch()
    check(ks, realized=-599.99)
    assert Rule.DAY_LOSS_R not in ks.causes
    assert check(ks, realized=-500.0, open_pnl=-100.0) is HALT_TRADING
    assert Rule.DAY_LOSS_R in ks.causes
    assert check(ks, ts=T + 600 * MINUTE) is HALT_TRADING
    assert check(ks, session=NEXT_SESSION, ts=T + 1440 * MINUTE) is NORMAL


def test_the_daily_limit_counts_the_position_as_if_its_stop_were_filled() -> None:
    # 3R = 1200 here; limit 600: -450 realised, -40 open, -150 at the stop
    limits = replace(PAPER, per_trade_usd=400.0)
    ks = switch(limits)
    assert check(ks, realized=-450.0, open_pnl=-40.0, worst_pnl=-149.99) is NORMAL
    assert check(ks, realized=-450.0, open_pnl=-40.0, worst_pnl=-150.0) is HALT_TRADING
    assert set(ks.causes) == {Rule.DAILY_LOSS}


def test_an_open_loss_beyond_the_stop_counts_in_full() -> None:
    ks = switch(replace(PAPER, per_trade_usd=400.0))
    assert check(ks, realized=-450.0, open_pnl=-150.0, worst_pnl=-100.0) is HALT_TRADING


def test_the_latch_survives_restart_and_manual_reset() -> None:
    ks = switch()
    check(ks, realized=-700.0)
    ks.reset()
    assert ks.state is HALT_TRADING
    other = KillSwitch(ROOMY)
    other.restore(json.loads(json.dumps(ks.to_dict())), T + SECOND)
    assert check(other, ts=T + 2 * SECOND) is HALT_TRADING
    assert check(other, ts=T + 1440 * MINUTE, session=NEXT_SESSION) is NORMAL


def test_two_r_below_the_sessions_high_halts_entries_for_an_hour() -> None:
    ks = switch()
    check(ks, realized=300.0)
    assert check(ks, realized=-99.0) is NORMAL
    assert check(ks, realized=-100.0) is HALT_ENTRIES
    assert check(ks, ts=T + 60 * MINUTE - 1, realized=-100.0) is HALT_ENTRIES
    # the same loss does not halt again; another 2R from there does
    assert check(ks, ts=T + 60 * MINUTE, realized=-100.0) is NORMAL
    assert check(ks, ts=T + 61 * MINUTE, realized=-499.0) is NORMAL
    assert check(ks, ts=T + 61 * MINUTE, realized=-500.0) is HALT_ENTRIES


def test_the_high_of_a_session_starts_at_zero() -> None:
    ks = switch()
    check(ks, realized=900.0)
    assert check(ks, session=NEXT_SESSION, realized=-399.0) is NORMAL
    assert check(ks, session=NEXT_SESSION, realized=-400.0) is HALT_ENTRIES


def test_an_own_position_above_the_limit_halts_trading() -> None:
    # limit 1 ES
    assert check(switch(), position=1.0) is NORMAL
    ks = switch()
    assert check(ks, position=1.1) is HALT_TRADING
    assert check(ks) is HALT_TRADING
    assert check(ks, session=NEXT_SESSION) is NORMAL


def test_vix_above_the_ceiling_halts_entries_while_so() -> None:
    ks = switch()
    assert check(ks, vix=30.0) is NORMAL
    assert check(ks, vix=30.01) is HALT_ENTRIES
    assert check(ks, vix=29.0) is NORMAL
    assert check(ks, vix=nan) is NORMAL
    assert check(switch(COLLECT), vix=90.0) is NORMAL


@pytest.mark.parametrize("rule", sorted(CONDITIONS - {Rule.VIX, Rule.ACCOUNT_UNKNOWN}))
def test_a_watched_condition_halts_entries_while_it_lasts(rule: Rule) -> None:
    ks = switch()
    ks.hold(rule, T, True)
    assert check(ks, ts=T + 900 * MINUTE) is HALT_ENTRIES
    ks.hold(rule, T + SECOND, False)
    assert ks.state is NORMAL


def test_a_rule_that_is_no_condition_cannot_be_held() -> None:
    with pytest.raises(ValueError, match="DAY_LOSS_R is no condition"):
        switch().hold(Rule.DAY_LOSS_R, T, False)


@pytest.mark.parametrize("field", ["realized", "open_pnl", "worst_pnl", "position"])
def test_an_account_that_is_no_number_stops_entries(field: str) -> None:
    ks = switch()
    assert check(ks, **{field: nan}) is HALT_ENTRIES
    assert set(ks.causes) == {Rule.ACCOUNT_UNKNOWN}
    assert check(ks) is NORMAL


def test_the_21st_order_in_a_minute_halts_entries_for_five() -> None:
    ks = switch()
    for k in range(20):
        ks.record_order(T + k)
    assert ks.state is NORMAL
    ks.record_order(T + MINUTE - 1)
    assert check(ks, ts=T + 6 * MINUTE - 2) is HALT_ENTRIES
    assert check(ks, ts=T + 6 * MINUTE - 1) is NORMAL


def test_21_orders_in_more_than_a_minute_are_fine() -> None:
    ks = switch()
    for k in range(21):
        ks.record_order(T + k * 3 * SECOND)
    assert ks.state is NORMAL


def test_the_fourth_reject_in_a_minute_halts_entries_for_five() -> None:
    ks = switch()
    for k in (0, 1, 2):
        ks.record_reject(T + k, SESSION)
    assert ks.state is NORMAL
    ks.record_reject(T + MINUTE - 1, SESSION)
    assert check(ks, ts=T + 2 * MINUTE) is HALT_ENTRIES
    assert check(ks, ts=T + 6 * MINUTE - 1) is NORMAL


def test_ten_rejects_of_a_session_halt_trading() -> None:
    ks = switch()
    for k in range(9):
        ks.record_reject(T + k * MINUTE, SESSION)
    assert ks.state is NORMAL
    ks.record_reject(T + 9 * MINUTE, SESSION)
    assert ks.state is HALT_TRADING


def test_rejects_of_different_sessions_do_not_add_up() -> None:
    ks = switch()
    for k in range(9):
        ks.record_reject(T + k * MINUTE, SESSION)
    ks.record_reject(T + 1440 * MINUTE, NEXT_SESSION)
    assert ks.state is NORMAL


def test_more_than_ten_bad_records_of_a_thousand_halt_for_one_two_then_five_minutes() -> None:
    ks = switch()
    for k in range(10):
        ks.record_quality(T + k, good=False)
    assert ks.state is NORMAL
    ts = T + SECOND
    for minutes in (1, 2, 5, 5):
        ks.record_quality(ts, good=False)
        assert check(ks, ts=ts + minutes * MINUTE - 1) is HALT_ENTRIES
        assert check(ks, ts=ts + minutes * MINUTE) is NORMAL
        ts += minutes * MINUTE


def test_a_bad_record_leaves_the_window_after_a_thousand() -> None:
    ks = switch()
    for good, count in ((False, 10), (True, 1000), (False, 10)):
        for _ in range(count):
            ks.record_quality(T, good=good)
    assert ks.state is NORMAL
    ks.record_quality(T, good=False)
    assert ks.state is HALT_ENTRIES


def test_escalation_starts_again_with_a_session() -> None:
    ks = switch()
    for _ in range(11):
        ks.record_quality(T, good=False)
    check(ks, ts=T + MINUTE)
    ks.record_quality(T + MINUTE, good=False)
    assert ks.causes[Rule.BAD_RECORDS].until == T + 3 * MINUTE
    later = T + 1440 * MINUTE
    check(ks, ts=later, session=NEXT_SESSION)
    ks.record_quality(later, good=False)
    assert ks.causes[Rule.BAD_RECORDS].until == later + MINUTE


def test_a_running_pause_is_not_prolonged_by_more_of_the_same() -> None:
    ks = switch()
    for k in range(30):
        ks.record_quality(T + k, good=False)
    assert ks.causes[Rule.BAD_RECORDS].until == T + 10 + MINUTE


def test_slow_decisions_halt_entries_by_their_95th_percentile() -> None:
    # of 20 values rank 19 is the second largest
    ks = switch()
    for k in range(18):
        ks.record_latency(T + k, 5.0)
    ks.record_latency(T, 5000.0)
    ks.record_latency(T, 800.0)
    assert ks.state is NORMAL
    other = switch()
    for _ in range(18):
        other.record_latency(T, 5.0)
    other.record_latency(T, 5000.0)
    other.record_latency(T, 800.1)
    assert other.state is HALT_ENTRIES


def test_a_few_slow_decisions_alone_say_nothing() -> None:
    ks = switch()
    for _ in range(19):
        ks.record_latency(T, 5000.0)
    assert ks.state is NORMAL


def test_slippage_of_the_last_twenty_fills_halts_entries() -> None:
    ks = switch()
    for ticks in [1.0] * 18 + [9.0, 3.0]:
        ks.record_slippage(T, ticks)
    assert ks.state is NORMAL
    ks.record_slippage(T, 3.5)
    assert ks.state is HALT_ENTRIES
    assert ks.causes[Rule.SLIPPAGE].until == T + MINUTE


@pytest.mark.parametrize("value", [nan, inf])
def test_a_measure_that_is_no_number_counts_as_the_worst(value: float) -> None:
    ks = switch()
    for ticks in [1.0] * 18 + [value, value]:
        ks.record_slippage(T, ticks)
    assert ks.state is HALT_ENTRIES


def test_an_unhandled_exception_is_an_emergency_until_a_person_resets_it() -> None:
    ks = switch()
    ks.record_exception(T)
    assert check(ks, ts=T + 1440 * MINUTE, session=NEXT_SESSION) is EMERGENCY
    ks.reset()
    assert ks.state is NORMAL


def test_kill_commands() -> None:
    ks = switch()
    ks.command("halt", T)
    assert check(ks, session=NEXT_SESSION, ts=T + 1440 * MINUTE) is HALT_ENTRIES
    ks.command("flatten", T + 1440 * MINUTE)
    assert ks.state is HALT_TRADING
    assert check(ks, session=NEXT_SESSION + 1, ts=T + 2880 * MINUTE) is HALT_ENTRIES
    ks.reset()
    assert ks.state is NORMAL
    with pytest.raises(ValueError, match="unknown kill command 'stop': use halt or flatten"):
        ks.command("stop", T)


def test_a_command_before_the_first_check_lasts_through_the_first_session() -> None:
    ks = KillSwitch(ROOMY)
    ks.command("flatten", T)
    assert check(ks) is HALT_TRADING
    assert check(ks, session=NEXT_SESSION) is NORMAL


def test_the_end_of_one_cause_does_not_hide_another() -> None:
    ks = switch()
    ks.hold(Rule.DATA_STALE, T, True)
    check(ks, vix=99.0)
    check(ks, realized=-700.0)
    ks.hold(Rule.DATA_STALE, T, False)
    assert check(ks, realized=-700.0) is HALT_TRADING
    assert check(ks, session=NEXT_SESSION, vix=99.0) is HALT_ENTRIES


def test_changes_are_told_with_the_state_before_and_after() -> None:
    told = []
    ks = switch(on_change=lambda cause, before, after: told.append((cause.rule, before, after)))
    ks.hold(Rule.BROKER_LOST, T, True)
    ks.hold(Rule.BROKER_LOST, T, True)
    ks.record_exception(T)
    assert told == [
        (Rule.BROKER_LOST, NORMAL, HALT_ENTRIES),
        (Rule.UNHANDLED_EXCEPTION, HALT_ENTRIES, EMERGENCY),
    ]


def test_counts_and_timers_survive_a_restart() -> None:
    ks = switch()
    for k in range(9):
        ks.record_reject(T + k * MINUTE, SESSION)
    for ticks in [1.0] * 18 + [nan]:
        ks.record_slippage(T, ticks)
    check(ks, ts=T + 10 * MINUTE, realized=-400.0)
    other = KillSwitch(ROOMY)
    other.restore(json.loads(json.dumps(ks.to_dict())), T + 11 * MINUTE)
    assert other.to_dict() == ks.to_dict()
    assert check(other, ts=T + 70 * MINUTE - 1, realized=-400.0) is HALT_ENTRIES
    assert check(other, ts=T + 70 * MINUTE, realized=-400.0) is NORMAL
    other.record_slippage(T + 70 * MINUTE, 4.0)
    assert Rule.SLIPPAGE in other.causes
    other.record_reject(T + 70 * MINUTE, SESSION)
    assert other.state is HALT_TRADING


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 9},
        {"causes": [{"rule": "MOOD"}]},
        {"causes": None},
        {"trips": []},
        {"high": nan},
        {"counters": {}},
        {"session_id": None},
    ],
)
def test_a_damaged_state_is_an_emergency(damage) -> None:
    ks = switch()
    with pytest.raises(DataError, match="kill-switch state is damaged"):
        ks.restore(ks.to_dict() | damage, T)
    assert check(ks) is EMERGENCY


@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 50 * MINUTE), st.floats(-900, 900), st.floats(10, 40), st.booleans()
        ),
        max_size=30,
    )
)
def test_saving_and_restoring_at_any_point_changes_nothing(steps) -> None:
    ks = switch()
    ts = T
    for later, realized, vix, stale in steps:
        ts += later
        twin = KillSwitch(ROOMY)
        twin.restore(json.loads(json.dumps(ks.to_dict())), ts)
        for one in (ks, twin):
            one.hold(Rule.DATA_STALE, ts, stale)
            check(one, ts=ts, realized=realized, vix=vix)
        assert twin.to_dict() == ks.to_dict()
        assert twin.state is ks.state


def test_a_runaway_prolongs_its_halt_once_a_second_and_no_oftener() -> None:
    raised: list[Rule] = []
    switch = KillSwitch(PAPER, lambda cause, before, after: raised.append(cause.rule))
    start = at("10:30")
    for k in range(3000):
        switch.record_order(start + k * MINUTE // 60_000)
    assert 2 <= len(raised) <= 3
    assert switch.causes[Rule.ORDER_RATE].until == pytest.approx(start + 5 * MINUTE, abs=3 * 10**9)

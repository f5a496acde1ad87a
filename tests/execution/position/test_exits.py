"""Trade management (17.2) and the order of exits (17.3), on a long from 25,000 with d = 12."""

import json
from dataclasses import replace
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trading_cases import MINUTE, SESSION, a_context, a_proposal, at, some_facts

from mia.config.method import Exit
from mia.core.base_types import ExitReason, GoldenState, SetupKind, Strategy, TradingState
from mia.errors import DataError
from mia.execution.position.exits import ExitRules, ExitTrade, MoveStop, OpenTrade, open_trade

HOURS = some_facts().hours
QUIET = {"bn_signal": 0, "golden": 0.6, "golden_state": GoldenState.STRONG_BULLISH}


def a_trade(**changed) -> OpenTrade:
    trade = OpenTrade(
        "TRADE_1",
        Strategy.TREND,
        SetupKind.T1,
        1,
        1,
        at("10:00"),
        SESSION,
        25_000.0,
        24_988,
        25_024,
        12,
        best=25_000.0,
    )
    return replace(trade, **changed)


def mirrored(trade: OpenTrade) -> OpenTrade:
    return replace(
        trade,
        side=-1,
        entry=-trade.entry,
        stop=-trade.stop,
        target=-trade.target,
        best=-trade.best,
        base_dir=-trade.base_dir,
        base_low=-trade.base_high,
        base_high=-trade.base_low,
    )


def bar(close: int, *, high: int | None = None, low: int | None = None, **changed):
    """Return a close of a bar without colour, ten minutes into the trade, no base active."""
    values = {
        "ts": at("10:10"),
        "t_open": at("10:09"),
        "open": close,
        "high": close if high is None else high,
        "low": close if low is None else low,
        "close": close,
        "active_dir": 0,
    }
    return a_context(**(values | QUIET | changed))


def red(close: int, **changed):
    return bar(close, open=close + 1, **changed)


def at_close(trade, context, state=TradingState.NORMAL, hours=HOURS, **groups):
    return ExitRules(groups).at_close(trade, context, hours, state)


def exits(reason: ExitReason, trade, context, **rest) -> bool:
    return at_close(trade, context, **rest) == ExitTrade(reason)


def test_breakeven_at_ten_ticks_for_a_distance_of_twelve() -> None:
    # max(8, ceil(0.8 * 12)) = max(8, 9.6 -> 10) = 10
    trade = a_trade()
    assert at_close(trade, bar(25_009)) is None
    assert at_close(trade, bar(25_010)) == MoveStop(25_000)
    assert trade.stop == 25_000
    assert at_close(trade, bar(25_010)) is None


def test_breakeven_never_before_eight_ticks() -> None:
    # d = 5: max(8, 4) = 8
    trade = a_trade(distance=5, stop=24_995)
    assert at_close(trade, bar(25_007)) is None
    assert at_close(trade, bar(25_008)) == MoveStop(25_000)


def test_breakeven_at_an_average_price_between_ticks_is_rounded_away() -> None:
    assert at_close(a_trade(entry=25_000.5), bar(25_011)) == MoveStop(25_000)
    short = mirrored(a_trade(entry=25_000.5))
    assert at_close(short, bar(-25_011)) == MoveStop(-25_000)


def test_breakeven_looks_at_the_close_and_not_at_the_high() -> None:
    assert at_close(a_trade(), bar(25_005, high=25_030)) is None


def test_trailing_follows_the_best_price_from_fifteen_ticks_at_eight() -> None:
    # start max(12, ceil(14.4)) = 15; distance max(6, ceil(7.2)) = 8
    trade = a_trade()
    assert at_close(trade, bar(25_014, high=25_018)) == MoveStop(25_000)  # breakeven only
    # best is 25018, also of an earlier bar: 25018 - 8
    assert at_close(trade, bar(25_015)) == MoveStop(25_010)
    assert at_close(trade, bar(25_020, high=25_021)) == MoveStop(25_013)


def test_trailing_of_a_short_distance_keeps_six_ticks_from_twelve() -> None:
    # d = 5: start max(12, 6) = 12, distance max(6, 3) = 6
    trade = a_trade(distance=5, stop=24_995, target=25_100)
    assert at_close(trade, bar(25_011)) == MoveStop(25_000)
    assert at_close(trade, bar(25_012)) == MoveStop(25_006)


def test_trailing_goes_on_below_its_start_once_it_began() -> None:
    trade = a_trade()
    assert at_close(trade, bar(25_016)) == MoveStop(25_008)
    assert at_close(trade, bar(25_012, high=25_019)) == MoveStop(25_011)


def test_a_trailing_stop_rests_below_the_market() -> None:
    # best 25023 less 8 = 25015, but the close is 25015: one tick below it
    trade = a_trade()
    assert at_close(trade, bar(25_015, high=25_023)) == MoveStop(25_014)


def test_the_high_of_the_entry_bar_is_not_a_best_price() -> None:
    # filled inside the bar: only its close is known to follow the fill; 25016 - 8
    trade = a_trade(ts_entry=at("10:09") + 1)
    assert at_close(trade, bar(25_016, high=25_022)) == MoveStop(25_008)
    next_bar = a_trade(ts_entry=at("10:09"))
    assert at_close(next_bar, bar(25_016, high=25_022)) == MoveStop(25_014)


def test_time_stop_at_45_minutes() -> None:
    end = at("10:45")
    assert at_close(a_trade(), bar(25_001, ts=end - 1)) is None
    assert exits(ExitReason.TIME_STOP, a_trade(), bar(25_001, ts=end))


def test_time_stop_at_50_bars() -> None:
    trade = a_trade()
    for _ in range(49):
        assert at_close(trade, bar(25_001)) is None
    assert exits(ExitReason.TIME_STOP, trade, bar(25_001))


def test_session_end_five_minutes_before_the_hours_end() -> None:
    # paper ends 15:45
    young = a_trade(ts_entry=at("15:35"))
    assert at_close(young, bar(25_001, ts=at("15:40") - 1)) is None
    assert exits(ExitReason.SESSION_END, young, bar(25_001, ts=at("15:40")))


def test_a_position_found_outside_the_hours_or_its_session_is_closed() -> None:
    assert exits(ExitReason.SESSION_END, a_trade(), bar(25_001, ts=at("09:34")))
    assert exits(ExitReason.SESSION_END, a_trade(session_id=SESSION - 1), bar(25_001))


def test_emergency_at_forty_ticks_or_twice_the_distance() -> None:
    # d = 12: max(40, 24) = 40
    assert exits(ExitReason.EMERGENCY, a_trade(), bar(24_960))
    assert exits(ExitReason.STOP, a_trade(), bar(24_961))
    # d = 25: 50
    wide = a_trade(distance=25, stop=24_940)
    assert at_close(wide, bar(24_951)) is None
    assert exits(ExitReason.EMERGENCY, wide, bar(24_950))


def test_an_entry_that_is_no_number_is_an_emergency() -> None:
    assert exits(ExitReason.EMERGENCY, a_trade(entry=nan), bar(25_001))


def test_kill_state_closes_from_halt_trading() -> None:
    assert at_close(a_trade(), bar(25_001), TradingState.HALT_ENTRIES) is None
    for state in (TradingState.HALT_TRADING, TradingState.EMERGENCY):
        assert exits(ExitReason.KILL_STATE, a_trade(), bar(25_001), state=state)


def test_a_position_that_outlived_its_stop_is_closed() -> None:
    assert exits(ExitReason.STOP, a_trade(), bar(24_988))
    assert at_close(a_trade(), bar(24_989)) is None


def test_a_target_must_be_traded_through() -> None:
    assert exits(ExitReason.TARGET, a_trade(), bar(25_025))
    assert isinstance(at_close(a_trade(), bar(25_024)), MoveStop)


def test_base_violation_needs_a_confirmed_violation_against_the_side() -> None:
    confirmed = GoldenState.VIOLATION_CONFIRMED
    against = bar(25_001, golden=-0.6, golden_state=confirmed)
    assert exits(ExitReason.BASE_VIOLATION, a_trade(), against)
    assert at_close(a_trade(), bar(25_001, golden=0.6, golden_state=confirmed)) is None
    weak = bar(25_001, golden=-0.2, golden_state=GoldenState.WEAK_BEARISH)
    assert at_close(a_trade(), weak) is None


def test_two_balls_below_the_middle_of_the_active_base() -> None:
    # green base 24990..25001, middle 24995.5; a long
    base = {"active_dir": 1, "active_low": 24_990, "active_high": 25_001}
    trade = a_trade()
    assert at_close(trade, red(24_995, **base)) is None
    assert exits(ExitReason.TWO_BALLS, trade, red(24_995, **base))


@pytest.mark.parametrize(
    "closes",
    [
        (red(24_995), red(24_996)),
        (red(24_996), red(24_995)),
        (red(24_995), bar(24_995)),
        (bar(24_995), red(24_995)),
    ],
)
def test_one_ball_is_not_two(closes) -> None:
    trade = a_trade()
    base = {"active_dir": 1, "active_low": 24_990, "active_high": 25_001}
    for context in closes:
        assert at_close(trade, context._replace(**base)) is None


def test_two_balls_fall_back_to_the_base_at_entry() -> None:
    entry_base = {"base_dir": 1, "base_low": 24_990, "base_high": 25_001}
    trade = a_trade(**entry_base)
    at_close(trade, red(24_995))
    assert exits(ExitReason.TWO_BALLS, trade, red(24_995))
    # a red base now, and a red one at entry, support no long
    for other in (a_trade(), a_trade(**entry_base | {"base_dir": -1})):
        at_close(other, red(24_995, active_dir=-1, active_low=24_990, active_high=25_001))
        assert at_close(other, red(24_995)) is None


def test_the_active_base_takes_precedence_over_the_base_at_entry() -> None:
    trade = a_trade(base_dir=1, base_low=24_990, base_high=25_001)
    low = {"active_dir": 1, "active_low": 24_980, "active_high": 24_990}
    at_close(trade, red(24_995, **low))
    assert at_close(trade, red(24_995, **low)) is None


def test_two_signals_against_the_side_in_a_row() -> None:
    trade = a_trade()
    assert at_close(trade, bar(25_001, bn_signal=-1)) is None
    assert exits(ExitReason.BN_SIGNAL, trade, bar(25_001, bn_signal=-1))
    broken = a_trade()
    for signal in (-1, 0, -1, 1, -1):
        assert at_close(broken, bar(25_001, bn_signal=signal)) is None


def test_the_first_rule_in_order_names_the_exit() -> None:
    # every rule below fires in this close; switching off the first leaves the next
    trade = {"base_dir": 1, "base_low": 25_000, "base_high": 25_060, "against": 1}
    trade |= {"last_open": 25_003, "last_close": 25_002, "stop": 25_010, "target": 24_999}
    context = {"golden": -0.6, "golden_state": GoldenState.VIOLATION_CONFIRMED, "bn_signal": -1}
    end = {"ts": at("15:40")}
    kill = TradingState.HALT_TRADING
    emergency = {"entry": 25_041.0}

    def found(state=kill, **changed):
        t = {k: v for k, v in (trade | changed).items() if k in OpenTrade.__slots__}
        c = {k: v for k, v in (context | changed).items() if k not in OpenTrade.__slots__}
        action = at_close(a_trade(**t), red(25_001, **c), state)
        return action.reason

    assert found(**emergency, **end) is ExitReason.EMERGENCY
    assert found(**end) is ExitReason.SESSION_END
    late = {"ts": at("10:50")}
    assert found(**late) is ExitReason.KILL_STATE
    quiet = late | {"state": TradingState.NORMAL}
    assert found(**quiet) is ExitReason.STOP
    quiet |= {"stop": 24_980}
    assert found(**quiet) is ExitReason.TARGET
    quiet |= {"target": 25_030}
    assert found(**quiet) is ExitReason.BASE_VIOLATION
    quiet |= {"golden": 0.6}
    assert found(**quiet) is ExitReason.TWO_BALLS
    quiet |= {"base_dir": 0}
    assert found(**quiet) is ExitReason.BN_SIGNAL
    quiet |= {"bn_signal": 0}
    assert found(**quiet) is ExitReason.TIME_STOP


def test_distances_come_from_the_group_exit() -> None:
    groups = {"exit": Exit(be_ticks=3, be_r=0, max_minutes=5)}
    assert at_close(a_trade(ts_entry=at("10:06")), bar(25_003), **groups) == MoveStop(25_000)
    assert exits(ExitReason.TIME_STOP, a_trade(), bar(25_003), **groups)


def test_a_trade_starts_from_its_proposal_its_fill_and_the_base_of_the_moment() -> None:
    trade = open_trade("TRADE_9", a_proposal(), a_context(), 2, at("10:31"), 25_002.0)
    assert (trade.entry, trade.best, trade.stop, trade.target) == (25_002, 25_002, 24_989, 25_025)
    assert (trade.base_dir, trade.base_low, trade.base_high) == (1, 24_984, 24_990)
    assert (trade.distance, trade.quantity, trade.session_id) == (12, 2, SESSION)


def test_a_trade_survives_a_restart_through_json() -> None:
    trade = a_trade(best=25_010.0, trailing=True, bars_held=7, against=1, last_close=25_003)
    assert OpenTrade.from_dict(json.loads(json.dumps(trade.to_dict()))) == trade


@pytest.mark.parametrize("damage", [{"strategy": "HOPE"}, {"kind": "T9"}])
def test_a_damaged_trade_is_refused(damage) -> None:
    with pytest.raises(DataError, match="saved open trade is damaged"):
        OpenTrade.from_dict(a_trade().to_dict() | damage)
    with pytest.raises(DataError, match="saved open trade is damaged"):
        OpenTrade.from_dict({})


closes = st.lists(
    st.tuples(st.integers(24_989, 25_024), st.integers(0, 12), st.integers(-1, 1)),
    min_size=1,
    max_size=40,
)


@given(path=closes, distance=st.integers(4, 20))
def test_a_stop_only_tightens_stays_behind_the_market_and_mirrors(path, distance) -> None:
    long = a_trade(distance=distance, target=25_024)
    short = mirrored(long)
    for close, wick, signal in path:
        stop = long.stop
        up = at_close(long, bar(close, high=close + wick, bn_signal=signal))
        down = at_close(short, bar(-close, low=-close - wick, bn_signal=-signal))
        if isinstance(up, ExitTrade):
            assert down == up
            return
        assert long.stop >= stop
        assert long.stop < close
        assert type(long.stop) is int
        assert short.stop == -long.stop
        if isinstance(up, MoveStop):
            assert up.stop == long.stop > stop


@given(
    close=st.integers(24_900, 25_100),
    state=st.sampled_from(TradingState),
    minutes=st.integers(-60, 600),
    signal=st.integers(-1, 1),
    golden=st.sampled_from([-0.6, 0.0, 0.6, nan]),
)
def test_no_state_ever_blocks_an_exit(close, state, minutes, signal, golden) -> None:
    context = bar(
        close,
        ts=at("10:00") + minutes * MINUTE,
        bn_signal=signal,
        golden=golden,
        golden_state=GoldenState.VIOLATION_CONFIRMED,
    )
    calm = at_close(a_trade(against=1), context)
    halted = at_close(a_trade(against=1), context, state)
    if isinstance(calm, ExitTrade) or state >= TradingState.HALT_TRADING:
        assert isinstance(halted, ExitTrade)
    else:
        assert halted == calm

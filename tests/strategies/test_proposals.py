"""Section by section: the d rules, then each trigger of both strategies."""

from dataclasses import replace
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trading_cases import a_context, a_setup

from mia.config.method import Range, Risk, Trend
from mia.core.base_types import OrderType, Reason, Regime, SetupKind, Strategy
from mia.core.trading_types import Proposal
from mia.errors import ConfigError
from mia.strategies.proposals import Rejection, group, size_class_factor
from mia.strategies.range_strategy import RangeStrategy
from mia.strategies.strategy_selector import StrategySelector
from mia.strategies.trend_strategy import TrendStrategy, entry_is_void

TREND_KINDS = {
    SetupKind.T1: 0,
    SetupKind.T2: 1,
    SetupKind.P3: 2,
    SetupKind.P4: 3,
    SetupKind.P1: 4,
    SetupKind.P5: 5,
}
RANGE_KINDS = {SetupKind.R1: 0, SetupKind.P1: 1, SetupKind.P2: 2, SetupKind.P5: 3}
BULL_RANGE = {"regime": Regime.RANGE_BULLISH_BIAS, "active_dir": 0}


def trend(**changed):
    return TrendStrategy().propose(a_context(**changed))


def in_range(**changed):
    return RangeStrategy().propose(a_context(**(BULL_RANGE | changed)))


def test_a_trend_entry_is_a_stop_one_tick_beyond_the_bar_with_target_two_d() -> None:
    # H = 25000: entry 25001; stop 24989: d = 12; target 25001 + ceil(2.0 * 12) = 25025
    assert trend() == Proposal(
        Strategy.TREND, SetupKind.T1, 1, 0.80, OrderType.STOP, 25_001, 24_989, 25_025, 12, 3
    )


def test_a_short_trend_entry_mirrors_the_long_one() -> None:
    # L = 24993: entry 24992; stop 25004: d = 12; target 24992 - 24 = 24968
    found = trend(regime=Regime.WEAK_TREND_BEAR, setups=(a_setup(side=-1, stop=25_004.0),))
    assert (found.entry, found.stop, found.target, found.distance) == (24_992, 25_004, 24_968, 12)


def test_target_r_is_rounded_up_to_a_tick() -> None:
    # 1.7 * 12 = 20.4, up to 21
    strategy = TrendStrategy({"trend": Trend(target_r=1.7)})
    assert strategy.propose(a_context()).target == 25_001 + 21


def test_target_r_of_a_whole_number_of_ticks_is_not_rounded_up_for_float_dust() -> None:
    # 1.1 * 10 = 11.000000000000002 in float64
    strategy = TrendStrategy({"trend": Trend(target_r=1.1)})
    assert strategy.propose(a_context(setups=(a_setup(stop=24_991.0),))).target == 25_001 + 11


@pytest.mark.parametrize(
    ("side", "stop", "regime", "expected"),
    [
        (1, 24_989.9, Regime.STRONG_TREND_BULL, 24_989),
        (1, 24_990 - 1e-10, Regime.STRONG_TREND_BULL, 24_990),
        (-1, 25_003.1, Regime.STRONG_TREND_BEAR, 25_004),
        (-1, 25_003 + 1e-10, Regime.STRONG_TREND_BEAR, 25_003),
    ],
)
def test_a_float_stop_is_rounded_away_from_the_entry(side, stop, regime, expected) -> None:
    assert trend(regime=regime, setups=(a_setup(side=side, stop=stop),)).stop == expected


@pytest.mark.parametrize(
    ("side", "target", "regime", "expected"),
    [
        (1, 25_030.9, Regime.RANGE_BULLISH_BIAS, 25_030),
        (1, 25_031 - 1e-10, Regime.RANGE_BULLISH_BIAS, 25_031),
        (-1, 24_960.1, Regime.RANGE_BEARISH_BIAS, 24_961),
        (-1, 24_960 + 1e-10, Regime.RANGE_BEARISH_BIAS, 24_960),
    ],
)
def test_a_float_target_is_rounded_towards_the_entry(side, target, regime, expected) -> None:
    setup = a_setup(kind=SetupKind.P2, side=side, stop=24_999.0 - 10 * side, target=target)
    assert in_range(regime=regime, setups=(setup,)).target == expected


def test_a_distance_of_3_is_widened_to_4_and_4_stays() -> None:
    # entry 25001; stop 24998: d = 3 -> 4, stop 24997, target 25001 + 8
    wide = trend(setups=(a_setup(stop=24_998.0),))
    assert (wide.distance, wide.stop, wide.target) == (4, 24_997, 25_009)
    assert trend(setups=(a_setup(stop=24_997.0),)) == wide


def test_a_stop_beyond_the_entry_is_widened_like_any_other() -> None:
    assert trend(setups=(a_setup(stop=25_005.0),)).stop == 24_997


def test_a_distance_above_fifteen_ticks_is_too_far_and_fifteen_is_not() -> None:
    # ATR 6: d_max = max(15, 2.5 * 6) = 15
    assert trend(setups=(a_setup(stop=24_986.0),)).distance == 15
    far = trend(setups=(a_setup(stop=24_985.0),))
    assert isinstance(far, Rejection)
    assert far.reason is Reason.STOP_TOO_FAR
    assert far.proposal is not None
    assert far.proposal.distance == 16


def test_a_large_atr_stretches_the_greatest_distance() -> None:
    # ATR 6.4: d_max = max(15, 2.5 * 6.4) = 16
    assert trend(atr=6.4, setups=(a_setup(stop=24_985.0),)).distance == 16
    assert trend(atr=6.39, setups=(a_setup(stop=24_985.0),)).reason is Reason.STOP_TOO_FAR


def test_an_atr_that_is_no_number_rejects() -> None:
    assert trend(atr=nan).reason is Reason.STOP_TOO_FAR


def test_a_trade_on_a_base_of_4_ticks_or_more_has_a_wide_stop() -> None:
    # base 24988..24998, size 10: d >= max(6, 10 + 2) = 12; own stop 24994 gives 7
    setup = a_setup(kind=SetupKind.P4, stop=24_994.0)
    assert trend(setups=(setup,), active_low=24_988, active_high=24_998).distance == 12
    # size 4: max(6, 6) = 6; own stop 24997 gives 4
    near = replace(setup, stop=24_997.0)
    assert trend(setups=(near,), active_low=24_990, active_high=24_994).distance == 6


def test_a_base_of_3_ticks_and_other_triggers_keep_their_distance() -> None:
    near = a_setup(kind=SetupKind.P4, stop=24_997.0)
    assert trend(setups=(near,), active_low=24_990, active_high=24_993).distance == 4
    pullback = a_setup(kind=SetupKind.T1, stop=24_994.0)
    assert trend(setups=(pullback,), active_low=24_988, active_high=24_998).distance == 7


def test_the_wide_stop_may_be_too_far() -> None:
    # size 14: d = 16 > 15
    setup = a_setup(kind=SetupKind.P4, stop=24_994.0)
    far = trend(setups=(setup,), active_low=24_980, active_high=24_994)
    assert far.reason is Reason.STOP_TOO_FAR


@pytest.mark.parametrize("kind", list(SetupKind))
def test_the_trend_strategy_takes_its_own_triggers_only(kind: SetupKind) -> None:
    found = trend(setups=(a_setup(kind=kind),))
    if kind in TREND_KINDS:
        assert found.kind is kind
    else:
        assert found == Rejection(Reason.NO_SETUP)


@pytest.mark.parametrize("kind", list(SetupKind))
def test_the_range_strategy_takes_its_own_triggers_only(kind: SetupKind) -> None:
    found = in_range(setups=(a_setup(kind=kind),))
    if kind in RANGE_KINDS:
        assert found.kind is kind
    else:
        assert found == Rejection(Reason.NO_SETUP)


@pytest.mark.parametrize("kind", [k for k in TREND_KINDS if k > SetupKind.R1])
def test_a_hit_too_weak_to_be_traded_is_no_setup(kind: SetupKind) -> None:
    assert trend(setups=(a_setup(kind=kind, traded=False),)) == Rejection(Reason.NO_SETUP)


@pytest.mark.parametrize("stop", [nan, inf])
def test_a_trigger_without_a_stop_is_no_setup(stop: float) -> None:
    assert trend(setups=(a_setup(stop=stop),)) == Rejection(Reason.NO_SETUP)


def test_a_trigger_against_the_trend_is_no_setup() -> None:
    assert trend(setups=(a_setup(side=-1, stop=25_010.0),)) == Rejection(Reason.NO_SETUP)


def test_the_best_quality_wins() -> None:
    setups = (a_setup(quality=0.71), a_setup(kind=SetupKind.P5, quality=0.72))
    assert trend(setups=setups).kind is SetupKind.P5


@pytest.mark.parametrize(
    ("strategy", "first", "second"),
    [
        (trend, SetupKind.T1, SetupKind.T2),
        (trend, SetupKind.T2, SetupKind.P3),
        (trend, SetupKind.P3, SetupKind.P4),
        (trend, SetupKind.P4, SetupKind.P1),
        (trend, SetupKind.P1, SetupKind.P5),
        (in_range, SetupKind.R1, SetupKind.P1),
        (in_range, SetupKind.P1, SetupKind.P2),
        (in_range, SetupKind.P2, SetupKind.P5),
    ],
)
def test_a_tie_goes_to_the_earlier_row_of_the_strategys_table(strategy, first, second) -> None:
    one = a_setup(kind=first, quality=0.75)
    other = a_setup(kind=second, quality=0.75 + 1e-10)
    assert strategy(setups=(one, other)).kind is first
    assert strategy(setups=(other, one)).kind is first


def test_a_trend_ignores_the_target_of_a_hit() -> None:
    setup = a_setup(kind=SetupKind.P1, target=25_004.0)
    assert trend(setups=(setup,)).target == 25_025


def test_a_range_entry_is_a_limit_at_the_close_with_the_triggers_stop_and_target() -> None:
    setup = a_setup(kind=SetupKind.R1, stop=24_991.0, target=25_039.0)
    # C = 24999, stop 24991: d = 8; target R - 1 = 25039
    assert in_range(setups=(setup,)) == Proposal(
        Strategy.RANGE, SetupKind.R1, 1, 0.80, OrderType.LIMIT, 24_999, 24_991, 25_039, 8, 2
    )


def test_a_range_hit_without_a_target_aims_at_two_d() -> None:
    setup = a_setup(kind=SetupKind.P5, stop=24_991.0)
    assert in_range(setups=(setup,)).target == 24_999 + 16


def test_a_biased_range_trades_its_side_only_and_a_neutral_one_both() -> None:
    short = a_setup(kind=SetupKind.R1, side=-1, stop=25_007.0, target=24_980.0)
    assert in_range(setups=(short,)) == Rejection(Reason.NO_SETUP)
    assert in_range(setups=(short,), regime=Regime.RANGE_BEARISH_BIAS).side == -1
    assert in_range(setups=(short,), regime=Regime.RANGE_NEUTRAL).side == -1


@pytest.mark.parametrize("regime", list(Regime))
def test_each_family_asks_its_strategy(regime: Regime) -> None:
    side = regime.side or 1
    setups = (
        a_setup(kind=SetupKind.T1, side=side, stop=24_996.0 - 9 * side),
        a_setup(kind=SetupKind.R1, side=side, stop=24_999.0 - 9 * side),
    )
    found = StrategySelector().propose(a_context(regime=regime, setups=setups))
    if regime.family == "TREND":
        assert found.strategy is Strategy.TREND
        assert found.side == regime.side
    elif regime.family == "RANGE":
        assert found.strategy is Strategy.RANGE
    else:
        assert found == Rejection(Reason.REGIME_WAIT)


def test_a_close_without_triggers_has_no_setup() -> None:
    assert StrategySelector().propose(a_context(setups=())) == Rejection(Reason.NO_SETUP)


def test_each_strategy_is_silent_in_the_regimes_of_the_other() -> None:
    assert trend(regime=Regime.RANGE_NEUTRAL) == Rejection(Reason.NO_SETUP)
    r1 = (a_setup(kind=SetupKind.R1),)
    assert in_range(regime=Regime.STRONG_TREND_BULL, setups=r1) == Rejection(Reason.NO_SETUP)


@pytest.mark.parametrize(
    ("quality", "factor"),
    [(0.80, 1.0), (0.7999, 0.75), (0.70, 0.75), (0.6999, 0.5), (0.0, 0.5)],
)
def test_the_class_of_a_proposal_follows_from_its_quality(quality: float, factor: float) -> None:
    assert size_class_factor(quality) == factor


def test_a_working_trend_entry_is_void_once_the_golden_rule_turns() -> None:
    proposal = TrendStrategy().propose(a_context())
    assert isinstance(proposal, Proposal)
    assert entry_is_void(a_context(golden=-0.2), proposal)
    assert not entry_is_void(a_context(golden=0.0), proposal)
    assert not entry_is_void(a_context(golden=-0.2), replace(proposal, strategy=Strategy.RANGE))


def test_entries_work_for_the_bars_of_their_group() -> None:
    groups = {"trend": Trend(entry_bars=7), "range": Range(entry_bars=9)}
    assert TrendStrategy(groups).propose(a_context()).valid_bars == 7
    context = a_context(**BULL_RANGE, setups=(a_setup(kind=SetupKind.R1),))
    assert RangeStrategy(groups).propose(context).valid_bars == 9


def test_limits_of_the_distance_come_from_the_group_risk() -> None:
    groups = {"risk": Risk(max_stop_ticks=11, max_stop_atr=0)}
    found = TrendStrategy(groups).propose(a_context())
    assert found.reason is Reason.STOP_TOO_FAR


def test_a_group_of_the_wrong_kind_is_named() -> None:
    with pytest.raises(ConfigError, match="'risk' must be a Risk, was Trend"):
        group({"risk": Trend()}, "risk", Risk)


@given(
    stop=st.floats(24_970, 25_000),
    target=st.floats(25_000, 25_100),
    quality=st.floats(0, 1),
    kind=st.sampled_from(sorted(RANGE_KINDS)),
)
def test_a_mirrored_market_gives_a_mirrored_proposal_on_the_tick_grid(
    stop, target, quality, kind
) -> None:
    long = a_setup(kind=kind, stop=stop, target=target, quality=quality)
    short = a_setup(kind=kind, side=-1, stop=-stop, target=-target, quality=quality)
    up = in_range(setups=(long,))
    down = in_range(
        setups=(short,),
        regime=Regime.RANGE_BEARISH_BIAS,
        open=-24_994,
        high=-24_993,
        low=-25_000,
        close=-24_999,
    )
    if isinstance(up, Rejection):
        assert down.reason is up.reason
        up, down = up.proposal, down.proposal
    assert (down.entry, down.stop, down.target) == (-up.entry, -up.stop, -up.target)
    assert {type(x) for x in (up.entry, up.stop, up.target, up.distance)} == {int}
    assert up.distance == up.entry - up.stop
    assert up.distance >= 4

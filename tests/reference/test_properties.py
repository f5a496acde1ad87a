"""Properties of the method (its section on them) that its plain twin must have by itself."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
import strategies_market as market
from hypothesis import given, settings
from hypothesis import strategies as st

from mia.core.base_types import GoldenState, Regime, SetupKind
from reference.bars import BUILDERS, TradeIntake, build
from reference.conventions import Sessions
from reference.engine import ReferenceEngine
from reference.profile import Profile
from reference.resampling import Resampler

SID = Sessions()
ARGUMENTS = {"time": 60, "reversal": 4, "tick": 7, "volume": 60, "range": 5}
MIRRORED_REGIME = {
    Regime.STRONG_TREND_BULL: Regime.STRONG_TREND_BEAR,
    Regime.WEAK_TREND_BULL: Regime.WEAK_TREND_BEAR,
    Regime.RANGE_BULLISH_BIAS: Regime.RANGE_BEARISH_BIAS,
}
MIRRORED_REGIME |= {b: a for a, b in MIRRORED_REGIME.items()}
MIRRORED_STATE = {
    GoldenState.STRONG_BULLISH: GoldenState.STRONG_BEARISH,
    GoldenState.WEAK_BULLISH: GoldenState.WEAK_BEARISH,
}
MIRRORED_STATE |= {b: a for a, b in MIRRORED_STATE.items()}
moderate = settings(max_examples=25, deadline=None)


def rows_of_bars(bars: Sequence[market.Bar], **params: object) -> list[dict[str, Any]]:
    engine = ReferenceEngine(params)
    for bar in bars:
        engine.on_bar(*bar)
    return engine.rows


def rows_with_options(
    bars: Sequence[market.Bar], side: int, flip: int, reach: int, gamma: float
) -> list[dict[str, Any]]:
    """Run bars beneath a gamma flip and between walls, or their mirror for side -1."""
    engine = ReferenceEngine({"es_pattern.repeat_min": 1})
    walls = (side * (flip + side * reach), side * (flip - side * reach))
    engine.set_options(
        feature=(gamma, side * 0.4, side * 0.2, 0.0, 0.3, 0.1),
        valid=(1, 1, 1, 0, 1, 1),
        gamma_flip=side * flip,
        call_wall=walls[0],
        put_wall=walls[1],
        quality=0.9,
        ts_quotes=bars[0][0],
    )
    for bar in market.mirrored_bars(bars) if side < 0 else bars:
        engine.on_bar(*bar)
    return engine.rows


def rows_of_trades(trades: Sequence[market.Trade], **params: object) -> list[dict[str, Any]]:
    engine = ReferenceEngine(params)
    for trade in trades:
        engine.on_trade(*trade)
    return engine.rows


def same(a: Any, b: Any) -> bool:
    """Compare exactly, with nan equal to itself."""
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


def near(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or abs(a - b) <= 1e-9 * max(1.0, abs(a))


# fields by what the mirror does to them
KEPT = ("atr", "vr", "vol_ref", "vwap_sd", "vwap_rth_sd", "vol01", "micro_anomaly", "mtf_valid")
KEPT += ("headfake_score", "feature_quality", "battle.base_quality", "battle.confidence")
KEPT += ("battle.strength", "regime.confidence", "regime.strength", "regime.raw_strength")
KEPT += ("regime.tolerance", "regime.range_quality", "developing_valid", "overnight_valid")
TURNED = ("cvd", "vwap", "vwap_rth", "vslope", "mtf", "headfake", "battle.golden", "battle.score")
TURNED += ("battle.base_dir", "battle.signal", "battle.launched", "battle.violated")
TURNED += ("battle.active_dir", "battle.candidate_dir", "feature_score")
SWAPPED = (("battle.vikings", "battle.defenders"), ("regime.up", "regime.down"))
CROSSED = (
    ("battle.active_low", "battle.active_high"),
    ("battle.candidate_low", "battle.candidate_high"),
    ("regime.support", "regime.resistance"),
    ("session_low", "session_high"),
    ("overnight_low", "overnight_high"),
)
SIGNED_FEATURES = (0, 1, 2, 3, 4, 5, 6, 7, 14, 15)
WITHOUT_PROFILE = {SetupKind.T2, SetupKind.P2, SetupKind.P3, SetupKind.P4}


def assert_mirrored(row: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    for name in KEPT:
        assert near(row[name], other[name]), name
    for name in TURNED:
        assert near(row[name], -other[name]), name
    for first, second in SWAPPED:
        assert near(row[first], other[second]), first
        assert near(row[second], other[first]), second
    for low, high in CROSSED:
        assert near(row[low], -other[high]), low
        assert near(row[high], -other[low]), high
    for k in range(18):
        sign = -1 if k in SIGNED_FEATURES else 1
        assert near(row["feature"][k], sign * other["feature"][k]), f"F{k + 1}"
    assert row["valid"] == other["valid"]
    ldu, lud, cds, cus = other["pattern"]
    assert all(map(near, row["pattern"], (lud, ldu, cus, cds)))
    for name in ("regime.raw", "regime.regime"):
        assert row[name] == MIRRORED_REGIME.get(other[name], other[name])
    for group in ("", "developing_", "previous_"):
        if row[f"{group}poc"] == -other[f"{group}poc"]:  # a tie is broken downwards
            assert row[f"{group}vah"] == -other[f"{group}val"]
            assert row[f"{group}val"] == -other[f"{group}vah"]
    state = other["battle.state"]
    assert row["battle.state"] == MIRRORED_STATE.get(state, state)


def profile_is_mirrored(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether no tie, of the POC or of the round level, was broken downwards."""
    groups = ("developing_", "previous_")
    return row["bar.close"] % 100 != 50 and all(
        row[f"{group}poc"] == -other[f"{group}poc"] for group in groups
    )


def assert_setups_mirrored(row: Mapping[str, Any], other: Mapping[str, Any], whole: bool) -> None:
    def key(setup: tuple[Any, ...]) -> tuple[Any, ...]:
        return setup[0], setup[1]

    mine = [s for s in row["setups"] if whole or s[0] in WITHOUT_PROFILE]
    turned = [
        (kind, -side, quality, -level, -stop, -target, traded)
        for kind, side, quality, level, stop, target, traded in other["setups"]
        if whole or kind in WITHOUT_PROFILE
    ]
    assert len(mine) == len(turned)
    for a, b in zip(sorted(mine, key=key), sorted(turned, key=key), strict=True):
        # Of equal levels in a zone the lower one counts, which moves the zone's centre.
        skip = {3} if a[0] == SetupKind.P5 else set()
        assert all(near(x, y) for k, (x, y) in enumerate(zip(a, b, strict=True)) if k not in skip)


@moderate
@given(market.bars())
def test_bars_turned_upside_down_turn_the_results(bars: list[market.Bar]) -> None:
    rows = rows_of_bars(bars, es_pattern_repeat_min=1)
    others = rows_of_bars(market.mirrored_bars(bars), es_pattern_repeat_min=1)
    assert len(rows) == len(others) == len(bars)
    for row, other in zip(rows, others, strict=True):
        assert_mirrored(row, other)
        assert_setups_mirrored(row, other, profile_is_mirrored(row, other))


@moderate
@given(
    market.bars(("trend", "range", "noise", "swings")),
    st.integers(-20, 20),
    st.integers(5, 40),
    st.sampled_from((-0.5, 0.6, 1.0)),
)
def test_walls_and_flip_turned_upside_down_turn_the_setups(
    bars: list[market.Bar], offset: int, reach: int, gamma: float
) -> None:
    flip = bars[len(bars) // 2][5] + offset
    rows = rows_with_options(bars, 1, flip, reach, gamma)
    others = rows_with_options(bars, -1, flip, reach, gamma)
    for row, other in zip(rows, others, strict=True):
        assert near(row["gamma_pin"], other["gamma_pin"])
        assert near(row["feature_score"], -other["feature_score"])
        assert_setups_mirrored(row, other, profile_is_mirrored(row, other))


@moderate
@given(market.trades())
def test_trades_turned_upside_down_turn_the_results(trades: list[market.Trade]) -> None:
    rows = rows_of_trades(trades)
    others = rows_of_trades(market.mirrored_trades(trades))
    assert len(rows) == len(others)
    for row, other in zip(rows, others, strict=True):
        assert_mirrored(row, other)


@moderate
@given(market.bars(), st.data())
def test_later_bars_change_no_earlier_row(bars: list[market.Bar], data: st.DataObject) -> None:
    rows = rows_of_bars(bars)
    cut = data.draw(st.integers(0, len(bars)))
    assert same(rows_of_bars(bars[:cut]), rows[:cut])


@moderate
@given(market.trades(market.UNRULY_KINDS), st.data())
def test_later_trades_change_no_earlier_row(
    trades: list[market.Trade], data: st.DataObject
) -> None:
    rows = rows_of_trades(trades)
    cut = data.draw(st.integers(0, len(trades)))
    early = rows_of_trades(trades[:cut])
    assert same(early, rows[: len(early)])


@pytest.mark.parametrize("kind", BUILDERS)
@moderate
@given(trades=market.trades(market.UNRULY_KINDS))
def test_bars_hold_the_volume_of_the_accepted_trades(kind: str, trades: list[market.Trade]) -> None:
    intake = TradeIntake(SID, "tick_rule")
    accepted = [found for raw in trades if (found := intake.accept(*raw)) is not None]
    builder = BUILDERS[kind](ARGUMENTS[kind])
    bars = build(builder, TradeIntake(SID, "tick_rule"), trades) + builder.flush()
    assert sum(bar.volume for bar in bars) == sum(trade.size for trade in accepted)
    assert sum(bar.trades for bar in bars) == len(accepted)
    for bar in bars:
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert bar.volume >= bar.bid_volume + bar.ask_volume
        assert sum(row[2] for row in bar.footprint.values()) == bar.volume
        assert (min(bar.footprint), max(bar.footprint)) == (bar.low, bar.high)


@moderate
@given(market.trades())
def test_resampled_minutes_are_the_five_minute_bars(trades: list[market.Trade]) -> None:
    def closed(width: int) -> list[Any]:
        builder = BUILDERS["time"](width)
        bars = build(builder, TradeIntake(SID, "tick_rule"), trades)
        end = 0 if builder.open_bar is None else builder.open_bar.t_open + width * 10**9
        return bars + builder.advance(end)

    resampler = Resampler(300, SID)
    resampled = []
    for bar in closed(60):
        resampled += resampler.before(bar) + resampler.add(bar)
    resampled += resampler.end()
    assert [vars(bar) for bar in resampled] == [vars(bar) for bar in closed(300)]


@moderate
@given(market.trades())
def test_value_area_holds_its_share_around_the_poc(trades: list[market.Trade]) -> None:
    profile = Profile()
    for _, price, size, _ in trades:
        if size:
            profile.add_trade(price, size)
    if not profile.valid:
        return
    val, vah = profile.value_area(70)
    assert profile.low <= val <= profile.poc() <= vah <= profile.high
    inside = sum(units for price, units in profile.rows.items() if val <= price <= vah)
    assert inside * 100 >= 70 * sum(profile.rows.values())


@moderate
@given(market.trades(market.STEPS, max_length=60), st.integers(2, 6))
def test_reversal_bars_open_k_ticks_from_the_extreme(trades: list[market.Trade], k: int) -> None:
    bars = build(BUILDERS["reversal"](k), TradeIntake(SID, "tick_rule"), trades)
    for last, bar in pairwise(bars):
        if last.direction and last.session_id == bar.session_id:
            extreme = last.high if last.direction > 0 else last.low
            # A trade of size 0 may hide a step, so price may have moved further than k.
            moved = (extreme - bar.open) * last.direction
            assert moved == k or (moved > k and any(size == 0 for _, _, size, _ in trades))
            assert bar.direction == -last.direction


@moderate
@given(market.trades(market.UNRULY_KINDS), st.integers(2, 6))
def test_reversal_directions_alternate_within_a_session(trades: list[market.Trade], k: int) -> None:
    builder = BUILDERS["reversal"](k)
    bars = build(builder, TradeIntake(SID, "tick_rule"), trades) + builder.flush()
    for last, bar in pairwise(bars):
        if last.session_id == bar.session_id:
            assert bar.direction == -last.direction != 0


KINDS_OF_ONE_SESSION = tuple(kind for kind in market.BAR_KINDS if kind != "next_session")


def next_session(bars: Sequence[market.Bar], after: Sequence[market.Bar]) -> list[market.Bar]:
    """Move bars to the session that follows."""
    shift = SID.of(after[-1][0]).t_end + 15 * 3600 * 10**9 - bars[0][0]
    moved = [(t_open + shift, t_close + shift, *rest) for t_open, t_close, *rest in bars]
    return [bar for bar in moved if SID.of(bar[0]) == SID.of(moved[0][0])]


@moderate
@given(
    market.bars(KINDS_OF_ONE_SESSION, max_segments=4),
    market.bars(KINDS_OF_ONE_SESSION, max_segments=3),
)
def test_session_alone_equals_the_session_in_a_longer_run(
    first: list[market.Bar], second: list[market.Bar]
) -> None:
    first = [bar for bar in first if SID.of(bar[0]) == SID.of(first[0][0])]
    second = next_session(second, first)
    long = ReferenceEngine()
    for bar in first:
        long.on_bar(*bar)
    before = ReferenceEngine()
    for bar in first:
        before.on_bar(*bar)
    before.end_session()
    alone = ReferenceEngine()
    alone.restore(before.carried())
    for bar in second:
        long.on_bar(*bar)
        alone.on_bar(*bar)
    assert same(alone.rows, long.rows[len(first) :])


@moderate
@given(market.trades(("walk", "trend", "blocks"), max_segments=4))
def test_features_without_a_book_are_those_with_it_but_for_its_own(
    trades: list[market.Trade],
) -> None:
    without = rows_of_trades(trades)
    engine = ReferenceEngine()
    for ts, price, size, side in trades:
        engine.on_book(ts, (10 + size, 20, 30), (15, 25, 10 + abs(side)), 1 + price % 3)
        engine.on_trade(ts, price, size, side)
    told = {"feature", "valid", "feature_score", "micro_anomaly", "spread", "feature_quality"}
    for row, bare in zip(engine.rows, without, strict=True):
        assert row["feature"][:5] + row["feature"][6:] == bare["feature"][:5] + bare["feature"][6:]
        assert (bare["feature"][5], bare["valid"][5]) == (0.0, 0)
        assert all(same(row[name], bare[name]) for name in bare.keys() - told)


@moderate
@given(market.bars(max_segments=4))
def test_bounded_results_stay_in_their_bounds(bars: list[market.Bar]) -> None:
    for row in rows_of_bars(bars):
        for k in range(18):
            low = -1.0 if k in SIGNED_FEATURES or 7 < k < 14 else 0.0
            assert low <= row["feature"][k] <= 1.0
        assert -0.86 - 1e-9 <= row["battle.score"] <= 0.86 + 1e-9
        assert near(row["battle.vikings"] + row["battle.defenders"], 1.0)
        for name in ("price_score", "gamma_pin", "micro_anomaly", "headfake_score"):
            assert 0.0 <= row[name] <= 1.0
        for _, side, quality, _, stop, target, _ in row["setups"]:
            assert 0.0 <= quality <= 1.0 + 1e-9
            assert side * (row["bar.close"] - stop) > 0
            assert math.isnan(target) or math.isfinite(target)

"""Every kernel beside its plain twin, on inputs that hurt.

Most go through the adapters that the worked examples use; what those cannot reach is compared
directly. `fast.test_market_state_twin` compares all of them together.
"""

from collections import deque
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
import strategies_market as market
from adapters import BarRow
from comparison import assert_same
from compiled_adapter import CompiledAdapter, score_levels
from compiled_engine import bar_records, split_params
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import bars as twin_bars
from reference import confluence as twin_confluence
from reference import features as twin_features
from reference.battle_navale import BattleNavale
from reference.conventions import Sessions
from reference.parameters import parameters
from reference.profile import Profile as TwinProfile
from reference.regime import MarketRegime
from reference_adapter import ReferenceAdapter

from mia._fast import (
    battle_navale,
    cvd,
    feature_score,
    footprint,
    profile,
    regime,
    tick_buffer,
)
from mia.core.kernel_params import kernel_params

TWIN, KERNEL = ReferenceAdapter(), CompiledAdapter()
SID = Sessions()
FIRST, LAST = 1_262_300_400, 1_893_000_000
UNIT = st.floats(-1.0, 1.0)
SIDES = st.sampled_from((-1, 0, 1))
TIME_OF_DAY = 1_709_649_000_000_000_000


def agree(method: str, *args: Any) -> None:
    assert_same(getattr(TWIN, method)(*args), getattr(KERNEL, method)(*args))


def one_session(bars: list[market.Bar]) -> list[BarRow]:
    first = SID.of(bars[0][0]).session_id
    return [BarRow(*bar) for bar in bars if SID.of(bar[0]).session_id == first]


@given(st.lists(st.integers(FIRST, LAST), max_size=20))
def test_the_clock_is_that_of_the_twin(seconds: list[int]) -> None:
    agree("clock", [second * 10**9 + 999_999_999 for second in seconds])


@given(
    st.lists(st.integers(-50, 50), min_size=1, max_size=60),
    st.lists(st.integers(1, 99), min_size=1, max_size=4),
)
def test_ranks_median_and_deviation(x: list[int], q: list[int]) -> None:
    agree("ranks", x, q)


@given(
    st.sampled_from(
        [
            ("time", 60),
            ("time", 15),
            ("time", 7200),
            ("reversal", 1),
            ("reversal", 4),
            ("tick", 1),
            ("tick", 7),
            ("volume", 1),
            ("volume", 60),
            ("range", 1),
            ("range", 5),
        ]
    ),
    st.sampled_from(("tick_rule", "none")),
    st.sampled_from((3, 100)),
    market.trades(market.UNRULY_KINDS),
)
def test_builders(stream: tuple[str, int], rule: str, large: int, trades: list[Any]) -> None:
    params = {"flow.side_fallback": rule, "feat.f8_min_lots": large}
    agree("build_bars", *stream, params, trades)


PRINTS = st.lists(st.tuples(st.integers(15_900, 15_960), st.integers(1, 900)), max_size=60)


@given(PRINTS)
def test_vwap_of_trades(prints: list[tuple[int, int]]) -> None:
    agree("vwap_of_trades", prints)


@given(market.bars())
def test_vwap_of_bars(bars: list[Any]) -> None:
    agree("vwap_of_bars", [BarRow(*bar) for bar in bars])


@given(PRINTS, st.integers(0, 4_000))
def test_profile_of_trades(prints: list[tuple[int, int]], jump: int) -> None:
    assume(prints)
    far = [(price + jump * (k % 3 == 2), size) for k, (price, size) in enumerate(prints)]
    agree("profile_of_trades", far)


@given(market.bars(max_length=40))
def test_profile_of_bars(bars: list[Any]) -> None:
    agree("profile_of_bars", [(low, high, v) for *_, high, low, _, v, _, _ in bars])


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=80),
    st.integers(1, 5),
    st.integers(1, 9),
    st.sampled_from((1.0, 1.2, 1.5)),
    st.sampled_from((0.5, 0.9, 1.0)),
    st.integers(1, 100),
)
def test_nodes_and_value_area_with_other_parameters(
    sizes: list[int], smooth: int, window: int, high: float, low: float, pct: int
) -> None:
    assume(sizes[0] and sizes[-1])
    overrides = {"profile_smooth": smooth, "profile_node_window": window}
    overrides |= {"profile_hvn_ratio": high, "profile_lvn_ratio": low}
    overrides["profile_value_area_pct"] = pct
    kernel, twin = profile.Profile(kernel_params(**overrides)), TwinProfile()
    for k, size in enumerate(sizes):
        if size:
            kernel.add_trade(16_000 + k, size)
            twin.add_trade(16_000 + k, size)
    p = parameters(overrides)
    assert kernel.levels() == (twin.poc(), *twin.value_area(pct))
    assert (kernel.hvn, kernel.lvn) == twin.nodes(p)


@given(
    st.lists(st.tuples(st.integers(0, 25), st.integers(0, 60), st.integers(0, 60)), max_size=40),
    st.integers(0, 3),
)
def test_stacked_imbalance(rows: list[tuple[int, int, int]], margin: int) -> None:
    by_price = {16_000 + price: (16_000 + price, bid, ask) for price, bid, ask in rows}
    low, high = min(by_price, default=16_000), max(by_price, default=16_000)
    agree("stacked_imbalance", low - margin, high + margin, list(by_price.values()))


@given(st.lists(st.tuples(st.integers(-900, 900), st.integers(1, 99), SIDES), max_size=50))
def test_footprint(prints: list[tuple[int, int, int]]) -> None:
    kernel, twin = footprint.Footprint(), twin_bars.TickBar(10**9)
    for price, size, side in prints:
        kernel.add(price, size, side)
        twin.add(twin_bars.Trade(TIME_OF_DAY, price, size, side, SID.of(TIME_OF_DAY)))
    rows = twin.open_bar.footprint if twin.open_bar else {}
    prices = range(min(rows, default=0), max(rows, default=-1) + 1)
    expected = [rows.get(price, [0, 0, 0]) for price in prices]
    assert kernel.rows.tolist() == [[bid, both - bid - ask, ask] for bid, ask, both in expected]
    assert not rows or kernel.low == min(rows)


@given(
    market.bars(),
    st.booleans(),
    st.floats(1.0, 12.0),
    st.floats(1.0, 2.0),
    st.sampled_from((1.0, 700.0, 1500.0)),
)
def test_patterns(bars: list[Any], strict: bool, leg: float, wider: float, vol_ref: float) -> None:
    agree("pattern_hits", one_session(bars), strict, leg, leg * wider, vol_ref)


HITS = st.lists(st.tuples(st.sampled_from((-1, 1)), st.floats(0.1, 1.0)), max_size=3)
BN_OVERRIDES = st.sampled_from(
    [
        {},
        {"bn.absolute_refs": True},
        {"bn.base_min_quality": 0.2, "bn.base_std_ratio": 0.5},
        {"bn.window": 1, "bn.base_max_bars": 4, "bn.base_expiry_bars": 3},
        {"bn.score_threshold": 0.1, "bn.violation_bars": 2, "bn.aggr_hi": 0.5},
    ]
)


@given(
    market.bars(max_length=40),
    BN_OVERRIDES,
    st.floats(1.0, 14.0),
    st.sampled_from((300.0, 1500.0)),
    st.dictionaries(st.integers(0, 90), HITS, max_size=40),
)
def test_battle_navale(
    bars: list[Any], params: dict[str, Any], atr: float, vol_ref: float, hits: dict[int, Any]
) -> None:
    given_ = one_session(bars)
    known = {index: found for index, found in hits.items() if index < len(given_)}
    agree("battle_navale", params, given_, atr, vol_ref, known)


@given(market.bars(max_length=40), BN_OVERRIDES)
def test_battle_navale_reports_the_same_record(bars: list[Any], params: dict[str, Any]) -> None:
    rows = one_session(bars)
    n = len(rows)
    atr = [1.0 + 10.0 * ((7 * k) % 11) / 11 for k in range(n)]
    refs = [200.0 + (131 * k) % 1900 for k in range(n)]
    twin = BattleNavale(parameters(params))
    out = battle_navale.BattleNavale(split_params(params)[0]).bars(bar_records(rows), atr, refs)
    for k, row in enumerate(rows):
        bar = twin_bars.Bar(0, *row, flags=twin_bars.READY_MADE)
        b = twin.update(bar, atr[k], refs[k], ())
        same = {name: value for name, value in vars(b).items() if name in out.dtype.names}
        assert_same(same, {name: out[k][name].item() for name in same})


EASY_REGIME = {"reg.strong": 0.4, "reg.strong_counts": 2, "reg.intact": 1, "reg.weak": 0.3}
EASY_REGIME |= {"reg.weak_counts": 1, "reg.respect": 0.5, "reg.min_tests": 2}
REG_OVERRIDES = st.sampled_from(
    [{}, EASY_REGIME, {"reg.hold_bars": 2} | EASY_REGIME, {"reg.hold_bars": 5, "reg.bars": 12}]
)


@given(market.bars(max_length=60), REG_OVERRIDES, st.integers(0, 2**16))
def test_regime(bars: list[Any], params: dict[str, Any], seed: int) -> None:
    rows = one_session(bars)
    rng = np.random.default_rng(seed)
    atr = rng.uniform(1.0, 9.0, len(rows)).tolist()
    vslope = (rng.uniform(-0.2, 0.2, len(rows)) * rng.choice([1, 4])).tolist()
    record = split_params(params)[0]
    found = regime.RegimeClassifier(record).bars(bar_records(rows), atr, vslope)
    twin, seen = MarketRegime(parameters(params)), []
    for k, row in enumerate(rows):
        seen.append(twin_bars.Bar(0, *row, flags=twin_bars.READY_MADE))
        expected = vars(twin.update(seen, atr[k], vslope[k]))
        assert_same(expected, {name: found[k][name].item() for name in expected})


SIZES = st.lists(st.integers(0, 90), min_size=1, max_size=12)


@given(st.lists(st.tuples(SIZES, SIZES, st.integers(0, 4)), max_size=40))
def test_book_imbalance(snapshots: list[Any]) -> None:
    agree("book_imbalance", snapshots)


@given(market.trades(("walk", "jump", "blocks", "unknown", "late")), st.integers(-90, 900))
def test_tick_momentum_and_large_trades(trades: list[Any], wait: int) -> None:
    # A close only knows trades of its own session.
    first = SID.of(trades[0][0]).session_id
    known = [trade for trade in trades if SID.of(trade[0]).session_id == first and trade[2] > 0]
    assume(known)
    agree("trade_features", known, max(trade[0] for trade in known) + wait * 10**9)


KINDS = st.sampled_from(list(twin_confluence.TABLE))
LEVELS = st.lists(
    st.tuples(
        KINDS,
        st.integers(-3600, 3600).map(lambda quarter: 16_000 + quarter / 4)
        | st.integers(15_980, 16_020).map(float),
        st.integers(0, 1500).map(float),
        st.integers(0, 7),
        st.sampled_from((0.0, 0.5, 1.0)),
    ),
    max_size=30,
)
CONF_OVERRIDES = st.sampled_from(
    [{}, {"conf_family_cap": 1}, {"conf_radius_ticks": 40.0, "conf_gap_ticks": 8.0}]
)


@given(LEVELS, st.floats(1.0, 30.0), CONF_OVERRIDES)
def test_confluence(levels: list[Any], atr: float, overrides: dict[str, float]) -> None:
    # Families have one quality: without options it is 1.
    known = [
        (kind, price, age, touches, q if kind in {"call_wall", "put_wall", "gamma_flip"} else 1.0)
        for kind, price, age, touches, q in levels
    ]
    moving = {kind for kind, (*_, max_age) in twin_confluence.TABLE.items() if max_age is None}
    known = [
        (kind, price, 0.0 if kind in moving else age, 0 if kind in moving else touches, q)
        for kind, price, age, touches, q in known
    ]
    p = parameters(overrides)
    made = [twin_confluence.Level(*level) for level in known]
    expected = {
        "w": [level.weight for level in made],
        "price_score": twin_confluence.price_score(made, 16_000, atr, p),
        "zones": [vars(zone) for zone in twin_confluence.zones(made, 16_000, atr, p)],
    }
    found = score_levels(16_000, atr, known, **overrides)
    assert len(found["zones"]) == len(expected["zones"])
    assert_same(expected, found)


@given(market.bars(), st.sampled_from((0.8, 1.5, 1.6)))
def test_headfake(bars: list[Any], vr: float) -> None:
    agree("headfake", one_session(bars), vr)


@given(st.lists(UNIT, min_size=18, max_size=18))
def test_feature_score(features: list[float]) -> None:
    agree("feature_score", features)


FRAME = st.tuples(UNIT, st.floats(0.0, 1.0))


@given(
    st.sampled_from((0.0, 0.4, 0.4 + 5e-10, 0.41, 0.8, 0.81, 1.0)),
    st.dictionaries(st.sampled_from((1, 5, 15, 60)), FRAME),
)
def test_timeframes(vol01: float, frames: dict[int, Any]) -> None:
    agree("multi_timeframe", vol01, frames)


@given(
    st.lists(st.lists(UNIT, max_size=30), max_size=25),
    st.lists(UNIT, min_size=1, max_size=5),
    st.integers(1, 40),
)
def test_tiers(sessions: list[list[float]], scores: list[float], least: int) -> None:
    kernel = feature_score.TierRanker(kernel_params(feat_tier_min=least))
    twin = twin_features.TierRanking(parameters(feat_tier_min=least))
    for values in sessions:
        kernel.add_session(np.array(values, float))
        for value in values:
            twin.add(value)
        twin.end_session()
    assert [kernel.rank(score) for score in scores] == [twin.tier(score) for score in scores]


@given(
    st.sampled_from(("ES", "MES")),
    st.integers(4, 40),
    st.booleans(),
    st.integers(500, 60_000),
    st.tuples(st.integers(0, 100), st.integers(0, 100)).map(sorted),
    st.floats(20.0, 400.0),
    st.floats(20.0, 400.0),
    st.sampled_from((0.15, 0.20, 0.25)),
    st.integers(-900, 900),
    st.integers(-300, 300),
    st.integers(1, 3),
)
def test_position_size(
    inst: str,
    d: int,
    market_entry: bool,
    equity: int,
    record: list[int],
    mean_win: float,
    mean_loss: float,
    fraction: float,
    day_pnl: int,
    open_pnl: int,
    max_size: int,
) -> None:
    wins, n = record
    inputs = {
        "inst": inst,
        "auto": inst == "ES",
        "d": d,
        "market_entry": market_entry,
        "equity": float(max(equity, 100_000)),  # the margin binds nobody
        "n": n,
        "wins": wins,
        "mean_win": mean_win if wins else 0.0,
        "mean_loss": mean_loss if wins < n else 0.0,
        "fraction": fraction,
        "per_trade": 200.0,
        "pct": equity / 1e7,
        "daily_limit": 600.0,
        "day_pnl": float(day_pnl),
        "open_pnl": float(open_pnl),
        "max_size": max_size,
    }
    expected = TWIN.position_size(inputs)
    found = KERNEL.position_size(inputs)
    if expected["contracts"] == 0 and inputs["auto"]:
        # Where nothing fits, the instrument tried last is named.
        expected["instrument"] = found["instrument"]
    assert_same(expected, found)


@given(
    st.integers(1, 9),
    st.lists(st.tuples(st.integers(0, 99), st.integers(1, 9), SIDES), max_size=80),
    st.sets(st.integers(0, 79), max_size=2),
)
def test_tick_buffer_holds_the_newest_trades_oldest_first(
    capacity: int, trades: list[tuple[int, int, int]], resets: set[int]
) -> None:
    kernel = tick_buffer.TickBuffer(capacity)
    twin: deque[tuple[int, int, int, int]] = deque(maxlen=capacity)
    for k, (price, size, side) in enumerate(trades):
        if k in resets:
            kernel.reset()
            twin.clear()
        kernel.push(1000 + k, price, size, side)
        twin.append((1000 + k, price, size, side))
        columns = (kernel.ts_event, kernel.price, kernel.size, kernel.aggressor_side)
        assert list(zip(*(c.tolist() for c in columns), strict=True)) == list(twin)
        assert (len(kernel), kernel.total) == (len(twin), k + 1)
    with pytest.raises(ValueError, match="read-only"):
        kernel.price[:1] = 0


@given(st.lists(st.integers(-(10**6), 10**6), max_size=40))
def test_cvd_adds_up(deltas: list[int]) -> None:
    expected = list(accumulate(deltas))
    out = np.zeros(len(deltas), np.int64)
    cvd.cumulate(np.array(deltas, np.int64), out)
    assert out.tolist() == expected
    kernel = cvd.Cvd()
    for delta, total in zip(deltas, expected, strict=True):
        kernel.add(delta)
        assert kernel.value == total
    kernel.reset()
    assert kernel.value == 0

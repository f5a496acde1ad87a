"""Book, trades, scores, sizes and buffers beside their plain twins; see `fast.test_twin`."""

from collections import deque
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
import strategies_market as market
from comparison import assert_same
from compiled_adapter import score_levels
from fast.twins import KERNEL, SID, SIDES, TWIN, agree, one_session
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import confluence as twin_confluence
from reference import features as twin_features
from reference.parameters import parameters

from mia._fast import cvd, feature_score, tick_buffer
from mia.core.kernel_params import kernel_params

UNIT = st.floats(-1.0, 1.0)
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

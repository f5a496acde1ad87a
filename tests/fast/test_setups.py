"""T1, T2 and R1, worked out by hand for a long and checked for the mirrored short. ATR is 8."""

import numpy as np
import pytest
from fast.closes import (
    Found,
    Ohlc,
    make_bars,
    make_options,
    make_rows,
    mirrored_bars,
    mirrored_options,
    mirrored_rows,
    mirrored_setups,
    setups_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from mia._fast import setups
from mia.core.base_types import Regime, SetupKind
from mia.core.kernel_params import kernel_params

T1, T2, R1 = SetupKind.T1, SetupKind.T2, SetupKind.R1
NAN = float("nan")
BULL = Regime.STRONG_TREND_BULL
READY, WAIT, NO_SETUP = 0, 1, 2


def triggers(
    ohlc: list[Ohlc],
    volume: int | list[int] = 1000,
    f4: float = 0.0,
    options: dict[str, object] | None = None,
    **fields: object,
) -> list[Found]:
    """Triggers at the last bar, after checking the mirrored ones."""
    bars = make_bars(ohlc, volume=volume)
    rows = make_rows(bars, **fields)
    rows["feature"][:, 3] = f4
    short = mirrored_rows(rows)
    known = make_options(len(bars), **(options or {}))
    setups.Setups(kernel_params()).run(bars, rows, known)
    setups.Setups(kernel_params()).run(mirrored_bars(bars), short, mirrored_options(known))
    found = setups_of(rows[-1])
    np.testing.assert_allclose(mirrored_setups(short[-1]), found, rtol=0, atol=1e-12)
    assert short["reason"][-1] == rows["reason"][-1]
    return found


def trigger(
    kind: SetupKind, quality: float, level: float, stop: float, target: float
) -> list[object]:
    return [pytest.approx((kind, 1, quality, level, stop, target, 1), nan_ok=True)]


# Highest high 1018 three bars ago, lowest low of the twenty before it 998: a leg of 20, at least
# max(8, 2*8). The pullback reached 1008: retraced 10/20. The close 1013 is above the high before.
FLAT: Ohlc = (1000, 1002, 998, 1000)
PEAK: Ohlc = (1000, 1018, 999, 1017)
BACK: list[Ohlc] = [(1015, 1016, 1010, 1011), (1011, 1012, 1008, 1009)]
TURN: Ohlc = (1009, 1014, 1009, 1013)
PULLBACK = [FLAT] * 20 + [PEAK, *BACK, TURN]
BUSY = [1000] * 23 + [1101]  # 1.1 times the mean of the ten before is 1100


def test_t1_a_turn_after_a_partial_retracement_of_a_leg_is_a_pullback() -> None:
    # (.4 + .3 + .2)/.9; lowest low of the last 5 bars is 998 of the last flat one, less 2
    found = triggers(PULLBACK, BUSY, vwap=1010.0, regime__regime=BULL)
    assert found == trigger(T1, 1.0, NAN, 996, NAN)


def test_t1_the_stop_is_below_the_last_five_bars_only() -> None:
    later = [FLAT] * 20 + [PEAK, (1015, 1016, 1012, 1013), *BACK, (1009, 1014, 1009, 1013)]
    assert triggers(later, regime__regime=BULL)[0][4] == 997  # 999 of the peak, less 2


@pytest.mark.parametrize(
    ("volume", "fields", "options", "quality"),
    [
        (BUSY, {}, {}, 0.7),
        ([1000] * 23 + [1100], {}, {}, 0.4),
        (1000, {"vwap": 1010.0}, {}, 0.6),
        (1000, {"vwap": 1010.1}, {}, 0.4),  # width max(2, .15*8) = 2
        (1000, {"developing_valid": 1, "developing_poc": 1006}, {}, 0.6),
        (1000, {"developing_valid": 0, "developing_poc": 1006}, {}, 0.4),
        (1000, {}, {"put_wall": 1006.0}, 0.6),
        (1000, {}, {"put_wall": 1005.5}, 0.4),
        (1000, {}, {"call_wall": 1008.0}, 0.4),  # the other wall supports nothing
    ],
)
def test_t1_quality_adds_volume_and_support_near_the_pullback(
    volume: int | list[int], fields: dict[str, object], options: dict[str, object], quality: float
) -> None:
    found = triggers(PULLBACK, volume, options=options, regime__regime=BULL, **fields)
    assert found == trigger(T1, quality / 0.9, NAN, 996, NAN)


@pytest.mark.parametrize(
    ("dip", "quality"),
    [
        (1014, None),  # retraced 4/20 = .20
        (1013, 0.2),  # .25
        (1011, 0.4),  # .35
        (1005, 0.4),  # .65
        (1004, 0.2),  # .70
        (1002, 0.2),  # .80
        (1001, None),  # .85
    ],
)
def test_t1_the_middle_of_the_retracement_is_best(dip: int, quality: float | None) -> None:
    pulled = (1015, 1015, dip, dip)
    found = triggers([FLAT] * 20 + [PEAK, pulled, (dip, 1017, dip, 1016)], regime__regime=BULL)
    assert [f[2] for f in found] == ([] if quality is None else [pytest.approx(quality / 0.9)])


@pytest.mark.parametrize(
    "miss",
    [
        {"ohlc": [*PULLBACK[:-1], (1009, 1014, 1009, 1012)]},  # closes on the high before
        {"ohlc": [*PULLBACK[:-1], (1014, 1014, 1009, 1013)]},  # red
        {"ohlc": PULLBACK, "atr": 10.1},  # leg 20 < 20.2
        {"ohlc": PULLBACK[5:]},  # 19 bars in the session
        {"ohlc": [*PULLBACK[:-1], (1009, 1019, 1009, 1013)]},  # this bar is the highest
        {"ohlc": [*PULLBACK[:-1], (1009, 1018, 1009, 1013)]},  # and of equals the latest
        {"ohlc": [*PULLBACK[:-1], *[BACK[1]] * 10, TURN]},  # 13 bars since the high
        {"ohlc": PULLBACK, "regime__regime": Regime.RANGE_BULLISH_BIAS},
        {"ohlc": PULLBACK, "regime__regime": Regime.WEAK_TREND_BEAR},
    ],
)
def test_t1_near_misses(miss: dict[str, object]) -> None:
    assert triggers(**({"regime__regime": BULL} | miss)) == []


@pytest.mark.parametrize(
    "just",
    [
        {"ohlc": PULLBACK, "atr": 10.0},
        {"ohlc": PULLBACK[4:]},
        {"ohlc": [*PULLBACK[:-1], *[BACK[1]] * 9, TURN]},
        {"ohlc": PULLBACK, "regime__regime": Regime.WEAK_TREND_BULL},
    ],
)
def test_t1_just_fires(just: dict[str, object]) -> None:
    assert [f[0] for f in triggers(**({"regime__regime": BULL} | just))] == [T1]


def test_t1_the_leg_starts_within_twenty_bars_before_its_end() -> None:
    # The low of 980 lies 21 bars before the peak and does not count: the leg stays 20.
    deep: Ohlc = (1000, 1002, 980, 1000)
    found = triggers([deep, *[FLAT] * 20, PEAK, *BACK, TURN], regime__regime=BULL)
    assert found[0][2] == pytest.approx(0.4 / 0.9)
    # 20 bars before it counts: the leg is 38, retraced 10/38 = .26.
    found = triggers([deep, *[FLAT] * 19, PEAK, *BACK, TURN], regime__regime=BULL)
    assert found[0][2] == pytest.approx(0.2 / 0.9)


# .5*1.5/2 .375 + .5*.4/.5 .4 = .775; lows are 998
BREAKOUT = [FLAT] * 20 + [(1000, 1004, 999, 1003)]


def test_t2_a_close_beyond_twenty_highs_on_volume_is_a_breakout() -> None:
    found = triggers(BREAKOUT, vr=1.5, battle__score=0.4, regime__regime=BULL)
    assert found == trigger(T2, 0.775, NAN, 996, NAN)


def test_t2_quality_stays_in_the_unit_interval() -> None:
    high = triggers(BREAKOUT, vr=9.0, battle__score=0.8, regime__regime=BULL)
    low = triggers(BREAKOUT, vr=1.5, battle__score=-0.8, regime__regime=BULL)
    assert [high[0][2], low[0][2]] == [1.0, 0.0]


@pytest.mark.parametrize(
    "miss",
    [
        {"ohlc": [*BREAKOUT[:-1], (1000, 1004, 999, 1002)]},
        {"ohlc": BREAKOUT, "vr": 1.49},
        {"ohlc": BREAKOUT, "regime__regime": Regime.WEAK_TREND_BULL},
        {"ohlc": BREAKOUT, "regime__regime": Regime.STRONG_TREND_BEAR},
        {"ohlc": BREAKOUT, "regime__regime": Regime.RANGE_NEUTRAL},
        {"ohlc": BREAKOUT[1:]},  # 19 bars before it
        {"ohlc": [(1000, 1003, 998, 1000), *BREAKOUT[1:]]},  # the twentieth high is 1003
    ],
)
def test_t2_near_misses(miss: dict[str, object]) -> None:
    assert triggers(**({"vr": 1.5, "battle__score": 0.4, "regime__regime": BULL} | miss)) == []


def test_t2_looks_no_farther_than_twenty_bars() -> None:
    older = [(1000, 1003, 998, 1000), *BREAKOUT]
    assert triggers(older, vr=1.5, regime__regime=BULL)[0][0] == T2


# Edge 1000 with tolerance 2; S = .45 confirms with .45/.6 = .75.
# .4*.75 .30 + .3*1.2/1.5 .24 + .3*.5 .15 = .69; stop 1000 - max(3, ceil(1.6)); target 1030 - 1
EDGE = {
    "ohlc": [(1002, 1006, 1002, 1005)],
    "vr": 1.2,
    "price_score": 0.5,
    "battle__score": 0.45,
    "regime__regime": Regime.RANGE_NEUTRAL,
    "regime__support": 1000.0,
    "regime__resistance": 1030.0,
    "regime__tolerance": 2.0,
}


def test_r1_a_confirmed_hold_at_the_edge_aims_at_the_other_edge() -> None:
    assert triggers(**EDGE) == trigger(R1, 0.69, 1000, 997, 1029)


def test_r1_the_stop_is_below_the_low_and_widens_with_atr() -> None:
    # ceil(.2*21) = 5 below the low of 996
    found = triggers(**EDGE | {"ohlc": [(999, 1006, 996, 1005)], "atr": 21.0})
    assert found == trigger(R1, 0.69, 1000, 991, 1029)


@pytest.mark.parametrize(
    ("confirmation", "best"),
    [
        ({"pattern": (0.9, 0, 0, 0), "f4": 0.35}, 0.9),
        ({"pattern": (0, 0, 0, 0.65)}, 0.75),
        ({"pattern": (0, 0, 0, 0.65), "battle__score": 0.40}, 0.65),
        ({"f4": 0.31, "battle__score": 0.40}, 0.31),
        ({"battle__score": 0.80}, 1.0),
        ({"pattern": (0.6, 0, 0, 0.6), "battle__score": 0.41}, 0.41 / 0.6),
    ],
)
def test_r1_quality_takes_the_best_confirmation(
    confirmation: dict[str, object], best: float
) -> None:
    found = triggers(**EDGE | confirmation)
    assert found == trigger(R1, 0.4 * best + 0.39, 1000, 997, 1029)


@pytest.mark.parametrize(
    "miss",
    [
        {"ohlc": [(1003, 1006, 1003, 1005)]},  # 3 above the edge
        {"ohlc": [(998, 1000, 997, 999)]},  # closes below it
        {"ohlc": [(1006, 1006, 1002, 1005)]},  # red
        {"battle__score": 0.40},
        {"battle__score": 0.40, "f4": 0.30},
        {"battle__score": 0.40, "pattern": (0.6, 0.9, 0.9, 0.6)},  # short patterns, weak long ones
        {"regime__regime": Regime.RANGE_BEARISH_BIAS},
        {"regime__regime": Regime.WEAK_TREND_BULL},
        {"regime__support": NAN},
    ],
)
def test_r1_near_misses(miss: dict[str, object]) -> None:
    assert triggers(**EDGE | miss) == []


def test_r1_is_permitted_on_the_biased_side() -> None:
    found = triggers(**EDGE | {"regime__regime": Regime.RANGE_BULLISH_BIAS})
    assert found == trigger(R1, 0.69, 1000, 997, 1029)


def reason_with(kind: SetupKind, side: int, traded: int, regime: Regime) -> int:
    """Reason of a close at which only the given hit was reported."""
    bars = make_bars([(1000, 1000, 1000, 1000)])
    rows = make_rows(bars, regime__regime=regime, n_setups=1)
    rows["setup_kind"][0, 0] = kind
    rows["setup_side"][0, 0] = side
    rows["setup_traded"][0, 0] = traded
    setups.Setups(kernel_params()).run(bars, rows)
    return int(rows["reason"][0])


@pytest.mark.parametrize("kind", [kind for kind in SetupKind if kind.name.startswith("P")])
def test_the_selector_counts_traded_hits_that_the_strategy_uses(kind: SetupKind) -> None:
    trend = READY if kind.name in {"P1", "P3", "P4", "P5"} else NO_SETUP
    ranging = READY if kind.name in {"P1", "P2", "P5"} else NO_SETUP
    assert reason_with(kind, 1, 1, Regime.STRONG_TREND_BULL) == trend
    assert reason_with(kind, 1, 1, Regime.WEAK_TREND_BEAR) == NO_SETUP
    assert reason_with(kind, 1, 0, Regime.STRONG_TREND_BULL) == NO_SETUP
    assert reason_with(kind, -1, 1, Regime.RANGE_NEUTRAL) == ranging
    assert reason_with(kind, -1, 1, Regime.RANGE_BEARISH_BIAS) == ranging
    assert reason_with(kind, -1, 1, Regime.RANGE_BULLISH_BIAS) == NO_SETUP
    assert reason_with(kind, 1, 1, Regime.TRANSITION) == WAIT
    assert reason_with(kind, 1, 1, Regime.UNCLEAR) == WAIT


def test_the_selector_counts_triggers() -> None:
    for case in ({"ohlc": PULLBACK, "regime__regime": BULL}, EDGE):
        own = dict(case)
        bars = make_bars(own.pop("ohlc"))
        rows = make_rows(bars, **own)
        setups.Setups(kernel_params()).run(bars, rows)
        assert rows["reason"][-1] == READY


def test_a_full_row_keeps_its_setups() -> None:
    bars = make_bars(PULLBACK)
    rows = make_rows(bars, regime__regime=BULL, n_setups=16, setup_kind=int(SetupKind.P2))
    setups.Setups(kernel_params()).run(bars, rows)
    assert rows["n_setups"][-1] == 16
    assert set(rows["setup_kind"][-1]) == {SetupKind.P2}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_triggers_are_mirror_symmetric_and_their_qualities_bounded(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 120
    close = 16000 + np.cumsum(rng.integers(-3, 4, n) + np.repeat([1, -1, 1, -1], n // 4))
    opened = np.r_[close[0], close[:-1]]
    high = np.maximum(opened, close) + rng.integers(0, 3, n)
    low = np.minimum(opened, close) - rng.integers(0, 3, n)
    ohlc = [tuple(map(int, bar)) for bar in zip(opened, high, low, close, strict=True)]
    bars = make_bars(ohlc, volume=rng.integers(100, 2000, n).tolist())
    rows = make_rows(
        bars,
        atr=rng.uniform(1, 12, n),
        vr=rng.uniform(0.5, 3, n),
        vwap=close + rng.normal(0, 4, n),
        price_score=rng.uniform(0, 1, n),
        pattern=rng.uniform(0, 1, (n, 4)),
        battle__score=rng.uniform(-0.86, 0.86, n),
        regime__regime=rng.integers(0, 9, n),
        regime__support=(low - rng.integers(-2, 3, n)).astype(float),
        regime__resistance=(high + rng.integers(-2, 3, n)).astype(float),
        regime__tolerance=2.0,
    )
    rows["feature"][:, 3] = rng.uniform(-1, 1, n)
    options = make_options(n, put_wall=low.astype(float), call_wall=high.astype(float))
    short = mirrored_rows(rows)
    setups.Setups(kernel_params()).run(bars, rows, options)
    setups.Setups(kernel_params()).run(mirrored_bars(bars), short, mirrored_options(options))
    assert rows["n_setups"].sum() > 5
    assert np.array_equal(rows["reason"], short["reason"])
    for long_row, short_row in zip(rows, short, strict=True):
        found = setups_of(long_row)
        np.testing.assert_allclose(mirrored_setups(short_row), found, rtol=0, atol=1e-12)
        assert all(0 <= f[2] <= 1 for f in found)
        assert all(f[1] * f[4] < f[1] * long_row["bar"]["close"] for f in found)


def test_a_session_ends_what_triggers_look_back_at() -> None:
    bars = make_bars(PULLBACK)
    bars["session_id"][10:] = 20251113
    rows = make_rows(bars, regime__regime=BULL)
    setups.Setups(kernel_params()).run(bars, rows)
    assert rows["n_setups"].sum() == 0


def test_wrong_arguments_are_named() -> None:
    bars = make_bars([FLAT] * 2)
    with pytest.raises(ValueError, match="one record"):
        setups.Setups(np.concatenate([kernel_params(), kernel_params()]))
    with pytest.raises(ValueError, match="as many as the 2 bars"):
        setups.Setups(kernel_params()).run(bars, make_rows(bars)[:1])

import numpy as np
import pytest
from fast.kernel_samples import atr_of, bar_series, cases, close_to, make_bars, mirror, vector_bars
from hypothesis import given, settings

from mia._fast import regime
from mia.core.base_types import Regime
from mia.core.kernel_params import kernel_params

MIRRORED = [1, 0, 3, 2, 5, 4, 6, 7, 8]
CASES = cases("10_regime")


def classify(bars, atr, vslope, **overrides):
    return regime.RegimeClassifier(kernel_params(**overrides)).bars(bars, atr, vslope)


def same(value, expected):
    return np.isnan(value) if expected is None else close_to(value, expected)


@pytest.mark.parametrize("case", CASES)
def test_regime_is_that_of_the_vectors(case):
    expected = case["expected"]
    found = classify(vector_bars(case["inputs"]), case["inputs"]["atr"], case["inputs"]["vslope"])
    for k, row in enumerate(found):
        assert Regime(row["raw"]).name == expected["raw"][k], k
        assert Regime(row["regime"]).name == expected["regime"][k], k
        assert close_to(row["confidence"], expected["confidence"][k])
        assert same(row["raw_strength"], expected["strength"][k])
        assert bool(row["tested"]) == (expected["up"][k] is not None)
        if row["tested"]:
            assert (row["up"], row["down"]) == (expected["up"][k], expected["dn"][k])
        assert same(row["range_quality"], expected["qr"][k])
        if expected["qr"][k] is not None:
            assert (row["resistance"], row["support"]) == (expected["R"][k], expected["S"][k])


@pytest.mark.parametrize("case", CASES)
def test_edges_are_the_last_accepted_until_another_regime_is_published(case):
    found = classify(vector_bars(case["inputs"]), case["inputs"]["atr"], case["inputs"]["vslope"])
    last = (np.nan,) * 3
    published = Regime.UNCLEAR
    for k, row in enumerate(found):
        edges = row["resistance"], row["support"], row["tolerance"]
        if case["expected"]["qr"][k] is not None:
            assert edges[:2] == (case["expected"]["R"][k], case["expected"]["S"][k])
            last = edges
        elif row["regime"] != published:
            last = (np.nan,) * 3
        assert np.array_equal(edges, last, equal_nan=True)
        published = row["regime"]


@pytest.mark.parametrize("case", CASES)
def test_change_is_stamped_with_the_close_of_its_bar(case):
    bars = vector_bars(case["inputs"])
    found = classify(bars, case["inputs"]["atr"], case["inputs"]["vslope"])
    changed, before = 0, Regime.UNCLEAR
    for bar, row in zip(bars, found, strict=True):
        if row["regime"] != before:
            changed, before = bar["t_close"], row["regime"]
        assert row["changed_at"] == changed


def slopes(bars):
    vwap = np.cumsum(bars["close"] * bars["volume"]) / np.cumsum(bars["volume"])
    out = np.zeros(len(bars))
    out[10:] = (vwap[10:] - vwap[:-10]) / 10
    return out


@settings(max_examples=60)
@given(bar_series(longest=160))
def test_mirrored_bars_have_the_mirrored_regime(bars):
    atr, vslope = atr_of(bars), slopes(bars)
    found, mirrored = classify(bars, atr, vslope), classify(mirror(bars), atr, -vslope)
    for name in ("raw", "regime"):
        assert [MIRRORED[value] for value in found[name]] == list(mirrored[name])
    for name in ("confidence", "strength", "raw_strength", "range_quality", "tolerance"):
        assert np.array_equal(found[name], mirrored[name], equal_nan=True), name
    assert np.array_equal(found["up"], mirrored["down"])
    assert np.array_equal(found["resistance"], -mirrored["support"], equal_nan=True)


@settings(max_examples=60)
@given(bar_series(longest=160))
def test_regime_does_not_depend_on_later_bars(bars):
    atr, vslope = atr_of(bars), slopes(bars)
    whole = classify(bars, atr, vslope)
    for k in (1, len(bars) // 2, len(bars)):
        part = classify(bars[:k].copy(), atr[:k], vslope[:k])
        assert part.tobytes() == whole[:k].tobytes()


@settings(max_examples=40)
@given(bar_series(longest=160))
def test_edges_are_the_most_tested_ranks_of_the_window(bars):
    atr = atr_of(bars)
    for k, row in enumerate(classify(bars, atr, slopes(bars))):
        if np.isnan(row["range_quality"]):
            continue
        window = bars[max(0, k - 59) : k + 1]
        tol, n = max(2.0, 0.25 * atr[k]), len(window)
        highs, lows = np.sort(window["high"]), np.sort(window["low"])

        def tests(prices, level, tol=tol):
            near = np.abs(prices - level) <= tol + 1e-9
            return int(near[0]) + int(np.sum(near[1:] & ~near[:-1]))

        above = [highs[(q * n + 99) // 100 - 1] for q in (95, 90, 85)]
        below = [lows[n - ((100 - q) * n + 99) // 100] for q in (5, 10, 15)]
        assert row["resistance"] == max(above, key=lambda p: tests(window["high"], p))
        assert row["support"] == max(below, key=lambda p: tests(window["low"], p))


def test_only_the_newest_events_must_point_to_the_side_of_a_strong_trend():
    turns = {0: 94, 2: 100, 5: 92, 8: 97, 11: 93, 14: 103, 17: 99, 20: 109, 23: 105, 26: 115}
    price = np.rint(np.interp(np.arange(30), [*turns, 29], [*turns.values(), 112])).astype(int)
    bars = make_bars(("o", "h", "l", "c", "v"), [(p, p + 1, p - 1, p, 100) for p in price])
    row = classify(bars, 4.0, 1.0)[-1]
    assert (row["up"], row["down"], row["raw"]) == (6, 1, Regime.STRONG_TREND_BULL)
    assert classify(bars, 4.0, 1.0, reg_intact=7)[-1]["raw"] != Regime.STRONG_TREND_BULL


def test_a_class_is_published_when_it_has_held():
    case = CASES[0].values[0]
    bars, inputs = vector_bars(case["inputs"]), case["inputs"]
    slow = classify(bars, inputs["atr"], inputs["vslope"], reg_hold_bars=5)
    quick = classify(bars, inputs["atr"], inputs["vslope"], reg_hold_bars=1)
    assert np.array_equal(quick["regime"], quick["raw"])
    first = int(np.flatnonzero(slow["raw"] == Regime.STRONG_TREND_BULL)[0])
    assert slow["regime"][first + 3] == Regime.UNCLEAR
    assert slow["regime"][first + 4] == Regime.STRONG_TREND_BULL


def test_arguments_are_checked():
    bars = vector_bars(CASES[0].values[0]["inputs"])
    bars["session_id"][3:] += 1
    with pytest.raises(ValueError, match="bar 3 is of another"):
        classify(bars, 4.0, 0.0)
    with pytest.raises(ValueError, match=r"reg\.bars must be from 11 to 120, was 10"):
        regime.RegimeClassifier(kernel_params(reg_bars=10))
    with pytest.raises(ValueError, match=r"reg\.range_bars must be from 3 to 120, was 121"):
        regime.RegimeClassifier(kernel_params(reg_range_bars=121))

import numpy as np
import pytest
from fast.kernel_samples import (
    MINUTE,
    T_OPEN,
    atr_of,
    bar_series,
    cases,
    close_to,
    mirror,
    vector_bars,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from mia._fast import order_flow, records, regime
from mia.core.base_types import FEATURE_NAMES, Phase, Regime
from mia.core.kernel_params import kernel_params

TRADE_TYPES = (np.int64, np.int32, np.int32, np.int8)
NO_TRADES = tuple(np.empty(0, kind) for kind in TRADE_TYPES)
SIGNED = [0, 1, 2, 3, 4, 6, 7, 14, 15]


def vwap_of(bars):
    """Return VWAP and its deviation of ready-made bars, plainly."""
    reference = int(bars["open"][0])
    y = bars["high"] + bars["low"] + bars["close"] - 3 * reference
    volume = np.cumsum(bars["volume"])
    mean = np.cumsum(bars["volume"] * y) / (3 * volume)
    square = np.cumsum(bars["volume"] * y * y) / (9 * volume)
    return reference + mean, np.sqrt(np.maximum(square - mean * mean, 0))


def make_rows(bars, **overrides):
    """Return rows with all that the features of one session read."""
    n = len(bars)
    rows = np.zeros(n, records.ROW_DTYPE)
    rows["atr"] = atr_of(bars)
    rows["atr_valid"] = np.arange(n) >= 4
    for i in range(n):
        before = bars["volume"][max(0, i - 20) : i]
        rows["vr_valid"][i] = len(before) >= 5
        rows["vr"][i] = bars["volume"][i] / before.mean() if len(before) >= 5 else 1.0
    rows["vwap"], rows["vwap_sd"] = vwap_of(bars)
    rows["vslope"][10:] = (rows["vwap"][10:] - rows["vwap"][:-10]) / 10
    rows["vslope_valid"] = np.arange(n) >= 10
    rows["phase"] = Phase.ny_open
    classifier = regime.RegimeClassifier(kernel_params(**overrides))
    rows["regime"] = classifier.bars(bars, rows["atr"], rows["vslope"])
    return rows


def fill(bars, rows=None, stacked=None, trades=NO_TRADES, stops=None, **overrides):
    n = len(bars)
    rows = make_rows(bars) if rows is None else rows
    stacked = np.full(n, np.nan) if stacked is None else np.array(stacked, float)
    stops = np.zeros(n, np.int64) if stops is None else np.array(stops, np.int64)
    kernel = order_flow.OrderFlow(kernel_params(**overrides))
    kernel.fill(bars, rows, stacked, *trades, stops)
    return rows


def columns(trades):
    return tuple(
        np.array([trade[k] for trade in trades], kind) for k, kind in enumerate(TRADE_TYPES)
    )


@pytest.mark.parametrize("case", cases("06_features"))
def test_bar_features_are_those_of_the_vectors(case):
    expected = case["expected"]
    rows = fill(vector_bars(case["inputs"]))
    for k, row in enumerate(rows):
        for number in (1, 2, 3, 4, 15, 16, 17, 18):
            name = f"F{number}"
            assert close_to(row["feature"][number - 1], expected[name][k]), (k, name)
            assert bool(row["valid"][number - 1]) == (name not in expected["invalid"][k]), (k, name)


@pytest.mark.parametrize("case", cases("10_regime"))
def test_regime_feature_is_that_of_the_vectors(case):
    bars = vector_bars(case["inputs"])
    rows = make_rows(bars)
    rows["regime"] = regime.RegimeClassifier(kernel_params()).bars(
        bars, case["inputs"]["atr"], case["inputs"]["vslope"]
    )
    fill(bars, rows)
    for k, row in enumerate(rows):
        assert close_to(row["feature"][14], case["expected"]["F15"][k]), k
        assert bool(row["valid"][14]) == (k >= 29)


@pytest.mark.parametrize("case", cases("07_flow_features"))
def test_stacked_imbalance_is_that_of_the_vectors(case):
    _, bid, ask = zip(*case["inputs"]["px_bid_ask"], strict=True)
    found = order_flow.bar_imbalance(
        np.array(bid, np.int64), np.array(ask, np.int64), kernel_params()
    )
    assert close_to(found, case["expected"]["value"])


def test_the_edge_rows_have_no_partner_and_do_not_count():
    big, none = np.full(5, 50), np.zeros(5, np.int64)
    for bid, ask in ((big, none), (none, big)):
        assert order_flow.bar_imbalance(bid[1:4], ask[1:4], kernel_params()) == 0.0
    assert order_flow.bar_imbalance(none[1:], big[1:], kernel_params()) == 0.6
    assert order_flow.bar_imbalance(big[1:], none[1:], kernel_params()) == -0.6


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=30))
def test_stacked_imbalance_of_the_mirrored_footprint_has_the_other_sign(rows):
    bid, ask = np.array(rows, np.int64).T.copy()
    found = order_flow.bar_imbalance(bid, ask, kernel_params())
    assert order_flow.bar_imbalance(ask[::-1].copy(), bid[::-1].copy(), kernel_params()) == -found
    assert abs(found) <= 1


@pytest.mark.parametrize(
    ("stacked", "expected"),
    [
        ([0.2, -0.6, 0.4], [0.2, -0.6, -0.6]),
        ([0.6, -0.6, 0.2, 0.2], [0.6, -0.6, -0.6, -0.6]),
        ([0.8, 0.2, 0.2, 0.2], [0.8, 0.8, 0.8, 0.2]),
        ([0.8, np.nan, -0.2], [0.8, None, 0.8]),
        ([np.nan, np.nan, 0.0], [None, None, 0.0]),
    ],
)
def test_stacked_imbalance_is_the_largest_of_three_bars_the_latest_of_equals(stacked, expected):
    bars = vector_bars(cases("06_features")[0].values[0]["inputs"])[: len(stacked)].copy()
    rows = fill(bars, stacked=stacked)
    assert [bool(row["valid"][4]) for row in rows] == [value is not None for value in expected]
    assert [row["feature"][4] for row in rows] == [value or 0.0 for value in expected]


@pytest.mark.parametrize("case", cases("09_trade_features"))
def test_trade_features_are_those_of_the_vectors(case):
    trades = case["inputs"]["trades"]
    bars = np.zeros(1, records.BAR_DTYPE)
    bars["volume"] = sum(trade[2] for trade in trades)
    bars["t_close"] = case["inputs"]["t_close"]
    row = fill(bars, make_rows(bars), trades=columns(trades), stops=[len(trades)])[0]
    assert close_to(row["feature"][6], case["expected"]["F7"])
    assert bool(row["valid"][6]) == case["expected"]["F7_valid"]
    assert close_to(row["feature"][7], case["expected"]["F8"])
    assert row["valid"][7]


def test_sign_of_the_oldest_of_twenty_trades_comes_from_the_one_before():
    bars = np.zeros(1, records.BAR_DTYPE)
    bars["volume"], bars["t_close"] = 100, T_OPEN + MINUTE
    flat = [(T_OPEN + k, 100, 1, -1) for k in range(20)]
    row = fill(bars, make_rows(bars), trades=columns(flat), stops=[20])[0]
    assert close_to(row["feature"][6], -1.0)
    row = fill(bars, make_rows(bars), trades=columns([(T_OPEN, 99, 1, -1), *flat]), stops=[21])[0]
    assert close_to(row["feature"][6], -0.9)


def test_without_trades_their_features_are_neutral_and_invalid():
    row = fill(vector_bars(cases("06_features")[0].values[0]["inputs"]))[-1]
    for k in (4, 5, 6, 7):
        assert (row["feature"][k], row["valid"][k]) == (0.0, 0), FEATURE_NAMES[k]


def trades_of(bars, seed):
    """Draw the trades of some bars and their number at each close."""
    random = np.random.default_rng(seed)
    trades, stops = [], []
    for bar in bars:
        for k in range(random.integers(0, 30)):
            price = random.integers(bar["low"], bar["high"] + 1)
            size = random.choice([1, 5, 100, 600])
            trades.append((bar["t_open"] + k, price, size, random.integers(-1, 2)))
        stops.append(len(trades))
    return columns(trades), stops


@settings(max_examples=40)
@given(bar_series(longest=60), st.integers(0, 1000))
def test_mirrored_market_flips_the_signed_features(bars, seed):
    trades, stops = trades_of(bars, seed)
    ts, price, size, side = trades
    stacked = np.random.default_rng(seed).integers(-5, 6, len(bars)) / 5
    rows = fill(bars, stacked=stacked, trades=trades, stops=stops)
    other = mirror(bars)
    flipped = make_rows(other)
    flipped = fill(other, flipped, -stacked, (ts, -price, size, -side), stops)
    assert np.array_equal(rows["valid"], flipped["valid"])
    for k in range(18):
        sign = -1 if k in SIGNED else 1
        np.testing.assert_allclose(
            flipped["feature"][:, k], sign * rows["feature"][:, k], atol=1e-9, err_msg=f"F{k + 1}"
        )
        assert np.all(np.abs(rows["feature"][:, k]) <= 1 + 1e-12)


@settings(max_examples=40)
@given(bar_series(longest=60), st.integers(0, 1000))
def test_features_do_not_depend_on_later_bars_and_trades(bars, seed):
    trades, stops = trades_of(bars, seed)
    whole = fill(bars, trades=trades, stops=stops)
    for k in {1, (len(bars) + 1) // 2, len(bars)}:
        known = tuple(column[: stops[k - 1]].copy() for column in trades)
        part = fill(bars[:k].copy(), trades=known, stops=stops[:k])
        assert part["feature"].tobytes() == whole["feature"][:k].tobytes()
        assert part["valid"].tobytes() == whole["valid"][:k].tobytes()


@settings(max_examples=40)
@given(bar_series(longest=60))
def test_divergence_is_that_of_two_regressions(bars):
    rows = fill(bars)
    cvd = np.cumsum(bars["ask_volume"] - bars["bid_volume"])
    x = np.arange(10)
    for i in range(9, len(bars)):
        if not rows["valid"][i, 2]:
            continue
        window = slice(i - 9, i + 1)
        price, flow = bars["close"][window], cvd[window]
        expected = 0.0
        if np.ptp(price) and np.ptp(flow):
            (bp, _), (bc, _) = np.polyfit(x, price, 1), np.polyfit(x, flow, 1)
            fits = [np.corrcoef(x, y)[0, 1] ** 2 >= 0.30 - 1e-9 for y in (price, flow)]
            if all(fits) and bp * bc < -1e-9:
                move = min(10 * abs(bp) / rows["atr"][i], 1)
                force = min(10 * abs(bc) / (0.10 * bars["volume"][window].sum()), 1)
                expected = -np.sign(bp) * move * force
        assert abs(rows["feature"][i, 2] - expected) < 1e-9


def test_price_up_against_the_flow_is_a_bearish_divergence():
    bars = np.zeros(10, records.BAR_DTYPE)
    bars["volume"], bars["bid_volume"], bars["ask_volume"] = 1000, 600, 400
    bars["open"] = bars["close"] = bars["low"] = bars["high"] = 100 + 2 * np.arange(10)
    assert close_to(fill(bars, make_rows(bars))["feature"][-1, 2], -1.0)


def test_large_volume_joins_the_confirmation_only_where_it_is_known():
    bars = np.zeros(8, records.BAR_DTYPE)
    bars["volume"], bars["bid_volume"], bars["ask_volume"] = 1000, 500, 500
    bars["large_volume"] = 100
    assert close_to(fill(bars, make_rows(bars))["feature"][-1, 16], 0.45 / 1.8 + 0.10 * 0.8)
    bars["flags"] = 4
    assert close_to(fill(bars, make_rows(bars))["feature"][-1, 16], 0.45 / 1.8 / 0.90)


def test_each_phase_has_its_factor():
    bars = vector_bars(cases("06_features")[0].values[0]["inputs"])[:8].copy()
    rows = make_rows(bars)
    rows["phase"] = np.arange(8)
    factors = fill(bars, rows)["feature"][:, 17].tolist()
    assert factors == [0.40, 0.50, 0.65, 0.75, 0.45, 0.60, 0.50, 0.40]


def test_selected_anchor_decides_the_trend_against_the_vwap():
    bars = vector_bars(cases("06_features")[0].values[0]["inputs"])[:12].copy()
    rows = make_rows(bars)
    rows["vslope"] = 0.0
    rows["vwap_rth"], rows["vwap_rth_sd"] = bars["close"] - 4.0, 4.0
    assert close_to(fill(bars, rows, vwap_anchor=1)["feature"][-1, 15], 0.25)
    rows["vwap_rth"] = np.nan
    row = fill(bars, rows, vwap_anchor=1)[-1]
    assert (row["feature"][15], row["valid"][15]) == (0.0, 0)


def test_biased_ranges_have_a_fixed_regime_feature():
    bars = vector_bars(cases("06_features")[0].values[0]["inputs"])
    rows = make_rows(bars)
    for name, value in ((Regime.RANGE_BULLISH_BIAS, 0.3), (Regime.RANGE_BEARISH_BIAS, -0.3)):
        rows["regime"]["regime"] = name
        assert close_to(fill(bars, rows)["feature"][-1, 14], value)


def test_arguments_are_checked():
    bars = vector_bars(cases("06_features")[0].values[0]["inputs"])
    with pytest.raises(ValueError, match="each of 45 bars"):
        fill(bars, stacked=[0.0])
    with pytest.raises(ValueError, match="stop 1 of bar 0 must be from 0 to 0"):
        fill(bars, stops=[1] * 45)
    with pytest.raises(ValueError, match=r"feat\.f3_bars must be from 1 to 60, was 61"):
        order_flow.OrderFlow(kernel_params(feat_f3_bars=61))
    with pytest.raises(ValueError, match="had 2 and 1"):
        order_flow.bar_imbalance(np.zeros(2, np.int64), np.zeros(1, np.int64), kernel_params())
    bars["session_id"][5:] += 1
    rows = np.zeros(45, records.ROW_DTYPE)
    with pytest.raises(ValueError, match="bar 5 is of another"):
        fill(bars, rows)

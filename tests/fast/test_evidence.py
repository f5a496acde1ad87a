import json
from pathlib import Path

import numpy as np
import pytest
from fast.closes import (
    Ohlc,
    make_bars,
    make_options,
    make_rows,
    mirrored_bars,
    mirrored_options,
    mirrored_rows,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mia._fast import evidence
from mia.core.kernel_params import kernel_params

KIND = {"BULL_TRAP": -1, "BEAR_TRAP": 1, None: 0}
VECTORS = Path(__file__).parent.parent / "vectors" / "12_risk_headfake.json"
CASES = [case for case in json.loads(VECTORS.read_text())["cases"] if "bars" in case["inputs"]]
QUIET: Ohlc = (100, 103, 99, 102)
BULL_TRAP: Ohlc = (102, 108, 101, 102)


def run(
    bars: NDArray[np.void], rows: NDArray[np.void], *inputs: object, **named: object
) -> np.void:
    evidence.Evidence(kernel_params()).run(bars, rows, *inputs, **named)
    return rows[-1]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_headfake_vectors_of_the_method_are_reproduced(case: dict[str, dict[str, object]]) -> None:
    table = np.array(case["inputs"]["bars"], dtype=np.int64)
    bars = make_bars([(0, 0, 0, 0)] * len(table))
    for name, column in zip(
        ("open", "high", "low", "close", "volume", "bid_volume", "ask_volume"),
        table.T,
        strict=True,
    ):
        bars[name] = column
    kind, score = evidence.headfake_of(bars, case["inputs"]["vr"])
    assert kind == KIND[case["expected"]["kind"]]
    assert score == pytest.approx(case["expected"]["score"], rel=1e-9)


@pytest.mark.parametrize(
    ("last", "vr", "delta", "kind", "score"),
    [
        (BULL_TRAP, 2.4, 0, -1, 1.0),  # .4 + .3 + .3
        (BULL_TRAP, 2.4, 20, -1, 0.7),  # |dr| .02 is half the median .04, not below it
        (BULL_TRAP, 1.5, 0, -1, 0.7),  # vr not above 1.5
        (BULL_TRAP, 1.5, 20, 0, 0.4),
        ((102, 103, 101, 102), 2.4, 0, 0, 0.0),  # touches the high, does not break it
        ((102, 108, 101, 103), 2.4, 0, -1, 1.0),  # close on the broken high is back inside
        ((102, 108, 101, 104), 2.4, 0, 0, 0.6),  # close beyond it is not
        ((100, 101, 95, 100), 2.4, 0, 1, 1.0),
        ((102, 108, 95, 102), 2.4, 0, 0, 1.0),  # both breaks alike: no kind
        ((102, 108, 95, 106), 2.4, 0, 1, 1.0),  # up stays out (.6), down is back (1.0)
    ],
)
def test_headfake_adds_return_volume_and_quiet_delta(
    last: Ohlc, vr: float, delta: int, kind: int, score: float
) -> None:
    bars = make_bars([QUIET] * 9 + [last], delta=[40] * 9 + [delta])
    assert evidence.headfake_of(bars, vr) == (kind, pytest.approx(score))


def test_headfake_needs_nine_bars_of_the_session_before_it() -> None:
    bars = make_bars([QUIET] * 9 + [BULL_TRAP])
    assert evidence.headfake_of(bars[1:], 2.4) == (0, 0.0)
    bars["session_id"][1:] = 20251113
    row = run(bars, make_rows(bars, vr=2.4))
    assert (row["headfake"], row["headfake_score"]) == (0, 0.0)


def test_the_median_is_that_of_the_twenty_bars_before() -> None:
    # 20 ratios: ten .02 and ten .06, median .04; a 21st bar before them would raise it
    bars = make_bars([QUIET] * 21 + [BULL_TRAP], delta=[60] + [20] * 10 + [60] * 10 + [18])
    assert evidence.headfake_of(bars, 1.0) == (-1, pytest.approx(0.7))  # .018 < .02
    bars = make_bars([QUIET] * 21 + [BULL_TRAP], delta=[60] + [20] * 10 + [60] * 10 + [20])
    assert evidence.headfake_of(bars, 1.0) == (0, pytest.approx(0.4))


def test_headfake_without_bars_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one bar"):
        evidence.headfake_of(make_bars([QUIET])[:0], 1.0)


@pytest.mark.parametrize(
    ("volume", "spread_z", "imbalance", "expected"),
    [
        (1400, np.nan, np.nan, 0.0),  # z = 4, not above
        (1450, np.nan, np.nan, 0.75),  # z = 4.5, /6
        (1900, np.nan, np.nan, 1.0),
        (1000, 2.0, 0.8, 0.0),
        (1000, 3.0, np.nan, 0.75),
        (1000, 9.0, np.nan, 1.0),
        (1000, -9.0, np.nan, 0.0),
        (1000, np.nan, 0.9, 0.8),
        (1000, np.nan, -0.85, 0.7),
        (1450, 2.2, -0.85, 0.75),  # the largest of .75, .55, .70
    ],
)
def test_micro_anomaly_is_the_largest_of_volume_spread_and_book(
    volume: int, spread_z: float, imbalance: float, expected: float
) -> None:
    # twenty volumes alternate 900 and 1100: mean 1000, std 100
    bars = make_bars([QUIET] * 21, volume=[900, 1100] * 10 + [volume])
    row = run(
        bars,
        make_rows(bars),
        spread_z=np.full(21, spread_z),
        book_imbalance=np.full(21, imbalance),
    )
    assert row["micro_anomaly"] == pytest.approx(expected)


def test_volume_is_no_anomaly_before_twenty_bars_nor_after_equal_ones() -> None:
    bars = make_bars([QUIET] * 20, volume=[900, 1100] * 9 + [900, 9000])
    assert run(bars, make_rows(bars))["micro_anomaly"] == 0.0
    bars = make_bars([QUIET] * 21, volume=[1000] * 20 + [9000])
    assert run(bars, make_rows(bars))["micro_anomaly"] == 0.0


@pytest.mark.parametrize(
    ("f9", "call", "put", "last_volume", "expected"),
    [
        (0.8, 104.0, 50.0, 1000, 0.48),  # d = 2 of 5: tri .6, * .8
        (0.8, 150.0, 101.0, 1000, 0.64),  # the nearer wall
        (0.8, 104.0, np.nan, 1000, 0.48),
        (0.8, np.nan, 101.0, 1000, 0.64),
        (0.8, np.nan, np.nan, 1000, 0.0),
        (0.8, 104.0, 50.0, 699, 0.576),  # quiet: * 1.2
        (0.8, 104.0, 50.0, 700, 0.48),  # .7 of the mean is not below it
        (1.0, 102.0, 50.0, 500, 1.0),  # clipped
        (-0.8, 104.0, 50.0, 1000, 0.0),
        (0.8, 107.0, 50.0, 1000, 0.0),
    ],
)
def test_gamma_pin_grows_towards_a_wall_in_positive_gamma(
    f9: float, call: float, put: float, last_volume: int, expected: float
) -> None:
    bars = make_bars([QUIET] * 6, volume=[1000] * 5 + [last_volume])
    rows = make_rows(bars)
    rows["feature"][:, 8] = f9
    rows["valid"][:, 8] = 1
    options = make_options(6, call_wall=call, put_wall=put)
    assert run(bars, rows, options)["gamma_pin"] == pytest.approx(expected)
    rows["valid"][:, 8] = 0
    assert run(bars, rows, options)["gamma_pin"] == 0.0


def test_gamma_pin_widens_with_atr() -> None:
    bars = make_bars([QUIET])
    rows = make_rows(bars, atr=30.0)  # width .33*30 = 9.9
    rows["feature"][:, 8] = 1.0
    rows["valid"][:, 8] = 1
    row = run(bars, rows, make_options(1, call_wall=104.0))
    assert row["gamma_pin"] == pytest.approx(1 - 2 / 9.9)


def test_evidence_is_judged_outside_regular_hours_too() -> None:
    bars = make_bars([QUIET] * 9 + [BULL_TRAP])
    assert run(bars, make_rows(bars, vr=2.4, rth=0))["headfake"] == -1


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_evidence_is_mirror_symmetric_and_bounded(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 60
    close = np.cumsum(rng.integers(-4, 5, n))
    opened = close - rng.integers(-4, 5, n)
    high = np.maximum(opened, close) + rng.integers(0, 6, n)
    low = np.minimum(opened, close) - rng.integers(0, 6, n)
    table = [tuple(map(int, bar)) for bar in zip(opened, high, low, close, strict=True)]
    volume = 2 * rng.integers(1, 500, n)
    delta = volume - 2 * rng.integers(0, volume + 1)
    bars = make_bars(table, volume=volume.tolist(), delta=delta.tolist())
    rows = make_rows(bars, vr=rng.uniform(0, 3, n))
    rows["feature"][:, 8] = rng.uniform(-1, 1, n)
    rows["valid"][:, 8] = 1
    options = make_options(n, call_wall=close + 4.0, put_wall=close - 3.0)
    books = {"spread_z": rng.normal(0, 3, n), "book_imbalance": rng.uniform(-1, 1, n)}
    other = mirrored_rows(rows)
    run(bars, rows, options, **books)
    run(mirrored_bars(bars), other, mirrored_options(options), **books)
    assert np.array_equal(other["headfake"], -rows["headfake"])
    for name in ("headfake_score", "micro_anomaly", "gamma_pin"):
        assert np.array_equal(other[name], rows[name])
        assert np.all((rows[name] >= 0) & (rows[name] <= 1))


def test_wrong_arguments_are_named() -> None:
    bars = make_bars([QUIET] * 2)
    rows = make_rows(bars)
    with pytest.raises(ValueError, match="one record"):
        evidence.Evidence(np.concatenate([kernel_params(), kernel_params()]))
    with pytest.raises(ValueError, match="as many as the 2 bars"):
        run(bars, rows[:1])
    with pytest.raises(ValueError, match="as many as the 2 bars"):
        run(bars, rows, spread_z=np.zeros(1))
    with pytest.raises(ValueError, match="go together"):
        run(bars, rows, first_zone=np.zeros(3, np.int64))

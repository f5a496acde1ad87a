import numpy as np
import pytest
from fast.closes import (
    make_bars,
    make_options,
    make_rows,
    make_zones,
    mirrored_bars,
    mirrored_options,
    mirrored_rows,
    mirrored_setups,
    mirrored_zones,
    setups_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from mia._fast import es_patterns, evidence
from mia.core.kernel_params import kernel_params


def reported_at(levels_: list[int], sessions: list[int] | None = None) -> list[int]:
    """Indices of bars, a minute apart, at which P1 is reported."""
    bars = make_bars([(v - 1, v + 6, v - 4, v + 4) for v in levels_], delta=60)
    bars["session_id"] = sessions or 20251112
    rows = make_rows(bars, developing_valid=1)
    for name, above in (("val", 0), ("poc", 20), ("vah", 40)):
        rows[f"developing_{name}"] = np.array(levels_) + above
    evidence.Evidence(kernel_params()).run(bars, rows)
    return np.flatnonzero(rows["n_setups"]).tolist()


def test_a_hit_is_not_reported_again_for_fifteen_minutes() -> None:
    assert reported_at([16000] * 32) == [0, 15, 30]


def test_a_level_more_than_four_ticks_away_is_another() -> None:
    assert reported_at([16000, 16004, 16005, 16001, 16009, 15996]) == [0, 2]
    assert reported_at([16000, 16010, 16020, 16000]) == [0, 1, 2]


def test_a_new_session_reports_anew() -> None:
    assert reported_at([16000] * 4, [1, 1, 2, 2]) == [0, 2]


def test_both_directions_are_remembered_apart() -> None:
    bars = make_bars([(15999, 16006, 15996, 16004), (16001, 16004, 15994, 15996)], delta=[60, -60])
    rows = make_rows(bars, developing_valid=1, developing_val=16000, developing_vah=16000)
    evidence.Evidence(kernel_params()).run(bars, rows)
    assert [found[1] for row in rows for found in setups_of(row)] == [1, -1]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_hits_are_mirror_symmetric_and_their_strengths_bounded(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 80
    close = 16000 + np.cumsum(rng.integers(-6, 7, n))
    opened = close - rng.integers(-6, 7, n)
    high = np.maximum(opened, close) + rng.integers(0, 5, n)
    low = np.minimum(opened, close) - rng.integers(0, 5, n)
    ohlc = [tuple(map(int, bar)) for bar in zip(opened, high, low, close, strict=True)]
    bars = make_bars(ohlc, delta=(2 * rng.integers(-300, 301, n)).tolist())
    rows = make_rows(
        bars,
        vr=rng.uniform(0.5, 3, n),
        vwap=close + rng.normal(0, 10, n),
        vwap_sd=4.0,
        vslope=rng.normal(0, 0.2, n),
        vslope_valid=1,
        developing_valid=1,
        developing_val=close - rng.integers(0, 8, n),
        developing_vah=close + rng.integers(0, 8, n),
        developing_poc=close + rng.integers(-9, 10, n),
        pattern=rng.uniform(0, 1, (n, 4)),
        battle__signal=rng.integers(-1, 2, n),
        battle__golden=rng.uniform(-0.6, 0.6, n),
        battle__confidence=rng.uniform(0.3, 0.8, n),
        battle__score=rng.uniform(-0.86, 0.86, n),
        battle__base_quality=rng.uniform(0, 1, n),
        battle__active_dir=rng.integers(-1, 2, n),
        battle__active_low=close - 6,
        battle__active_high=close + 3,
        regime__regime=rng.integers(0, 9, n),
    )
    rows["feature"][:, 2:4] = rng.uniform(-1, 1, (n, 2))
    options = make_options(n, gamma_flip=close + rng.integers(-4, 5, n) * 0.5)
    zones = [
        make_zones((c - 9, c - 3, 0.5, 3), (c - 2, c + 2, 0.7, 4), (c + 4, c + 8, 0.2, 3))
        for c in close.astype(float) + rng.integers(-4, 5, n)
    ]
    first = 3 * np.arange(n + 1)
    short = mirrored_rows(rows)
    run = evidence.Evidence(kernel_params()).run
    run(bars, rows, options, np.concatenate(zones), first)
    other_zones = np.concatenate([mirrored_zones(own) for own in zones])
    run(mirrored_bars(bars), short, mirrored_options(options), other_zones, first)
    assert rows["n_setups"].sum() > 10
    for long_row, short_row in zip(rows, short, strict=True):
        expected = setups_of(long_row)
        np.testing.assert_allclose(mirrored_setups(short_row), expected, rtol=0, atol=1e-9)
        assert all(0 <= found[2] <= 1 for found in expected)
        assert all(found[1] * found[4] < found[1] * long_row["bar"]["close"] for found in expected)


def test_the_patterns_want_one_record_of_parameters() -> None:
    with pytest.raises(ValueError, match="one record"):
        es_patterns.EsPatterns(np.concatenate([kernel_params(), kernel_params()]))

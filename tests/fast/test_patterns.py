import numpy as np
import pytest
from fast.kernel_samples import bar_series, cases, close_to, mirror, vector_bars
from hypothesis import given
from hypothesis import strategies as st

from mia._fast import patterns

NAMES = ("LDU", "LUD", "CDS", "CUS")
SIDES = (1, -1, -1, 1)


def detect(bars, strict, leg=8.0, leg_color=12.0, vol_ref=1000.0):
    n = len(bars)
    out = np.full((n, 4), np.nan)
    columns = [np.full(n, float(value)) for value in (vol_ref, leg, leg_color)]
    patterns.detect_all(bars, *columns, strict, out)
    return out


@pytest.mark.parametrize("case", cases("04_patterns"))
def test_hits_are_those_of_the_vectors(case):
    given_ = case["inputs"]
    out = detect(
        vector_bars(given_), given_["strict"], given_["leg"], given_["leg_color"], given_["vol_ref"]
    )
    for strengths, hits in zip(out, case["expected"]["hits_at_close"], strict=True):
        found = [(NAMES[k], SIDES[k]) for k in range(4) if strengths[k] > 0]
        assert found == [(name, side) for name, side, _ in hits]
        assert all(close_to(strengths[NAMES.index(name)], value) for name, _, value in hits)


@given(bar_series(longest=60), st.booleans())
def test_mirrored_bars_show_the_mirrored_patterns(bars, strict):
    assert np.array_equal(detect(mirror(bars), strict), detect(bars, strict)[:, [1, 0, 3, 2]])


@given(bar_series(longest=60), st.booleans())
def test_a_hit_does_not_depend_on_later_bars(bars, strict):
    whole = detect(bars, strict)
    for k in range(len(bars) + 1):
        assert np.array_equal(detect(bars[:k].copy(), strict), whole[:k])


@given(bar_series(longest=60))
def test_strict_hits_are_among_the_hits_of_time_bars(bars):
    strict, loose = detect(bars, True), detect(bars, False)
    assert np.all((strict == 0) | (strict == loose))
    assert np.all((loose >= 0) & (loose <= 1))


def test_no_reference_volume_drops_the_volume_term():
    case = cases("04_patterns")[0].values[0]
    assert close_to(detect(vector_bars(case["inputs"]), True, vol_ref=0.0)[2, 0], 0.7)


def test_shapes_are_checked():
    bars = vector_bars(cases("04_patterns")[0].values[0]["inputs"])
    column = np.ones(3)
    with pytest.raises(ValueError, match="each of 3 bars"):
        patterns.detect_all(bars, column[:2], column, column, True, np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"shape \(3, 4\), was \(3, 3\)"):
        patterns.detect_all(bars, column, column, column, True, np.zeros((3, 3)))

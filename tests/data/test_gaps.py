from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mia.core import sessions
from mia.data.contracts import open_hours
from mia.data.gaps import count_off_hours, find_gaps

SECOND = 10**9
DAY = 20190809
SPANS = open_hours("ESU19", DAY)
RTH = sessions.session_table(DAY, DAY)[0][["t_rth_open", "t_rth_close"]].tolist()


def every(seconds: int) -> np.ndarray:
    return np.concatenate([np.arange(a, b, seconds * SECOND) for a, b in SPANS])


def without(times: np.ndarray, start: int, end: int) -> np.ndarray:
    return times[(times < start) | (times >= end)]


def test_a_steady_day_has_no_gap_and_the_pause_is_none() -> None:
    assert find_gaps(every(30), "ESU19", DAY) == []
    assert find_gaps(every(300), "ESU19", DAY, span_ns=300 * SECOND) == []


def test_a_minute_of_regular_hours_is_a_gap_and_at_night_a_quarter_of_an_hour() -> None:
    times = every(10)
    noon, night = RTH[0] + 3600 * SECOND, SPANS[0][0] + 3600 * SECOND
    for start, seconds, found in (
        (noon, 50, False),
        (noon, 60, True),
        (night, 60, False),
        (night, 880, False),
        (night, 900, True),
    ):
        gaps = find_gaps(without(times, start + 1, start + seconds * SECOND), "ESU19", DAY)
        assert gaps == ([(start, start + seconds * SECOND)] if found else [])


def test_an_empty_day_is_one_gap_for_each_span() -> None:
    assert find_gaps(np.empty(0, np.int64), "ESU19", DAY) == SPANS


def test_a_missing_bar_of_regular_hours_is_a_gap() -> None:
    times = every(300)
    start = RTH[0] + 600 * SECOND
    gaps = find_gaps(times[times != start], "ESU19", DAY, span_ns=300 * SECOND)
    assert gaps == [(start, start + 300 * SECOND)]


def test_nothing_is_missed_after_expiry() -> None:
    day = 20190920
    times = np.arange(sessions.session_open(day), open_hours("ESU19", day)[0][1], 30 * SECOND)
    assert find_gaps(times, "ESU19", day) == []


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 2760), max_size=30))
def test_gaps_are_exactly_the_long_silences(kept: set[int]) -> None:
    start = SPANS[0][0]
    times = np.array(sorted(start + k * 30 * SECOND for k in kept), np.int64)
    expected = []
    for a, b in SPANS:
        points = [a, *[int(t) for t in times if a <= t < b], b]
        for lo, hi in pairwise(points):
            in_rth = min(hi, RTH[1]) - max(lo, RTH[0])
            if hi - lo >= 900 * SECOND or in_rth >= 60 * SECOND:
                expected.append((lo, hi))
    assert find_gaps(times, "ESU19", DAY) == expected


def test_times_outside_open_hours_are_counted() -> None:
    end = SPANS[-1][1]
    times = np.array([SPANS[0][0], SPANS[0][1], end - 1, end], np.int64)
    assert count_off_hours(times, SPANS) == 2

import json
from pathlib import Path

import numpy as np
import pytest
from fast.closes import (
    MINUTE,
    RTH_OPEN,
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

from mia._fast import confluence, levels
from mia.core.kernel_params import kernel_params

KIND = {name: k for k, name in enumerate(levels.LEVEL_KINDS)}
VECTORS = Path(__file__).parent.parent / "vectors" / "11_score_confluence_mtf.json"
CASES = [case for case in json.loads(VECTORS.read_text())["cases"] if "levels" in case["inputs"]]


def analyzer(**overrides: float) -> confluence.Confluence:
    return confluence.Confluence(kernel_params(**overrides))


def score_of(
    analysis: confluence.Confluence, close: float, atr: float, table: list[tuple[object, ...]]
) -> float:
    kinds, prices, ages, touches, quality = zip(*table, strict=True)
    return analysis.score_levels(
        close,
        atr,
        np.array([KIND[str(kind)] for kind in kinds]),
        np.array(prices, dtype=float),
        np.array(ages, dtype=float),
        np.array(touches, dtype=np.int64),
        np.array(quality, dtype=float),
    )


def moving(kind: str, price: float) -> tuple[object, ...]:
    return (kind, price, 0, 0, 1)


def by_kind(analysis: confluence.Confluence) -> dict[str, list[np.void]]:
    found: dict[str, list[np.void]] = {}
    for level in analysis.level_array():
        found.setdefault(levels.LEVEL_KINDS[level["kind"]], []).append(level)
    return found


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_vectors_of_the_method_are_reproduced(case: dict[str, dict[str, object]]) -> None:
    given_, expected = case["inputs"], case["expected"]
    analysis = analyzer()
    score = score_of(analysis, given_["close"], given_["atr"], given_["levels"])
    assert score == pytest.approx(expected["price_score"], rel=1e-9, abs=1e-9)
    assert analysis.level_array()["w"] == pytest.approx(expected["w"], rel=1e-9)
    zones = analysis.zone_array()
    assert len(zones) == len(expected["zones"])
    for zone, wanted in zip(zones, expected["zones"], strict=True):
        assert zone["low"] == wanted["low"]
        assert zone["high"] == wanted["high"]
        assert zone["score"] == pytest.approx(wanted["score"], rel=1e-9)
        assert zone["centre"] == pytest.approx(wanted["centre"], rel=1e-9)
        assert zone["counted"] == wanted["count"]
        assert zone["kinds"] == wanted["kinds"]
        assert levels.ZONE_GRADES[zone["grade"]] == wanted["quality"]


def test_a_level_exactly_at_the_radius_adds_nothing_and_one_inside_adds_its_share() -> None:
    # radius max(10, 8) = 10; poc w = .9*.8 = .72: at d = 10 nothing, at d = 9 .72*.1/2 = .036
    assert score_of(analyzer(), 16000, 8.0, [moving("poc", 16010)]) == 0.0
    assert score_of(analyzer(), 16000, 8.0, [moving("poc", 16009)]) == pytest.approx(0.036)


def test_the_radius_grows_with_atr() -> None:
    # radius 20: .72*(1 - 9/20)/2 = .198
    assert score_of(analyzer(), 16000, 20.0, [moving("poc", 16009)]) == pytest.approx(0.198)


def test_only_the_largest_two_terms_of_a_family_count() -> None:
    # at the close itself: poc .72, vah .56, hvn .30 -> (.72 + .56)/2 = .64; cap 3 adds .15
    table = [moving("poc", 16000), moving("hvn", 16000), moving("vah", 16000)]
    assert score_of(analyzer(), 16000, 8.0, table) == pytest.approx(0.64)
    assert score_of(analyzer(conf_family_cap=3), 16000, 8.0, table) == pytest.approx(0.79)


def test_neighbours_join_up_to_the_gap_and_not_beyond() -> None:
    # gap max(3, .25*8) = 3
    analysis = analyzer()
    score_of(analysis, 16000, 8.0, [moving("poc", 16000), moving("vwap", 16003)])
    assert len(analysis.zone_array()) == 1
    score_of(analysis, 16000, 8.0, [moving("poc", 16000), moving("vwap", 16003.25)])
    assert len(analysis.zone_array()) == 2
    score_of(analysis, 16000, 14.0, [moving("poc", 16000), moving("vwap", 16003.25)])
    assert len(analysis.zone_array()) == 1


@pytest.mark.parametrize(
    ("table", "grade"),
    [
        ([moving("session_high", 16000)], "WEAK"),  # .5*.4/2 = .10
        ([moving("poc", 16000), moving("session_high", 16000)], "MODERATE"),  # (.72+.2)/2 = .46
        ([moving("poc", 16000), moving("vwap", 16000)], "STRONG"),  # (.72+.56)/2 = .64
        (
            [moving("poc", 16000), moving("vwap", 16000), moving("vah", 16000)],
            "EXTREME",  # (.72+.56+.56)/2 = .92
        ),
        (
            [
                ("prev_vah", 16000, 1440, 0, 1),
                ("prev_val", 16000, 1440, 0, 1),
                ("overnight_low", 16000, 1440, 0, 1),
            ],
            "MODERATE",  # score .036, but three levels
        ),
    ],
)
def test_zones_are_graded_by_score_or_by_the_number_of_levels(
    table: list[tuple[object, ...]], grade: str
) -> None:
    analysis = analyzer()
    score_of(analysis, 16000, 8.0, table)
    assert levels.ZONE_GRADES[analysis.zone_array()[0]["grade"]] == grade


def test_age_never_takes_more_than_nine_tenths_and_touches_never_more_than_double() -> None:
    analysis = analyzer()
    score_of(analysis, 16000, 8.0, [("put_wall", 16000, 9999, 0, 1), ("put_wall", 16000, 0, 99, 1)])
    assert analysis.level_array()["w"] == pytest.approx([0.09, 1.8])


def test_levels_come_from_the_row() -> None:
    bars = make_bars([(16010, 16012, 16008, 16010)])
    rows = make_rows(
        bars,
        vwap=16005.0,
        vwap_sd=3.0,
        developing_valid=1,
        developing_poc=16004,
        developing_vah=16020,
        developing_val=15990,
        previous_valid=1,
        previous_poc=15960,
        previous_vah=15980,
        previous_val=15940,
        overnight_valid=1,
        overnight_high=16030,
        overnight_low=15950,
    )
    options = make_options(1, call_wall=16100.0, put_wall=15900.0, gamma_flip=16000.5)
    analysis = analyzer()
    nodes = np.array([15970.0, 16001.0, 16007.0, 16007.5])
    analysis.run(bars, rows, options, nodes, np.array([0, 4]))
    prices = {
        kind: [level["price"] for level in found] for kind, found in by_kind(analysis).items()
    }
    assert prices == {
        "call_wall": [16100.0],
        "put_wall": [15900.0],
        "gamma_flip": [16000.5],
        "poc": [16004.0],
        "vah": [16020.0],
        "val": [15990.0],
        "hvn": [15970.0, 16007.5],  # 16001 and 16007 are within 3 ticks of the POC
        "vwap": [16005.0],
        "vwap_sd1": [16002.0, 16008.0],
        "vwap_sd2": [15999.0, 16011.0],
        "prev_poc": [15960.0],
        "prev_vah": [15980.0],
        "prev_val": [15940.0],
        "session_high": [16012.0],
        "session_low": [16008.0],
        "overnight_high": [16030.0],
        "overnight_low": [15950.0],
        "round_100": [16000.0],
    }
    assert rows["price_score"][0] > 0.5


def test_missing_sources_give_no_levels() -> None:
    bars = make_bars([(16010, 16012, 16008, 16010)])
    analysis = analyzer()
    analysis.run(bars, make_rows(bars))
    assert set(by_kind(analysis)) == {"session_high", "session_low", "round_100"}


def test_the_selected_anchor_gives_the_vwap_levels() -> None:
    bars = make_bars([(16010, 16012, 16008, 16010)])
    rows = make_rows(bars, vwap=16005.0, vwap_sd=3.0, vwap_rth=16007.0, vwap_rth_sd=1.0)
    analysis = analyzer(vwap_anchor=1)
    analysis.run(bars, rows)
    assert by_kind(analysis)["vwap"][0]["price"] == 16007.0
    assert by_kind(analysis)["vwap_sd1"][1]["price"] == 16008.0


@pytest.mark.parametrize(
    ("close", "kind", "price"),
    [
        (16049, "round_100", 16000),
        (16050, "round_100", 16000),  # a tie takes the lower
        (16051, "round_25", 16100),
        (-49, "round_100", 0),
        (-50, "round_25", -100),
        (16400, "round_100", 16400),
    ],
)
def test_the_round_level_is_the_multiple_of_25_points_nearest_to_the_close(
    close: int, kind: str, price: int
) -> None:
    bars = make_bars([(close, close, close, close)])
    analysis = analyzer()
    analysis.run(bars, make_rows(bars))
    assert by_kind(analysis)[kind][0]["price"] == price


def test_ages_count_from_the_open_of_rth_and_from_the_quotes() -> None:
    # 144 bars after 09:30 the close is 144 minutes old: 1 - 144/1440 = .9; quotes 24 min later:
    # 1 - 120/480 = .75. Weights .7*.6*.9 = .378 and 1*.9*.75 = .675.
    bars = make_bars([(16000, 16001, 15999, 16000)] * 144)
    rows = make_rows(bars, previous_valid=1, previous_poc=16090, previous_vah=17000)
    options = make_options(144, call_wall=16095.0, ts_quotes=RTH_OPEN + 24 * MINUTE)
    analysis = analyzer()
    analysis.run(bars, rows, options)
    found = by_kind(analysis)
    assert found["prev_poc"][0]["w"] == pytest.approx(0.378)
    assert found["call_wall"][0]["w"] == pytest.approx(0.675)


def test_fixed_levels_do_not_age_before_the_open() -> None:
    bars = make_bars([(16000, 16001, 15999, 16000)] * 3, start=RTH_OPEN - 100 * MINUTE)
    rows = make_rows(bars, previous_valid=1, previous_poc=16090, rth=0)
    analysis = analyzer()
    analysis.run(bars, rows)
    assert by_kind(analysis)["prev_poc"][0]["w"] == pytest.approx(0.42)


def touches_by_definition(
    bars: NDArray[np.void], rth: NDArray[np.int64], i: int, level: float
) -> int:
    inside = (bars["low"] - 2 <= level) & (level <= bars["high"] + 2)
    return sum(bool(rth[j] and inside[j] and not (j > 0 and inside[j - 1])) for j in range(i))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), before=st.integers(0, 4), after=st.integers(0, 4))
def test_touches_are_those_of_the_rth_bars_before_wherever_the_level_is_now(
    seed: int, before: int, after: int
) -> None:
    rng = np.random.default_rng(seed)
    n = 40
    close = 16000 + np.cumsum(rng.integers(-4, 5, n))
    bars = make_bars([(int(c), int(c) + 2, int(c) - 2, int(c)) for c in close])
    rth = np.zeros(n, np.int64)
    rth[before : n - after] = 1
    late = rng.integers(0, 3)  # bars that late trades opened before the open or after the close
    rth[rng.integers(0, n, late)] = 0
    rows = make_rows(bars, rth=rth, previous_valid=1, previous_poc=16003)
    wall = 16000.0 + np.repeat(rng.integers(-20, 21, n // 5), 5) * 0.5
    options = make_options(n, call_wall=wall)
    analysis = analyzer()
    for i in range(n):
        analysis.run(bars[: i + 1], rows[: i + 1], options[: i + 1])
        found = by_kind(analysis)
        assert found["prev_poc"][0]["touches"] == touches_by_definition(bars, rth, i, 16003)
        assert found["call_wall"][0]["touches"] == touches_by_definition(bars, rth, i, wall[i])


def test_a_new_session_starts_without_touches() -> None:
    bars = make_bars([(16000, 16001, 15999, 16000)] * 3)
    bars["session_id"][2] = 20251113
    analysis = analyzer()
    rows = make_rows(bars, previous_valid=1, previous_poc=16000)
    analysis.run(bars[:2], rows[:2])
    assert by_kind(analysis)["prev_poc"][0]["touches"] == 1
    analysis.run(bars, rows)
    assert by_kind(analysis)["prev_poc"][0]["touches"] == 0


def test_touches_survive_more_bars_than_are_remembered() -> None:
    n = 33_000
    far = (15000, 15001, 14999, 15000)
    near = (16000, 16001, 15999, 16000)
    bars = make_bars([near, far, far] * (n // 3))
    rows = make_rows(bars, previous_valid=1, previous_poc=16000)
    analysis = analyzer()
    analysis.run(bars, rows)
    assert by_kind(analysis)["prev_poc"][0]["touches"] == n // 3


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_price_score_is_mirror_symmetric(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 40
    close = 16000 + np.cumsum(rng.integers(-5, 6, n))
    bars = make_bars([(int(c), int(c) + 3, int(c) - 2, int(c)) for c in close])
    rows = make_rows(
        bars,
        vwap=close + rng.normal(0, 5, n),
        vwap_sd=rng.uniform(0, 8, n),
        developing_valid=1,
        developing_poc=close + rng.integers(-9, 10, n),
        developing_vah=close + rng.integers(5, 20, n),
        developing_val=close - rng.integers(5, 20, n),
        previous_valid=1,
        previous_poc=16002,
        previous_vah=16011,
        previous_val=15990,
        overnight_valid=1,
        overnight_high=16016,
        overnight_low=15989,
    )
    options = make_options(n, call_wall=16013.5, put_wall=15988.0, gamma_flip=16001.0)
    other = mirrored_rows(rows)
    analyzer().run(bars, rows, options)
    analyzer().run(mirrored_bars(bars), other, mirrored_options(options))
    even = close % 100 != 50  # a tie of the round level takes the lower one
    assert np.all(rows["price_score"] > 0)
    assert other["price_score"][even] == pytest.approx(rows["price_score"][even], abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    table=st.lists(
        st.tuples(
            st.sampled_from(levels.LEVEL_KINDS),
            st.integers(15900, 16100),
            st.floats(0, 3000),
            st.integers(0, 20),
            st.floats(0.01, 1),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_zones_are_ascending_apart_and_hold_every_level_once(
    table: list[tuple[object, ...]],
) -> None:
    analysis = analyzer()
    assert 0 <= score_of(analysis, 16000, 8.0, table) <= 1
    zones = analysis.zone_array()
    prices = analysis.level_array()["price"]
    assert np.all(zones["low"][1:] - zones["high"][:-1] > 3)
    held = [np.sum((zone["low"] <= prices) & (prices <= zone["high"])) for zone in zones]
    assert sum(held) == len(prices)
    assert np.all(zones["counted"] <= held)
    assert np.all(zones["kinds"] <= zones["counted"])
    assert np.all((zones["score"] >= 0) & (zones["score"] <= 1))
    assert np.all((zones["low"] <= zones["centre"]) & (zones["centre"] <= zones["high"]))


def test_run_returns_the_zones_of_each_bar() -> None:
    bars = make_bars([(16000, 16001, 15999, 16000), (16040, 16041, 16039, 16040)])
    rows = make_rows(bars)
    zones, first = analyzer().run(bars, rows)
    alone = analyzer()
    alone.run(bars[:1], rows[:1])
    assert first.tolist() == [0, 1, 3]  # all in one; then 15999 and 16000, and 16041
    assert np.array_equal(zones[:1], alone.zone_array())


def test_levels_and_zones_cannot_be_written() -> None:
    analysis = analyzer()
    score_of(analysis, 16000, 8.0, [moving("poc", 16000)])
    with pytest.raises(ValueError, match="read-only"):
        analysis.level_array()["w"] = 0.0
    with pytest.raises(ValueError, match="read-only"):
        analysis.zone_array()["low"] = 0.0


def test_wrong_arguments_are_named() -> None:
    bars = make_bars([(16000, 16001, 15999, 16000)] * 2)
    rows = make_rows(bars)
    none, one = np.zeros(0), np.zeros(1, np.int64)
    with pytest.raises(ValueError, match="one record"):
        confluence.Confluence(np.concatenate([kernel_params(), kernel_params()]))
    with pytest.raises(ValueError, match="as many as the 2 bars"):
        analyzer().run(bars, rows[:1])
    with pytest.raises(ValueError, match="go together"):
        analyzer().run(bars, rows, None, np.zeros(1))
    with pytest.raises(ValueError, match="3 offsets from 0 to 1"):
        analyzer().run(bars, rows, None, np.zeros(1), np.array([0, 1]))
    with pytest.raises(ValueError, match="must not fall"):
        analyzer().run(bars, rows, None, np.zeros(1), np.array([0, 2, 1]))
    with pytest.raises(ValueError, match=r"kind must be in \[0, 19\), was 19"):
        analyzer().score_levels(0, 1, one + 19, np.zeros(1), np.zeros(1), one, np.zeros(1))
    with pytest.raises(ValueError, match="equally long"):
        analyzer().score_levels(0, 1, one, none, np.zeros(1), one, np.zeros(1))
    many, floats = np.zeros(1025, np.int64), np.zeros(1025)
    with pytest.raises(ValueError, match="at most 1024"):
        analyzer().score_levels(0, 1, many, floats, floats, many, floats)

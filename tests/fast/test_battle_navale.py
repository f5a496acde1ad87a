import numpy as np
import pytest
from fast.kernel_samples import (
    atr_of,
    bar_series,
    cases,
    close_to,
    fields_of,
    make_bars,
    mirror,
    vector_bars,
)
from hypothesis import given

from mia._fast import battle_navale
from mia.core.base_types import BattleStatus, GoldenState
from mia.core.kernel_params import kernel_params

MIRRORED_STATE = {
    GoldenState.STRONG_BULLISH: GoldenState.STRONG_BEARISH,
    GoldenState.WEAK_BULLISH: GoldenState.WEAK_BEARISH,
    GoldenState.STRONG_BEARISH: GoldenState.STRONG_BULLISH,
    GoldenState.WEAK_BEARISH: GoldenState.WEAK_BULLISH,
}
FLOATS = {
    "V": "vikings",
    "D": "defenders",
    "G": "golden",
    "q": "base_quality",
    "S": "score",
    "strength": "strength",
    "confidence": "confidence",
}
INTEGERS = {"dir": "base_dir", "signal": "signal", "launched": "launched", "violated": "violated"}
BASE = [
    (100, 104, 99, 103, 1000, 400, 600),
    (103, 105, 101, 102, 900, 460, 440),
    (102, 104, 100, 103, 1100, 500, 600),
    (103, 105, 102, 104, 950, 450, 500),
]
COLUMNS = ("o", "h", "l", "c", "v", "bid_v", "ask_v")


def fight(bars, **overrides):
    kernel = battle_navale.BattleNavale(kernel_params(**overrides))
    return kernel.bars(bars, 6.0, 1000.0), kernel


def strongest(case, side):
    hits = case["inputs"]["patterns_dir_strength_by_index"]
    out = np.zeros(len(case["inputs"]["bars"]))
    for index, found in hits.items():
        out[int(index)] = max([strength for way, strength in found if way == side], default=0.0)
    return out


@pytest.mark.parametrize("case", cases("05_battle_navale"))
def test_battle_is_that_of_the_vectors(case):
    given_, expected = case["inputs"], case["expected"]
    overrides = {name.replace(".", "_"): value for name, value in case["params"].items()}
    battle = battle_navale.BattleNavale(kernel_params(**overrides)).bars(
        vector_bars(given_),
        given_["atr"],
        given_["vol_ref"],
        up=strongest(case, 1),
        down=strongest(case, -1),
    )
    for k, row in enumerate(battle):
        for name, field in FLOATS.items():
            assert close_to(row[field], expected[name][k]), (k, name)
        for name, field in INTEGERS.items():
            assert row[field] == expected[name][k], (k, name)
        assert GoldenState(row["state"]).name == expected["state"][k]
        assert BattleStatus(row["status"]).name == expected["status"][k]
        active = [int(row[f"active_{name}"]) for name in ("low", "high", "bars", "dir", "launch")]
        assert (active if row["active_dir"] else None) == expected["active"][k]
        candidate = [int(row[f"candidate_{name}"]) for name in ("low", "high", "bars", "dir")]
        assert (candidate if row["has_candidate"] else None) == expected["cand"][k]


@given(bar_series())
def test_mirrored_bars_fight_the_mirrored_battle(bars):
    kernel = battle_navale.BattleNavale(kernel_params())
    atr = atr_of(bars)
    battle, mirrored = kernel.bars(bars, atr, 800.0), kernel.bars(mirror(bars), atr, 800.0)
    for name in ("golden", "score"):
        np.testing.assert_allclose(mirrored[name], -battle[name], atol=1e-12)
    np.testing.assert_allclose(mirrored["vikings"], battle["defenders"], atol=1e-12)
    for name in ("base_quality", "strength", "confidence"):
        np.testing.assert_allclose(mirrored[name], battle[name], atol=1e-12)
    for name in ("signal", "base_dir", "launched", "violated", "active_dir", "candidate_dir"):
        assert np.array_equal(mirrored[name], -battle[name]), name
    assert np.array_equal(mirrored["active_low"], -battle["active_high"])
    assert [MIRRORED_STATE.get(state, state) for state in battle["state"]] == list(
        mirrored["state"]
    )


@given(bar_series())
def test_battle_does_not_depend_on_later_bars(bars):
    kernel = battle_navale.BattleNavale(kernel_params())
    atr = atr_of(bars)
    whole = kernel.bars(bars, atr, 800.0)
    for k in (1, len(bars) // 2, len(bars)):
        assert kernel.bars(bars[:k].copy(), atr[:k], 800.0).tobytes() == whole[:k].tobytes()


@given(bar_series())
def test_battle_stays_in_its_bounds(bars):
    for row in battle_navale.BattleNavale(kernel_params()).bars(bars, atr_of(bars), 800.0):
        assert abs(row["score"]) <= 0.86 + 1e-12
        assert close_to(row["vikings"] + row["defenders"], 1.0)
        assert all(0 <= row[name] <= 1 for name in ("strength", "confidence", "base_quality"))
        assert not any(isinstance(v, float) and np.isnan(v) for _, v in fields_of(row))
        if row["active_dir"]:
            assert row["active_low"] + 2 <= row["active_high"]
            assert 3 <= row["active_bars"] <= 15


def test_close_on_the_edge_is_inside_and_one_tick_beyond_launches():
    on_edge = [*BASE, (104, 106, 103, 105, 900, 400, 500)]
    assert fight(make_bars(COLUMNS, on_edge))[0]["launched"][-1] == 0
    beyond = [*BASE, (104, 106, 103, 106, 900, 400, 500)]
    assert fight(make_bars(COLUMNS, beyond))[0]["launched"][-1] == 1


def test_close_below_a_green_base_violates_only_with_a_red_bar():
    launched = [*BASE, (104, 109, 104, 108, 2000, 700, 1300)]
    green = fight(make_bars(COLUMNS, [*launched, (96, 99, 95, 98, 900, 450, 450)]))[0][-1]
    assert (green["violated"], GoldenState(green["state"])) == (0, GoldenState.VIOLATION_WARNING)
    red = fight(make_bars(COLUMNS, [*launched, (104, 104, 97, 98, 900, 450, 450)]))[0][-1]
    assert (red["violated"], GoldenState(red["state"])) == (1, GoldenState.VIOLATION_CONFIRMED)
    assert red["golden"] == pytest.approx(-0.6)


def test_a_candidate_that_is_not_confirmed_is_dropped_after_twenty_bars():
    wide = [(103, 123, 83, 103, 900, 450, 450)] * 21
    battle = fight(make_bars(COLUMNS, [*BASE, *wide]))[0]
    assert battle["has_candidate"].tolist() == [0, 0] + [1] * 22 + [0]


def test_history_keeps_the_accepted_bases_newest_last():
    case = next(c.values[0] for c in cases("05_battle_navale") if "replaces" in c.id)
    _, kernel = fight(vector_bars(case["inputs"]))
    assert [base[:5] for base in kernel.history] == [(99, 103, 3, 1, 3), (110, 114, 3, -1, 7)]
    assert all(base[5] > 0.6 for base in kernel.history)


def test_history_holds_no_more_than_twenty_bases():
    rows = []
    for k in range(25):
        up = [(a + 10 * k, b + 10 * k, c + 10 * k, d + 10 * k, *rest) for a, b, c, d, *rest in BASE]
        rows += [*up, (104 + 10 * k, 110 + 10 * k, 104 + 10 * k, 109 + 10 * k, 1000, 400, 600)]
    battle, kernel = fight(make_bars(COLUMNS, rows))
    launches = [
        k for k, row in enumerate(battle) if row["active_dir"] and row["active_launch"] == k
    ]
    assert len(launches) > 20
    assert [base[4] for base in kernel.history] == launches[-20:]


def test_a_batch_starts_a_new_session():
    bars = make_bars(COLUMNS, [*BASE, (104, 109, 104, 108, 2000, 700, 1300)])
    first, kernel = fight(bars)
    assert kernel.bars(bars, 6.0, 1000.0).tobytes() == first.tobytes()


def test_arguments_are_checked():
    bars = make_bars(COLUMNS, BASE)
    bars["session_id"][2:] += 1
    with pytest.raises(ValueError, match="bar 2 is of another"):
        fight(bars)
    with pytest.raises(ValueError, match="from 1 to 60, was 61"):
        battle_navale.BattleNavale(kernel_params(bn_window=61))
    with pytest.raises(ValueError, match=r"bn\.base_max_bars 61"):
        battle_navale.BattleNavale(kernel_params(bn_base_max_bars=61))
    with pytest.raises(ValueError, match="one record, held 2"):
        battle_navale.BattleNavale(np.repeat(kernel_params(), 2))

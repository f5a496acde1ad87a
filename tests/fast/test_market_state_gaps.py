"""Holes in the trades: what is still called valid is what it would be without them."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from compiled_engine import CompiledEngine

from mia._fast import market_state
from mia.config.settings import load_settings
from mia.core import sessions
from mia.core.base_types import FEATURE_NAMES, TradeBlock
from mia.data.history_stitch import cut
from mia.data.tape import synthetic_tape
from mia.execution.assembly import fit_settings
from mia.execution.assembly import market_state as make_state

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
TAPE = synthetic_tape(6, 20250311, 3, 25_000)
BLOCKS = list(TAPE.blocks())
DAYS = (20250311, 20250312, 20250313)
RTH = [sessions.session_open(day) + (15 * 60 + 30) * MINUTE for day in DAYS]
LASTING = {"cvd_trend", "delta_divergence", "smart_money", "market_regime", "vwap_trend"}
LASTING |= {"volume_confirmation"}
PLAN = fit_settings(load_settings(None, (), environ={}), 0)


def play(holes=(), blocks=BLOCKS) -> np.ndarray:
    """Return the rows of the tape without the trades in the holes, which are announced."""
    state = make_state(PLAN, DAYS[0], DAYS[-1], 0, record=True)
    state.wake = 0
    rows = []
    cuts = [0, *(t for hole in holes for t in hole), 2**62]
    for k in range(0, len(cuts), 2):
        for block in blocks:
            part = cut(block, cuts[k], cuts[k + 1])
            done = 0
            while done < len(part):
                columns = (part.ts_event, part.price, part.size, part.aggressor_side)
                done = state.advance(*columns, done)
                rows.append(state.take_rows())
        if k // 2 < len(holes):
            state.mark_gap(cuts[k + 1] - 1, cuts[k + 2])
    return np.concatenate(rows)


@pytest.fixture(scope="module")
def whole() -> np.ndarray:
    return play()


def matched(whole: np.ndarray, torn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of bars that both have, those that opened in no hole."""
    kept = np.isin(whole["bar"]["t_close"], torn["bar"]["t_close"])
    other = np.isin(torn["bar"]["t_close"], whole["bar"]["t_close"])
    return whole[kept], torn[other]


def some_holes(seed: int) -> list[tuple[int, int]]:
    r = Random(seed)
    start = r.choice(RTH[:2]) + r.randrange(-600, 300) * MINUTE + r.randrange(MINUTE)
    return [(start, start + r.randrange(1, 90) * MINUTE + r.randrange(MINUTE))]


@pytest.mark.parametrize("seed", range(12))
def test_what_is_valid_after_a_hole_is_what_it_would_be_without(whole, seed: int) -> None:
    [(_since, until)] = holes = some_holes(seed)
    day = sessions.session_id(until)
    mine, torn = matched(whole, play(holes))
    later = (torn["bar"]["t_open"] >= until) & (torn["bar"]["session_id"] == day)
    mine, torn = mine[later], torn[later]
    assert later.sum() > 50
    for k, name in enumerate(FEATURE_NAMES):
        valid = torn["valid"][:, k] == 1
        assert (mine["feature"][valid, k] == torn["feature"][valid, k]).all(), name
        assert (torn["feature"][~valid, k] == (0.5 if k == 16 else 0.0)).all(), name
    pairs = (
        ("profile_valid", ("poc", "vah", "val")),
        ("developing_valid", ("developing_poc", "developing_vah", "developing_val")),
        ("previous_valid", ("previous_poc", "previous_vah", "previous_val")),
        ("overnight_valid", ("overnight_high", "overnight_low")),
        ("atr_valid", ("atr",)),
        ("vr_valid", ("vr",)),
    )
    for flag, names in pairs:
        valid = torn[flag] == 1
        for name in names:
            assert (mine[name][valid] == torn[name][valid]).all(), name
    for name in ("vwap", "vwap_sd", "vwap_rth", "vwap_rth_sd"):
        known = ~np.isnan(torn[name])
        assert (mine[name][known] == torn[name][known]).all(), name


@pytest.mark.parametrize("seed", range(4))
def test_what_rests_on_the_whole_session_is_invalid_until_it_ends(whole, seed: int) -> None:
    [(since, until)] = holes = some_holes(seed)
    torn = play(holes)
    session = sessions.session_id(until)
    later = (torn["bar"]["t_open"] >= since) & (torn["bar"]["session_id"] == session)
    for k, name in enumerate(FEATURE_NAMES):
        if name in LASTING:
            assert not torn["valid"][later, k].any(), name
    assert (torn["feature_quality"][later] < 0.70).all()
    assert not torn["profile_valid"][later].any()
    assert not torn["mtf_valid"][later].any()
    assert np.isnan(torn["vwap"][later]).all()


def test_what_looks_back_a_little_is_valid_again_after_its_bars(whole) -> None:
    until = RTH[1] + 60 * MINUTE
    torn = play([(until - 10 * MINUTE, until)])
    later = torn[(torn["bar"]["t_open"] >= until) & (torn["bar"]["session_id"] == DAYS[1])]
    names = {
        "bar_delta": 1,
        "stacked_imbalance": PLAN.groups["feat"].f5_bars,
        "absorption": PLAN.groups["stats"].vol_bars + 1,
        "session_context": 1,
    }
    for name, bars in names.items():
        valid = later["valid"][:, FEATURE_NAMES.index(name)]
        assert not valid[: bars - 1].any(), name
        assert valid[bars - 1 : bars + 20].all(), name
    assert later["atr_valid"].tolist()[13:16] == [0, 1, 1]


@pytest.mark.parametrize("seed", range(4))
def test_rows_before_a_hole_are_untouched_and_the_session_after_is_clean(whole, seed: int) -> None:
    [(since, until)] = holes = some_holes(seed)
    torn = play(holes)
    before = torn[torn["bar"]["t_close"] <= since]
    assert before.tobytes() == whole[: len(before)].tobytes()
    after = sessions.session_id(until)
    clean, wanted = (rows[rows["bar"]["session_id"] > after] for rows in (torn, whole))
    assert len(clean) == len(wanted) > 500
    assert (clean["bar"] == wanted["bar"]).all()
    assert (clean["valid"] == wanted["valid"]).all()
    for name in ("poc", "vah", "val", "vwap", "cvd", "atr", "vr", "feature_quality"):
        assert (clean[name] == wanted[name]).all(), name


@pytest.mark.parametrize(
    ("since", "until", "kept"),
    [(-300, -200, 1), (-60, 30, 0), (60, 90, 0), (500, 505, 1)],
    ids=["overnight", "over the open", "in regular hours", "after the close"],
)
def test_previous_levels_need_whole_regular_hours(whole, since, until, kept) -> None:
    hole = (RTH[0] + since * MINUTE, RTH[0] + until * MINUTE)
    torn = play([hole])
    later = torn["bar"]["session_id"] == DAYS[1]
    assert set(torn["previous_valid"][later].tolist()) == {kept}


def test_levels_of_regular_hours_survive_a_hole_in_the_night(whole) -> None:
    torn = play([(RTH[1] - 300 * MINUTE, RTH[1] - 290 * MINUTE)])
    inside = (torn["bar"]["session_id"] == DAYS[1]) & (
        torn["bar"]["t_open"] >= RTH[1] + 60 * MINUTE
    )
    inside &= torn["bar"]["t_close"] < RTH[1] + 390 * MINUTE
    assert torn["developing_valid"][inside].all()
    assert not np.isnan(torn["vwap_rth"][inside]).any()
    assert not torn["overnight_valid"][inside].any()


def test_a_session_that_was_lost_leaves_no_previous_levels(whole) -> None:
    start, end = (sessions.session_open(day) for day in DAYS[1:])
    torn = play([(start, end)])
    assert set(torn["bar"]["session_id"].tolist()) == {DAYS[0], DAYS[2]}
    last = torn["bar"]["session_id"] == DAYS[2]
    assert not torn["previous_valid"][last].any()
    assert torn["feature_quality"][last].max() > 0.9


def test_a_start_in_the_middle_of_a_session_is_a_hole(whole) -> None:
    start = RTH[0] + 30 * MINUTE
    state = make_state(PLAN, DAYS[0], DAYS[-1], 0, record=True)
    state.mark_gap(sessions.session_open(DAYS[0]) - 1, start)
    assert not state.has_gap
    block = cut(BLOCKS[0], start, 2**62)
    state.wake = 0
    state.advance(block.ts_event, block.price, block.size, block.aggressor_side)
    assert state.has_gap
    rows = state.take_rows()
    assert (rows["feature_quality"] < 0.7).all()


def test_a_hole_is_not_empty_and_waits_for_a_trade_that_waits() -> None:
    state = make_state(PLAN, DAYS[0], DAYS[-1], 0, record=False)
    with pytest.raises(ValueError, match="a hole must end after 5, ended at 5"):
        state.mark_gap(5, 5)
    state.wake = market_state.SESSION
    assert state.on_trade(RTH[0], 20_000, 1, 1) & market_state.PENDING
    with pytest.raises(RuntimeError, match="a trade waits"):
        state.mark_gap(5, 6)


def test_incomplete_bars_enter_no_reference(whole) -> None:
    until = RTH[0] + 60 * MINUTE + 30 * SECOND
    holes = [(until - 20 * MINUTE, until)]
    engines = []
    for gaps in ([], holes):
        engine = CompiledEngine(
            {"mtf.frame_0": 2}, sessions.session_table(DAYS[0], DAYS[-1]), rows=4096
        )
        blocks = [replace_size(BLOCKS[0], gaps)]
        for block in blocks:
            columns = zip(
                block.ts_event.tolist(),
                block.price.tolist(),
                block.size.tolist(),
                block.aggressor_side.tolist(),
                strict=True,
            )
            trades = list(columns)
            split = next((k for k, t in enumerate(trades) if t[0] >= until), len(trades))
            engine.on_trades(trades[:split])
            for since, end in gaps:
                engine.mark_gap(since, end)
            engine.on_trades(trades[split:])
        engines.append(engine)
    for name in ("volumes", "micro_volumes"):
        mine, torn = (engine.state.carried[name] for engine in engines)
        assert all(len(b) <= len(a) for a, b in zip(mine, torn, strict=True))
    mine, torn = (engine.state.carried for engine in engines)
    for a, b in zip(mine["volumes"], torn["volumes"], strict=True):
        held = a.tolist()
        assert all(volume in held for volume in b.tolist())
    for frame, other in zip(mine["frame_volumes"], torn["frame_volumes"], strict=True):
        for a, b in zip(frame, other, strict=True):
            assert set(b.tolist()) <= set(a.tolist())


def replace_size(block: TradeBlock, holes) -> TradeBlock:
    """Take the trades of holes away: the kernel passes over a size of 0."""
    size = block.size.copy()
    for since, until in holes:
        size[(block.ts_event >= since) & (block.ts_event < until)] = 0
    return replace(block, size=size)

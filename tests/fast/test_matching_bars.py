"""The fill model on bars, each sentence with one case that fires and one that just does not."""

import numpy as np
import pytest
from fast.matching_samples import WIDTH, Seen, all_fills, alone, bars, bracket, run
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.matching import GAPPED, LIMIT, MARKET, STOP, STOP_LIMIT

from mia._fast import matching

FLAT_BAR = (100, 100, 100, 100)


def mirrored(rows):
    return [(200 - first, 200 - low, 200 - high, 200 - close) for first, high, low, close in rows]


@pytest.mark.parametrize(("side", "price"), [(1, 104), (-1, 102)])
def test_market_fills_at_the_next_open_one_tick_adverse(side, price):
    tape = bars((103, 110, 90, 100), (50, 50, 50, 50))
    assert run(alone(MARKET, side, 0), tape) == [(1, 0, 1, price, 103)]


def test_order_sent_at_a_close_acts_from_the_next_bar_whatever_the_latency():
    tape = bars(FLAT_BAR, (103, 110, 90, 100))
    for sent, reference in ((0, 100), (1, 103), (WIDTH, 103)):
        engine = matching.MatchingEngine(latency_ns=20_000_000)
        engine.submit(sent, 1, MARKET, 1)
        assert run(engine, tape)[0].reference == reference


@pytest.mark.parametrize("side", [1, -1])
def test_stop_touched_fills_at_its_price_one_tick_adverse(side):
    rows = [(100, 105, 99, 101)]
    tape = bars(*(rows if side > 0 else mirrored(rows)))
    level = 100 + 5 * side
    assert run(alone(STOP, side, level), tape) == [(1, WIDTH, 1, level + side, level)]


@pytest.mark.parametrize("side", [1, -1])
def test_stop_one_tick_beyond_the_bar_is_not_touched(side):
    rows = [(100, 104, 99, 101)]
    tape = bars(*(rows if side > 0 else mirrored(rows)))
    assert run(alone(STOP, side, 100 + 5 * side), tape) == []


@pytest.mark.parametrize("side", [1, -1])
def test_stop_in_a_gap_between_bars_fills_at_the_open(side):
    rows = [(100, 101, 99, 100), (108, 112, 107, 110)]
    tape = bars(*(rows if side > 0 else mirrored(rows)))
    fills = all_fills(alone(STOP, side, 100 + 5 * side), tape)
    opened = 100 + 8 * side
    assert [(f["ts"], f["price"], f["reference_price"]) for f in fills] == [
        (WIDTH, opened + side, opened)
    ]
    assert fills[0]["flags"] & GAPPED


def test_stop_at_the_open_is_no_gap():
    fills = all_fills(alone(STOP, 1, 105), bars((105, 106, 104, 105)))
    assert (fills[0]["reference_price"], fills[0]["flags"] & GAPPED) == (105, 0)


@pytest.mark.parametrize("side", [1, -1])
def test_limit_fills_when_the_bar_traded_through_it_by_a_tick(side):
    rows = [(102, 103, 99, 101)]
    tape = bars(*(rows if side > 0 else mirrored(rows)))
    assert run(alone(LIMIT, side, 100), tape) == [(1, WIDTH, 1, 100, 100)]


@pytest.mark.parametrize("side", [1, -1])
def test_limit_at_the_extreme_of_the_bar_is_not_filled(side):
    rows = [(102, 103, 100, 101)]
    tape = bars(*(rows if side > 0 else mirrored(rows)))
    assert run(alone(LIMIT, side, 100), tape) == []


def test_limit_beyond_the_open_gets_no_better_price_and_a_reference_that_was_traded():
    fills = all_fills(alone(LIMIT, 1, 100), bars((95, 97, 94, 96)))
    assert [(f["ts"], f["price"], f["reference_price"]) for f in fills] == [(0, 100, 97)]
    assert fills[0]["flags"] & GAPPED


def test_limit_takes_no_more_than_the_bar_traded():
    engine = alone(LIMIT, 1, 100, quantity=3)
    tape = bars((101, 102, 99, 101), (101, 102, 99, 101), volume=2)
    assert [f.quantity for f in run(engine, tape)] == [2, 1]


def test_stop_limit_touched_by_a_bar_acts_from_the_next_one():
    tape = bars((100, 106, 99, 101), (103, 104, 102, 103))
    assert run(alone(STOP_LIMIT, 1, 105), tape) == [(1, WIDTH, 1, 105, 104)]


@pytest.mark.parametrize("side", [1, -1])
def test_stop_comes_first_if_the_bar_holds_stop_and_target(side):
    rows = [FLAT_BAR, (100, 111, 95, 110)]
    tape = bars(*(rows if side > 0 else mirrored(rows)))
    engine = bracket(MARKET, 0, 100 - 5 * side, 100 + 10 * side, side=side)
    assert run(engine, tape)[1:] == [(2, 2 * WIDTH, 1, 100 - 6 * side, 100 - 5 * side)]


def test_target_fills_if_the_bar_misses_the_stop_by_a_tick():
    engine = bracket(MARKET, 0, 95, 110)
    assert run(engine, bars(FLAT_BAR, (100, 111, 96, 110)))[1:] == [(3, 2 * WIDTH, 1, 110, 110)]


def test_stop_comes_first_even_if_the_bar_opens_beyond_the_target():
    engine = bracket(MARKET, 0, 95, 110)
    assert run(engine, bars(FLAT_BAR, (112, 113, 95, 100)))[1:] == [(2, 2 * WIDTH, 1, 94, 95)]


def test_bar_opening_beyond_the_stop_fills_it_at_the_open():
    engine = bracket(MARKET, 0, 95, 110)
    assert run(engine, bars(FLAT_BAR, (92, 115, 90, 110)))[1:] == [(2, WIDTH, 1, 91, 92)]


@pytest.mark.parametrize(
    ("order_type", "entry"),
    [
        (MARKET, Seen(1, 0, 1, 101, 100)),
        (STOP, Seen(1, WIDTH, 1, 104, 103)),
        (LIMIT, Seen(1, WIDTH, 1, 103, 103)),
    ],
)
def test_entry_bar_can_hit_the_stop_but_not_the_target(order_type, entry):
    rest = (100, 100, 100, 100)
    first = (100, 112, 96, 100) if order_type != LIMIT else (104, 112, 96, 100)
    engine = bracket(order_type, 103, 95, 110)
    assert run(engine, bars(first, rest)) == [entry]
    touched = (first[0], 112, 95, 100)
    engine = bracket(order_type, 103, 95, 110)
    assert run(engine, bars(touched, rest)) == [entry, (2, WIDTH, 1, 94, 95)]


def test_bar_after_the_entry_bar_can_fill_the_target():
    engine = bracket(STOP, 103, 95, 110)
    found = run(engine, bars((100, 112, 96, 100), (100, 111, 96, 100)))
    assert [(f.order_id, f.ts) for f in found] == [(1, WIDTH), (3, 2 * WIDTH)]


def test_entry_inside_a_bar_that_opened_below_the_stop_is_stopped_at_the_stop_price():
    engine = bracket(STOP, 103, 98, 110)
    assert run(engine, bars((96, 104, 95, 100))) == [(1, WIDTH, 1, 104, 103), (2, WIDTH, 1, 97, 98)]


def test_limit_entry_and_its_stop_both_jumped_over_end_at_the_open():
    engine = bracket(LIMIT, 100, 95, 110)
    assert run(engine, bars((90, 92, 88, 91))) == [(1, 0, 1, 100, 92), (2, 0, 1, 89, 90)]


def test_new_stop_acts_from_the_bar_after_the_close_that_moved_it():
    engine = bracket(MARKET, 0, 90, 120)
    tape = bars(FLAT_BAR, (105, 106, 101, 105), (105, 106, 101, 102))
    assert engine.advance_bars(tape, 0, 3) == 1
    engine.modify(2, 2 * WIDTH, 102)
    assert run(engine, tape[1:]) == [(2, 3 * WIDTH, 1, 101, 102)]


def test_exit_at_market_leaves_at_the_next_open_unless_the_stop_was_jumped_over():
    for opened, order_id in ((96, 4), (94, 2)):
        engine = bracket(MARKET, 0, 95, 120)
        tape = bars(FLAT_BAR, (opened, 110, 90, 100))
        engine.advance_bars(tape, 0, 1)
        engine.submit(WIDTH, -1, MARKET, 0, parent=1)
        assert run(engine, tape[1:]) == [(order_id, WIDTH, 1, opened - 1, opened)]
        assert engine.is_idle


def test_oco_group_inside_one_bar_goes_to_the_stop():
    for opened in (102, 98):
        engine = matching.MatchingEngine()
        engine.submit(0, 1, LIMIT, 1, 0, 100, group=1)
        engine.submit(0, 1, STOP, 1, 105, group=1)
        assert [f.order_id for f in run(engine, bars((opened, 105, 97, 103)))] == [2]


def test_extremes_of_the_entry_bar_are_its_adverse_side_and_its_close():
    engine = bracket(MARKET, 0, 80, 130)
    tape = bars((100, 112, 93, 104), (104, 118, 101, 110))
    engine.advance_bars(tape, 0, 1)
    assert engine.extremes(1) == (104, 93)
    engine.advance_bars(tape, 1, 2)
    assert engine.extremes(1) == (118, 93)
    engine = bracket(MARKET, 0, 120, 70, side=-1)
    engine.advance_bars(tape, 0, 1)
    assert engine.extremes(1) == (112, 100)


def test_extremes_of_a_stopped_bar_end_at_its_open_and_the_stop():
    engine = bracket(MARKET, 0, 95, 130)
    fills = all_fills(engine, bars(FLAT_BAR, (101, 120, 90, 92)))
    assert (fills[1]["high"], fills[1]["low"]) == (101, 95)


def test_extremes_of_a_target_bar_hold_the_adverse_side():
    engine = bracket(MARKET, 0, 95, 110)
    fills = all_fills(engine, bars(FLAT_BAR, (101, 120, 97, 118)))
    assert (fills[1]["high"], fills[1]["low"]) == (110, 97)


def test_bar_without_volume_is_none():
    tape = bars((90, 90, 90, 90), (103, 103, 103, 103))
    tape["volume"][0] = 0
    assert run(alone(MARKET, 1, 0), tape)[0].reference == 103


def test_idle_engine_skips_bars_and_knows_the_last_close():
    engine = matching.MatchingEngine()
    assert engine.advance_bars(bars(FLAT_BAR, (100, 104, 99, 103)), 0, 2) == 2
    assert engine.last_price == 103


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(-4, 4)] * 2, *[st.integers(0, 5)] * 2), min_size=2),
    st.sampled_from([MARKET, LIMIT, STOP]),
    st.sampled_from([1, -1]),
    st.integers(-4, 4),
    st.integers(1, 4),
    st.integers(1, 6),
)
def test_references_were_traded_by_a_bar_later_than_the_one_that_decided(
    steps, kind, side, offset, d, reward
):
    rows, close = [], 100
    for gap, move, down, up in steps:
        first = close + gap
        close = first + move
        rows.append((first, max(first, close) + up, min(first, close) - down, close))
    tape = bars(*rows)
    tape["t_open"] += 1
    entry = rows[0][3] + offset
    engine = bracket(kind, entry, entry - side * d, entry + side * reward, side=side, sent=WIDTH)
    for fill in all_fills(engine, tape):
        at = np.flatnonzero((tape["t_open"] == fill["ts"]) | (tape["t_close"] == fill["ts"]))
        assert len(at) == 1
        assert at[0] > 0
        bar = tape[at[0]]
        assert bar["low"] <= fill["reference_price"] <= bar["high"]
        if fill["order_id"] == 3 or (fill["order_id"] == 1 and kind == LIMIT):
            assert fill["price"] == (entry + side * reward if fill["order_id"] == 3 else entry)
        else:
            assert fill["price"] == fill["reference_price"] + fill["side"]

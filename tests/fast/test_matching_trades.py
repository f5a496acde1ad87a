"""The fill model on trades, each sentence with one case that fires and one that just does not."""

import numpy as np
import pytest
from fast.matching_samples import all_fills, alone, bracket, run, trades
from reference.matching import COMPLETE, FLAT, GAPPED, LIMIT, MARKET, STOP, STOP_LIMIT

from mia._fast import matching


@pytest.mark.parametrize(("side", "price"), [(1, 101), (-1, 99)])
def test_market_fills_at_the_next_trade_one_tick_adverse(side, price):
    assert run(alone(MARKET, side, 0), trades(100, 90)) == [(1, 1, 1, price, 100)]


def test_slippage_is_a_setting():
    assert run(alone(MARKET, 1, 0, slip_ticks=0), trades(100)) == [(1, 1, 1, 100, 100)]
    assert run(alone(MARKET, 1, 0, slip_ticks=3), trades(100)) == [(1, 1, 1, 103, 100)]


@pytest.mark.parametrize(("side", "prices"), [(1, (104, 105)), (-1, (106, 105))])
def test_stop_fills_when_touched_at_its_price_one_tick_adverse(side, prices):
    assert run(alone(STOP, side, 105), trades(*prices)) == [(1, 2, 1, 105 + side, 105)]


@pytest.mark.parametrize(("side", "price"), [(1, 104), (-1, 106)])
def test_stop_one_tick_away_is_not_touched(side, price):
    assert run(alone(STOP, side, 105), trades(price, price)) == []


@pytest.mark.parametrize(("side", "price"), [(1, 108), (-1, 102)])
def test_stop_jumped_over_fills_where_the_market_is(side, price):
    fills = all_fills(alone(STOP, side, 105), trades(105 - side, price))
    assert [(f["price"], f["reference_price"]) for f in fills] == [(price + side, price)]
    assert fills[0]["flags"] == GAPPED | COMPLETE


@pytest.mark.parametrize("side", [1, -1])
def test_limit_traded_through_by_a_tick_fills_at_its_price(side):
    engine = alone(LIMIT, side, 100)
    assert run(engine, trades(100, 100 - side)) == [(1, 2, 1, 100, 100)]


@pytest.mark.parametrize("side", [1, -1])
def test_limit_touched_is_not_filled(side):
    assert run(alone(LIMIT, side, 100), trades(100 + side, 100, 100, 100)) == []


def test_limit_far_beyond_the_market_gets_no_better_price():
    assert run(alone(LIMIT, 1, 100), trades(90)) == [(1, 1, 1, 100, 100)]


def test_limit_takes_no_more_than_each_trade_that_goes_through():
    engine = alone(LIMIT, 1, 100, quantity=5)
    tape = trades(99, 100, 98, 99, sizes=[2, 9, 2, 9])
    assert run(engine, tape) == [(1, 1, 2, 100, 100), (1, 3, 2, 100, 100), (1, 4, 1, 100, 100)]


def test_one_trade_is_handed_out_once_in_order_of_ids():
    engine = alone(LIMIT, 1, 100, quantity=2)
    engine.submit(0, 1, LIMIT, 2, 0, 101)
    found = run(engine, trades(99, sizes=[3]))
    assert [(f.order_id, f.quantity) for f in found] == [(1, 2), (2, 1)]


def test_market_and_stop_fill_in_full_whatever_is_traded():
    engine = alone(STOP, 1, 101, quantity=7)
    engine.submit(0, 1, MARKET, 4)
    found = run(engine, trades(101, sizes=[1]))
    assert [(f.order_id, f.quantity) for f in found] == [(1, 7), (2, 4)]


def test_queue_ahead_is_served_before_the_order():
    engine = matching.MatchingEngine(queue=True)
    engine.submit(0, 1, LIMIT, 3, 0, 100, queue_ahead=5)
    tape = trades(100, 101, 100, 100, sizes=[4, 50, 2, 1])
    assert run(engine, tape) == [(1, 3, 1, 100, 100), (1, 4, 1, 100, 100)]


def test_queue_just_served_leaves_nothing_for_the_order():
    engine = matching.MatchingEngine(queue=True)
    engine.submit(0, 1, LIMIT, 1, 0, 100, queue_ahead=5)
    assert run(engine, trades(100, sizes=[5])) == []


def test_trade_through_skips_the_queue():
    engine = matching.MatchingEngine(queue=True)
    engine.submit(0, 1, LIMIT, 2, 0, 100, queue_ahead=500)
    assert run(engine, trades(99, 100, sizes=[1, 1])) == [(1, 1, 1, 100, 100), (1, 2, 1, 100, 100)]


def test_stop_limit_becomes_a_limit_with_the_touch_and_acts_from_the_next_trade():
    engine = alone(STOP_LIMIT, 1, 105)
    assert run(engine, trades(103, 104)) == []
    assert run(engine, trades(105, 104)) == [(1, 2, 1, 105, 105)]


def test_latency_ends_with_the_first_trade_at_or_after_it():
    tape = trades(100, 101, 102, ts=[9, 10, 11])
    assert run(alone(MARKET, 1, 0, latency_ns=10), tape)[0].reference == 101
    assert run(alone(MARKET, 1, 0, latency_ns=11), tape)[0].reference == 102
    assert run(alone(MARKET, 1, 0, latency_ns=12), tape) == []


def test_late_trade_older_than_an_order_does_not_fill_it():
    engine = matching.MatchingEngine()
    engine.submit(10, 1, STOP, 1, 105)
    assert run(engine, trades(100, 106, ts=[10, 9])) == []
    assert run(engine, trades(106, ts=[10])) == [(1, 10, 1, 107, 106)]


def test_late_trade_older_than_the_entrys_fill_does_not_hit_its_stop():
    engine = bracket(STOP, 100, 95, 110)
    assert run(engine, trades(100, 94, ts=[10, 9])) == [(1, 10, 1, 101, 100)]
    assert run(engine, trades(94, ts=[10])) == [(2, 10, 1, 93, 94)]


def test_request_stamped_before_an_earlier_one_counts_as_sent_with_it():
    engine = alone(LIMIT, 1, 50, sent=10)
    engine.submit(3, 1, MARKET, 1)
    assert [f.ts for f in run(engine, trades(100, 101, ts=[9, 10]))] == [10]


def test_child_cancelled_by_the_trade_that_fills_the_entry_stays_cancelled():
    engine = bracket(LIMIT, 100, 95, 110)
    engine.cancel(2, 1)
    assert [f.order_id for f in run(engine, trades(94, 94))] == [1]


def test_cancellation_takes_its_time_too():
    tape = trades(100, 105, ts=[14, 15])
    for latency, filled in ((5, False), (6, True)):
        engine = matching.MatchingEngine(latency_ns=latency)
        engine.submit(0, 1, STOP, 1, 105)
        assert engine.cancel(1, 10)
        assert bool(run(engine, tape)) == filled


def test_change_takes_its_time_too():
    tape = trades(102, 105, ts=[14, 16])
    for latency, reference in ((4, 102), (5, 105)):
        engine = matching.MatchingEngine(latency_ns=latency)
        engine.submit(0, 1, STOP, 1, 105)
        engine.modify(1, 10, 102)
        assert run(engine, tape)[0].reference == reference


def test_changes_under_way_all_act_in_turn():
    engine = matching.MatchingEngine(latency_ns=5)
    engine.submit(0, 1, LIMIT, 1, 0, 90)
    engine.modify(1, 10, 95)
    engine.modify(1, 20, 80)
    assert run(engine, trades(100, 94, ts=[12, 15])) == [(1, 15, 1, 95, 95)]


def test_stop_rests_with_the_entry_and_waits_for_it():
    tape = trades(90, 89, 101, 90)
    assert run(bracket(STOP, 101, 95, 120), tape) == [(1, 3, 1, 102, 101), (2, 4, 1, 89, 90)]


def test_stop_covers_the_first_contract_filled_and_no_more():
    engine = bracket(LIMIT, 100, 95, 110, quantity=4)
    found = run(engine, trades(99, 95, 94, sizes=[1, 1, 9]))
    assert [(f.order_id, f.quantity) for f in found] == [(1, 1), (1, 1), (2, 2)]
    assert engine.is_idle


def test_trade_that_fills_the_entry_may_hit_the_stop():
    assert run(bracket(LIMIT, 100, 95, 110), trades(94)) == [(1, 1, 1, 100, 100), (2, 1, 1, 93, 94)]


def test_trade_that_fills_the_entry_just_above_the_stop_does_not_hit_it():
    assert run(bracket(LIMIT, 100, 95, 110), trades(96)) == [(1, 1, 1, 100, 100)]


def test_trade_that_fills_the_entry_never_fills_the_target():
    engine = bracket(STOP, 100, 95, 102)
    assert run(engine, trades(104)) == [(1, 1, 1, 105, 104)]
    assert run(engine, trades(103)) == [(3, 1, 1, 102, 102)]


@pytest.mark.parametrize(("price", "order_id"), [(95, 2), (111, 3)])
def test_stop_and_target_exclude_each_other(price, order_id):
    engine = bracket(MARKET, 0, 95, 110)
    found = run(engine, trades(100, price, 90, 120))
    assert [f.order_id for f in found] == [1, order_id]
    assert engine.is_idle


def test_target_filled_in_part_leaves_the_stop_for_the_rest():
    engine = bracket(MARKET, 0, 95, 110, quantity=3)
    found = all_fills(engine, trades(100, 111, 95, sizes=[1, 2, 1]))
    assert [(f["order_id"], f["quantity"]) for f in found] == [(1, 3), (3, 2), (2, 1)]
    assert [int(f["flags"]) for f in found] == [COMPLETE, 0, COMPLETE | FLAT]


def test_first_contract_closed_ends_the_entry():
    engine = bracket(LIMIT, 100, 98, 110, quantity=2)
    found = run(engine, trades(99, 98, 99, 99, sizes=[1, 0, 1, 1]))
    assert [f.order_id for f in found] == [1, 1]
    engine = bracket(LIMIT, 100, 98, 110, quantity=2)
    found = run(engine, trades(99, 111, 99, 99))
    assert [f.order_id for f in found] == [1, 3]
    assert engine.is_idle


def test_oco_group_ends_with_its_first_complete_fill():
    engine = matching.MatchingEngine()
    engine.submit(0, 1, STOP, 1, 105, group=1)
    engine.submit(0, -1, STOP, 1, 95, group=1)
    assert [f.order_id for f in run(engine, trades(100, 95, 105))] == [2]


def test_oco_group_shrinks_with_a_partial_fill():
    engine = matching.MatchingEngine()
    engine.submit(0, 1, LIMIT, 3, 0, 100, group=1)
    engine.submit(0, 1, STOP, 3, 105, group=1)
    found = run(engine, trades(99, 105, 99, sizes=[2, 9, 9]))
    assert [(f.order_id, f.quantity) for f in found] == [(1, 2), (2, 1)]


def test_cancelled_entry_takes_its_children_along_unless_something_is_open():
    engine = bracket(LIMIT, 100, 95, 110, quantity=2)
    engine.cancel(1, 2)
    assert run(engine, trades(101)) == []
    assert run(engine, trades(101, ts=[2])) == []
    assert engine.is_idle
    engine = bracket(LIMIT, 100, 95, 110, quantity=2)
    engine.cancel(1, 2)
    found = run(engine, trades(99, 99, 95, sizes=[1, 9, 9]))
    assert [(f.order_id, f.quantity) for f in found] == [(1, 1), (2, 1)]


def test_exit_sent_before_the_entry_fills_closes_it_with_the_next_trade():
    engine = bracket(STOP, 105, 95, 110)
    exit_id = engine.submit(0, -1, MARKET, 0, parent=1)
    assert run(engine, trades(105, 104)) == [(1, 1, 1, 106, 105), (exit_id, 2, 1, 103, 104)]
    assert engine.is_idle


def test_cancel_and_change_after_the_fill_do_nothing():
    engine = alone(MARKET, 1, 0)
    run(engine, trades(100))
    assert engine.cancel(1, 5) is False
    assert engine.modify(1, 5, 99) is False
    assert run(engine, trades(100)) == []


def test_trade_of_size_zero_is_none():
    assert run(alone(MARKET, 1, 0), trades(100, sizes=[0])) == []
    assert run(alone(MARKET, 1, 0), trades(100, 101, sizes=[0, 1]))[0].reference == 101


def test_extremes_are_those_traded_while_the_entry_was_open():
    engine = bracket(MARKET, 0, 90, 110)
    run(engine, trades(92, 100))
    assert engine.extremes(1) == (100, 92)
    engine = bracket(STOP, 100, 90, 110)
    found = all_fills(engine, trades(99, 100, 107, 93, 111, 120))
    assert [(int(f["high"]), int(f["low"])) for f in found] == [(100, 100), (110, 93)]


def test_idle_engine_skips_to_the_end_and_knows_the_last_price():
    engine = matching.MatchingEngine()
    assert engine.advance(*trades(100, 101, 102, sizes=[1, 1, 0]), 0, 3) == 3
    assert engine.last_price == 101


def test_fills_are_a_view_that_cannot_be_written():
    engine = alone(MARKET, 1, 0)
    engine.advance(*trades(100), 0, 1)
    with pytest.raises(ValueError, match="read-only"):
        engine.fills["price"] = 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"side": 0},
        {"order_type": 4},
        {"quantity": 0},
        {"stop_price": 2**31},
        {"limit_price": -(2**31)},
        {"queue_ahead": -1},
        {"parent": 7},
        {"parent": 1, "quantity": 0, "side": 1},
        {"parent": 1, "quantity": 0, "side": -1, "group": 3},
        {"parent": 1, "quantity": 1, "side": -1},
    ],
)
def test_order_that_makes_no_sense_is_refused(arguments):
    engine = alone(LIMIT, 1, 100)
    with pytest.raises(ValueError, match=r"must|needs"):
        engine.submit(**{"ts": 0, "side": 1, "order_type": MARKET, "quantity": 1} | arguments)


def test_what_does_not_fit_is_refused_before_anything_runs():
    engine = matching.MatchingEngine(capacity=1)
    engine.submit(0, 1, LIMIT, 1, 0, 100)
    with pytest.raises(ValueError, match="full"):
        engine.submit(0, 1, LIMIT, 1, 0, 100)
    engine.modify(1, 0, 99)
    with pytest.raises(ValueError, match="under way"):
        engine.modify(1, 0, 98)
    with pytest.raises(ValueError, match="range"):
        engine.advance(*trades(100), 0, 2)
    with pytest.raises(ValueError, match="equally long"):
        engine.advance(*trades(100)[:2], np.zeros(2, np.int32), 0, 1)
    with pytest.raises(ValueError, match="no order"):
        engine.cancel(2, 0)
    with pytest.raises(ValueError, match="capacity"):
        matching.MatchingEngine(capacity=0)


def test_a_released_entry_takes_its_children_and_its_position_along():
    engine = matching.MatchingEngine()
    entry = engine.submit(0, 1, MARKET, 2)
    stop = engine.submit(0, -1, STOP, 0, 90, parent=entry)
    other = engine.submit(0, 1, LIMIT, 1, limit_price=50)
    tape = np.array([1, 2], np.int64), np.array([100, 80], np.int32), np.array([5, 5], np.int32)
    assert engine.advance(*tape, 0, 2) == 1
    engine.release(entry)
    assert engine.advance(*tape, 1, 2) == 2
    assert len(engine.fills) == 0
    assert [engine.quantities(each) for each in (entry, stop, other)] == [(0, 0), (0, 0), (1, 0)]


def test_a_released_child_leaves_the_others_their_work():
    engine = matching.MatchingEngine()
    entry = engine.submit(0, 1, MARKET, 2)
    stop = engine.submit(0, -1, STOP, 0, 90, parent=entry)
    engine.submit(0, -1, LIMIT, 0, limit_price=110, parent=entry)
    engine.release(stop)
    tape = np.arange(3), np.array([100, 80, 111], np.int32), np.array([5, 5, 5], np.int32)
    at = 0
    prices = []
    while at < 3:
        at = engine.advance(*tape, at, 3)
        prices += engine.fills["price"].tolist()
    assert prices == [101, 110]
    assert engine.is_idle
    with pytest.raises(ValueError, match="no order has the id 9"):
        engine.release(9)

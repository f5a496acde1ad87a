import numpy as np
import pytest
from fast.matching_samples import WIDTH, bars
from hypothesis import given, settings
from hypothesis import strategies as st

from mia.config.method import Cost
from mia.config.method import Fill as FillRules
from mia.core.base_types import MISSING_PRICE, OrderRole, OrderType, TradeBlock
from mia.core.protocols import Broker
from mia.core.trading_types import BracketOrder
from mia.errors import BrokerError, ConfigError
from mia.execution.simulated_broker import Excursions, SimulatedBroker

AT_ONCE = FillRules(latency_ns=0)


def block(*prices, sizes=None, ts=None):
    n = len(prices)
    unknown = np.full(n, MISSING_PRICE, np.int32)
    return TradeBlock(
        contract="ESZ25",
        ts_event=np.array(ts if ts is not None else range(1, n + 1), np.int64),
        price=np.array(prices, np.int32),
        size=np.array(sizes if sizes is not None else [10] * n, np.int32),
        aggressor_side=np.zeros(n, np.int8),
        bid_price=unknown,
        ask_price=unknown,
    )


def order(bracket_id="a", **changes):
    values = {
        "bracket_id": bracket_id,
        "symbol": "ES",
        "contract": "ESZ25",
        "side": 1,
        "quantity": 2,
        "entry_type": OrderType.STOP,
        "entry": 100,
        "stop": 92,
        "target": 116,
        "ts": 0,
    }
    return BracketOrder(**(values | changes))


def broker_with(*orders, fill=AT_ONCE, **setup):
    broker = SimulatedBroker(Cost(), fill, **setup)
    for each in orders:
        broker.submit(each)
    return broker


def play(broker, tape):
    at = 0
    while at < len(tape):
        at = broker.advance(tape, at, len(tape))
    return [(f.role, f.quantity, f.price) for f in broker.poll()]


def test_it_is_a_broker():
    broker: Broker = broker_with()
    assert isinstance(broker, SimulatedBroker)


def test_stop_entry_and_its_target_are_fills_of_the_bracket():
    broker = broker_with(order())
    broker.advance(block(99, 100, 117), 0, 3)
    (entry,) = broker.poll()
    assert (entry.bracket_id, entry.role, entry.ts, entry.side) == ("a", OrderRole.ENTRY, 2, 1)
    assert (entry.quantity, entry.price, entry.reference_price) == (2, 101, 100)
    assert broker.position("a") == 2
    assert broker.poll() == []
    assert play(broker, block(117, ts=[9])) == [(OrderRole.TARGET, 2, 116)]
    assert broker.position("a") == 0
    assert broker.is_idle


def test_what_a_stop_loses_in_a_gap_is_slippage_against_its_price():
    broker = broker_with(order())
    play(broker, block(99, 103))
    broker.modify_stop("a", 95, 10)
    broker.advance(block(98, 91, ts=[20, 30]), 0, 2)
    (stop,) = broker.poll()
    assert (stop.role, stop.price, stop.reference_price) == (OrderRole.STOP, 90, 95)
    broker = broker_with(order())
    broker.advance(block(99, 103), 0, 2)
    (entry,) = broker.poll()
    assert (entry.price, entry.reference_price) == (104, 100)


def test_short_bracket_is_the_mirror_image():
    broker = broker_with(order(side=-1, stop=108, target=84))
    found = play(broker, block(101, 100, 108))
    assert found == [(OrderRole.ENTRY, 2, 99), (OrderRole.STOP, 2, 109)]
    assert broker.realized_pnl == pytest.approx(-10 * 12.5 * 2 - 4 * 3.45)


@pytest.mark.parametrize(
    ("symbol", "tick_value", "side_cost"), [("ES", 12.5, 3.45), ("MES", 1.25, 0.96)]
)
def test_mes_is_filled_on_the_es_tape_at_its_own_costs(symbol, tick_value, side_cost):
    broker = broker_with(order(symbol=symbol))
    tape = block(100, 117)
    broker.advance(tape, 0, 2)
    (entry,) = broker.poll()
    assert entry.commission == pytest.approx(2 * side_cost)
    assert broker.mark_to_market(105) == pytest.approx(2 * 4 * tick_value - 2 * side_cost)
    assert broker.mark_to_market() == pytest.approx(-2 * tick_value - 2 * side_cost)
    broker.advance(tape, 1, 2)
    assert broker.realized_pnl == pytest.approx(2 * 15 * tick_value - 4 * side_cost)
    assert broker.mark_to_market(50) == pytest.approx(broker.realized_pnl)


def test_limit_entry_waits_for_a_trade_through():
    broker = broker_with(order(entry_type=OrderType.LIMIT))
    assert play(broker, block(100, 100)) == []
    assert play(broker, block(99)) == [(OrderRole.ENTRY, 2, 100)]


def test_market_entry_takes_the_next_trade_after_the_latency():
    broker = broker_with(order(entry_type=OrderType.MARKET), fill=FillRules(latency_ns=3))
    assert play(broker, block(97, 98, 99)) == [(OrderRole.ENTRY, 2, 100)]


def test_cancelled_entry_keeps_the_protection_of_what_was_filled():
    broker = broker_with(order(entry_type=OrderType.LIMIT))
    broker.advance(block(99, sizes=[1]), 0, 1)
    broker.cancel_entry("a", 2)
    assert broker.is_working("a")
    assert play(broker, block(99, 92, ts=[2, 3])) == [
        (OrderRole.ENTRY, 1, 100),
        (OrderRole.STOP, 1, 91),
    ]
    assert not broker.is_open("a")


def test_cancelling_a_filled_entry_does_nothing():
    broker = broker_with(order())
    play(broker, block(100))
    broker.cancel_entry("a", 1)
    assert broker.position("a") == 2
    assert play(broker, block(92)) == [(OrderRole.STOP, 2, 91)]
    broker.cancel_entry("a", 2)
    assert broker.is_idle


def test_moved_stop_acts_where_it_was_moved_to():
    for price, found in ((99, [(OrderRole.STOP, 2, 98)]), (100, [])):
        broker = broker_with(order())
        play(broker, block(100, 105))
        broker.modify_stop("a", 99, 2)
        assert play(broker, block(price, ts=[2])) == found


@pytest.mark.parametrize(("side", "stop"), [(1, 105), (1, 106), (-1, 95), (-1, 94)])
def test_stop_on_the_wrong_side_of_the_market_is_refused(side, stop):
    broker = broker_with(order(side=side, stop=100 - 8 * side, target=100 + 16 * side))
    play(broker, block(100, 100 + 5 * side))
    with pytest.raises(BrokerError, match="trigger at once"):
        broker.modify_stop("a", stop, 2)
    broker.modify_stop("a", stop - side * (1 + abs(stop - 100 - 5 * side)), 2)


def test_stop_beyond_the_entry_is_refused_while_the_entry_waits():
    broker = broker_with(order())
    with pytest.raises(BrokerError, match="trigger at once"):
        broker.modify_stop("a", 100, 0)
    broker.modify_stop("a", 99, 0)
    assert play(broker, block(100, 99)) == [(OrderRole.ENTRY, 2, 101), (OrderRole.STOP, 2, 98)]


def test_stop_of_a_closed_bracket_is_not_moved():
    broker = broker_with(order())
    play(broker, block(100, 92))
    broker.modify_stop("a", 99, 2)
    assert broker.is_idle


def test_flatten_closes_at_market_and_only_then_ends_the_protection():
    broker = broker_with(order(), fill=FillRules(latency_ns=5))
    play(broker, block(100, ts=[5]))
    broker.flatten("a", 10)
    assert OrderRole.STOP in broker.order_ids("a")
    assert play(broker, block(95, ts=[14])) == []
    assert broker.position("a") == 2
    assert play(broker, block(95, ts=[15])) == [(OrderRole.FLATTEN, 2, 94)]
    assert broker.position("a") == 0
    assert broker.is_idle


def test_stop_hit_while_the_flatten_is_under_way_leaves_nothing_to_close():
    broker = broker_with(order(), fill=FillRules(latency_ns=5))
    play(broker, block(100, ts=[5]))
    broker.flatten("a", 10)
    assert play(broker, block(91, 90, ts=[12, 15])) == [(OrderRole.STOP, 2, 90)]
    assert broker.is_idle


def test_entry_filled_while_the_flatten_is_under_way_is_closed_with_the_next_trade():
    broker = broker_with(order(), fill=FillRules(latency_ns=5))
    broker.flatten("a", 10)
    broker.flatten("a", 11)
    assert play(broker, block(100, 99, 98, ts=[14, 15, 16])) == [
        (OrderRole.ENTRY, 2, 101),
        (OrderRole.FLATTEN, 2, 98),
    ]


def test_flattening_an_unfilled_bracket_cancels_it():
    broker = broker_with(order())
    broker.flatten("a", 3)
    assert play(broker, block(100, ts=[3])) == []
    assert broker.is_idle
    broker.flatten("a", 4)


def test_ids_count_the_orders_in_their_order():
    broker = broker_with(order("a"), order("b"))
    assert broker.order_ids("b") == {OrderRole.ENTRY: 4, OrderRole.STOP: 5, OrderRole.TARGET: 6}
    broker.flatten("a", 0)
    assert broker.order_ids("a")[OrderRole.FLATTEN] == 7


def test_excursions_are_signed_profits_from_the_fill_price():
    broker = broker_with(order())
    play(broker, block(99, 100, 107))
    assert broker.excursions("a") == Excursions(mfe=6, mae=-1)
    play(broker, block(94, 117, 130))
    assert broker.excursions("a") == Excursions(mfe=15, mae=-7)
    broker = broker_with(order(side=-1, stop=108, target=84))
    play(broker, block(100, 95, 103))
    assert broker.excursions("a") == Excursions(mfe=4, mae=-4)


def test_excursions_on_bars_count_the_entry_bar_against_the_position():
    broker = broker_with(order())
    tape = bars((98, 110, 95, 103), (103, 109, 99, 104))
    broker.advance(tape, 0, 2)
    assert broker.excursions("a") == Excursions(mfe=2, mae=-6)
    broker.advance(tape, 1, 2)
    assert broker.excursions("a") == Excursions(mfe=8, mae=-6)


def test_excursions_of_an_unfilled_bracket_do_not_exist():
    with pytest.raises(BrokerError, match="not been filled"):
        broker_with(order()).excursions("a")


def test_bars_are_matched_with_the_worse_order_of_events():
    broker = broker_with(order())
    tape = bars((98, 120, 93, 103), (103, 117, 92, 104))
    assert play(broker, tape) == [(OrderRole.ENTRY, 2, 101), (OrderRole.STOP, 2, 91)]


def test_queue_fills_need_book_sizes():
    rules = FillRules(limit="queue", latency_ns=0)
    with pytest.raises(ConfigError, match="book sizes"):
        SimulatedBroker(Cost(), rules)


def test_queue_ahead_is_taken_when_each_limit_begins_to_rest():
    asked = []

    def displayed(side, price):
        asked.append((side, price))
        return 10

    rules = FillRules(limit="queue", latency_ns=0)
    broker = broker_with(order(entry_type=OrderType.LIMIT), fill=rules, queue_ahead=displayed)
    assert asked == [(1, 100)]
    assert play(broker, block(100, 100, sizes=[9, 2])) == [(OrderRole.ENTRY, 1, 100)]
    assert asked == [(1, 100), (-1, 116)]
    assert play(broker, block(116, 116, sizes=[10, 1], ts=[3, 4])) == [(OrderRole.TARGET, 1, 116)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"symbol": "NQ"}, "not traded"),
        ({"quantity": 0}, "no order"),
        ({"side": 0}, "no order"),
        ({"entry_type": OrderType.STOP_LIMIT}, "MARKET, LIMIT or STOP"),
        ({"stop": 100}, "must lie between"),
        ({"target": 100}, "must lie between"),
        ({"side": -1}, "must lie between"),
    ],
)
def test_bracket_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(BrokerError, match=message):
        broker_with(order(**changes))


def test_id_serves_once_and_an_unknown_one_not_at_all():
    broker = broker_with(order())
    with pytest.raises(BrokerError, match="submitted before"):
        broker.submit(order())
    with pytest.raises(BrokerError, match="never submitted"):
        broker.position("b")


def test_full_broker_refuses_entries_but_no_exit():
    broker = broker_with(order("a"), order("b"), max_brackets=2)
    with pytest.raises(BrokerError, match="at work already"):
        broker.submit(order("c"))
    broker.flatten("a", 0)
    broker.flatten("b", 0)
    play(broker, block(99))
    broker.submit(order("c"))
    assert broker.is_open("c")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(1, 4)), min_size=4, max_size=40),
    st.sampled_from([OrderType.MARKET, OrderType.LIMIT, OrderType.STOP]),
    st.sampled_from([-1, 1]),
    st.integers(0, 39),
)
def test_cash_of_the_fills_is_the_profit_reported(steps, kind, side, flatten_at):
    prices = 100 + np.cumsum([move for move, _ in steps])
    tape = block(*prices, sizes=[size for _, size in steps])
    broker = broker_with(
        order(entry_type=kind, side=side, stop=100 - 3 * side, target=100 + 4 * side)
    )
    fills, at = [], 0
    while at < len(tape):
        if at >= flatten_at:
            broker.flatten("a", int(tape.ts_event[at]))
        at = broker.advance(tape, at, min(at + 1, len(tape)))
        fills += broker.poll()
    position = sum(fill.side * fill.quantity for fill in fills)
    assert position == broker.position("a")
    assert 0 <= position * side <= 2
    cash = sum(-fill.side * fill.quantity * fill.price * 12.5 - fill.commission for fill in fills)
    last = int(prices[-1])
    assert broker.mark_to_market(last) == pytest.approx(cash + position * last * 12.5)
    if fills:
        mfe, mae = broker.excursions("a")
        assert mfe >= mae


def test_time_of_a_bar_fill_is_its_open_or_its_close():
    broker = broker_with(order(entry_type=OrderType.MARKET))
    tape = bars((98, 99, 97, 98), (98, 99, 92, 98))
    at = broker.advance(tape, 0, 2)
    broker.advance(tape, at, 2)
    assert [fill.ts for fill in broker.poll()] == [0, 2 * WIDTH]

"""What the exchange answers: executions, finished orders, ids, manual orders, foreign positions."""

import re

import pytest
from gateway.exchange_samples import ACCOUNT, CLIENT, ES, MES, Market, at, bracket, order

from mia.errors import BrokerError
from mia.gateway.venue.exchange import FIRST_PERM_ID
from mia.gateway.venue.executions import ExecutionFilter


def test_order_ids_count_on_from_the_highest_of_each_client():
    market = Market(first_order_id=10)
    assert market.exchange.next_order_id(1) == 10
    market.place(order(15, "BUY", 1, "LMT", 90), order(12, "BUY", 1, "LMT", 90), client=1)
    assert market.exchange.next_order_id(1) == 16
    assert market.exchange.next_order_id(2) == 10


def test_permanent_ids_are_in_order_and_stay():
    market = Market()
    market.place(*bracket(1, stop=90, target=110))
    first = [r.perm_id for r in market.exchange.open_orders()]
    assert first == [FIRST_PERM_ID + k for k in range(3)]
    market.trade(100)
    assert [r.perm_id for r in market.exchange.open_orders()] == first[1:]


def test_execution_ids_have_the_shape_of_the_real_ones_and_never_repeat():
    def play():
        market = Market(session=0xE0D5)
        market.place(order(1), order(2, "SELL", 3))
        market.trade(100)
        return [e.exec_id for e in market.heard.executions]

    ids = play()
    assert len(set(ids)) == 2
    assert all(re.fullmatch(r"0000e0d5\.[0-9a-f]{8}\.\d\d\.01", each) for each in ids)
    assert play() == ids


def two_fills():
    market = Market(accounts=(ACCOUNT, "DU2"))
    market.place(order(1, "BUY", 1), client=1)
    market.place(order(1, "SELL", 1, account="DU2"), client=2, contract=MES)
    market.trade(100)
    return market


@pytest.mark.parametrize(
    ("wanted", "clients"),
    [
        (ExecutionFilter(), [1, 2]),
        (ExecutionFilter(client_id=2), [2]),
        (ExecutionFilter(account=ACCOUNT), [1]),
        (ExecutionFilter(symbol="MES"), [2]),
        (ExecutionFilter(sec_type="OPT"), []),
        (ExecutionFilter(exchange="CME"), [1, 2]),
        (ExecutionFilter(side="SELL"), [2]),
        (ExecutionFilter(side="bot"), [1]),
        (ExecutionFilter(ts_from=at("2025-11-24 09:00:02")), []),
    ],
)
def test_executions_are_found_by_what_is_asked(wanted, clients):
    found = two_fills().exchange.find_executions(wanted)
    assert [e.client_id for e in found] == clients


def test_executions_are_those_since_midnight():
    market = two_fills()
    market.exchange.set_time(at("2025-11-24 23:59:59"))
    assert len(market.exchange.find_executions(ExecutionFilter())) == 2
    market.exchange.set_time(at("2025-11-25 00:00:00"))
    assert market.exchange.find_executions(ExecutionFilter()) == []


def test_finished_orders_are_listed_in_order_of_their_end():
    market = Market()
    market.place(order(1, "BUY", 1, "LMT", 90), order(2))
    market.exchange.place_by_hand(order(0, "BUY", 1), ES)
    market.trade(100)
    market.exchange.cancel(CLIENT, 1)
    market.wait()
    done = [(r.order.order_id, r.status) for r in market.exchange.completed_orders()]
    assert done == [(2, "Filled"), (0, "Filled"), (1, "Cancelled")]
    mine = market.exchange.completed_orders(api_only=True)
    assert [r.order.order_id for r in mine] == [2, 1]


def test_an_order_by_hand_fills_and_moves_the_position():
    market = Market()
    market.exchange.place_by_hand(order(5, "SELL", 2), ES)
    market.trade(100)
    assert market.position() == -2
    (execution,) = market.heard.executions
    assert (execution.client_id, execution.order_id) == (0, 0)
    with pytest.raises(BrokerError, match="size cannot be zero"):
        market.exchange.place_by_hand(order(5, "SELL", 0), ES)


def test_client_zero_can_bind_orders_by_hand_and_cancel_them():
    market = Market()
    perm_id = market.exchange.place_by_hand(order(0, "BUY", 1, "LMT", 90), ES)
    market.exchange.place_by_hand(order(0, "BUY", 1, "LMT", 80), ES)
    bound = market.exchange.bind()
    assert [(b.client_id, b.order_id) for b in bound] == [(0, -1), (0, -2)]
    assert bound[0].perm_id == perm_id
    assert market.exchange.bind() == []
    market.exchange.cancel(0, -1)
    market.wait()
    assert [r.order.order_id for r in market.exchange.open_orders(0)] == [-2]


def test_a_twin_lives_under_the_order_id_of_another():
    market = Market()
    first = order(1, "BUY", 1, "LMT", 90)
    market.place(first)
    twin = market.exchange.place_twin(CLIENT, order(1, "BUY", 1, "LMT", 95), ES)
    shown = market.exchange.open_orders(CLIENT)
    assert [r.order.order_id for r in shown] == [1, 1]
    assert shown[1].perm_id == twin != shown[0].perm_id
    market.trade(89)
    assert market.position() == 2
    assert [e.perm_id for e in market.heard.executions] == [r.perm_id for r in shown]


def test_an_order_is_found_by_client_and_id():
    market = Market()
    market.place(order(1, "BUY", 1, "LMT", 90))
    found = market.exchange.order(CLIENT, 1)
    assert found is not None
    assert found.order.limit_price == 22.5
    assert market.exchange.order(CLIENT + 1, 1) is None


def test_an_expired_contract_is_settled_in_cash_and_its_orders_go():
    market = Market(at("2025-12-19 08:00:00"), slip=0)
    market.place(order(1, "BUY", 2), order(2, "SELL", 2, "STP", 90))
    market.trade(100, 104)
    account = market.exchange.accounts[ACCOUNT]
    before = account.equity
    market.exchange.set_time(at("2025-12-19 08:30:00"))
    assert market.position() == 0
    assert account.equity == before == account.cash
    assert market.status(2) == ("Cancelled", "")
    assert market.heard.said[-1] == ("position", "ESZ25", ACCOUNT)
    market.place(order(3))
    assert market.heard.codes()[-1] == (3, 201)


def test_a_foreign_position_is_told_without_an_execution():
    market = Market()
    market.exchange.seed_position(ACCOUNT, ES, 3, 25.0)
    assert market.heard.said == [("position", "ESZ25", ACCOUNT)]
    assert market.position() == 3


def test_a_corrected_execution_is_a_new_revision_and_corrects_the_account():
    market = Market(slip=0)
    market.place(order(1, "BUY", 2))
    market.trade(100)
    (fill,) = market.heard.executions
    corrected = market.exchange.correct_execution(fill.exec_id, 25.5)
    assert corrected.exec_id == fill.exec_id[:-2] + "02"
    assert market.heard.executions[-1] == corrected
    assert market.exchange.accounts[ACCOUNT].positions[1].average_price == 25.5
    (found,) = market.exchange.find_executions(ExecutionFilter())
    assert found == corrected
    again = market.exchange.correct_execution(fill.exec_id, 25.0)
    assert again.exec_id.endswith(".03")
    with pytest.raises(BrokerError, match="no execution 12"):
        market.exchange.correct_execution("12", 25.0)


def test_a_busted_execution_leaves_only_the_position_to_be_told():
    market = Market()
    market.place(order(1, "BUY", 2))
    market.trade(100)
    said = len(market.heard.said)
    market.exchange.bust_execution(market.heard.executions[0].exec_id)
    assert market.heard.said[said:] == [("position", "ESZ25", ACCOUNT)]
    assert market.position() == 0
    assert market.exchange.accounts[ACCOUNT].equity == 10_000_000.0
    assert market.exchange.find_executions(ExecutionFilter()) == []


def test_commissions_and_profits_come_with_the_executions():
    market = Market(slip=0)
    market.place(*bracket(1, stop=90, target=110))
    market.place(order(10, "BUY", 1), contract=MES)
    market.trade(100, 111)
    entry, micro, target = market.heard.executions
    assert (entry.commission, entry.realized_pnl) == (3.45, None)
    assert (micro.commission, micro.realized_pnl) == (0.96, None)
    assert target.realized_pnl == pytest.approx(10 * 12.5 - 2 * 3.45)
    assert market.exchange.last_price(MES) == 27.75

"""The broker of a live cycle: nothing passes that the gate refuses, nothing is told twice."""

from dataclasses import replace

import numpy as np
import pytest
from order_broker import ACCOUNT, Desk

from mia.core.base_types import MISSING_PRICE, OrderRole, TradeBlock, TradingMode, TradingState
from mia.core.trading_types import Fill
from mia.errors import BrokerError, OrderRefused
from mia.execution.gate_facts import GateFacts, GateLimits
from mia.execution.ibkr_broker import IbkrBroker, traded_contract
from mia.execution.last_gate import LastGate


class Counter:
    """A broker over a desk, with a world that a test may change."""

    def __init__(self, *, dry_run: bool = False) -> None:
        self.desk = Desk().ready()
        self.facts = GateFacts(
            ts=self.desk.time.now(),
            account=ACCOUNT,
            state=TradingState.NORMAL,
            why_no_risk="",
            last_price=24_002,
            data_age_ns=0,
            data_valid=True,
            session_open=True,
            market_halted=False,
            limit_down=None,
            limit_up=None,
            exposure=0,
            realized=0.0,
            open_pnl=0.0,
            worst_pnl=0.0,
        )
        self.sides: list[int] = []
        gate = LastGate(GateLimits(2, 600.0), ACCOUNT, TradingMode.PAPER)
        self.broker = IbkrBroker(self.desk.manager, gate, self.world, dry_run=dry_run)

    def world(self, side: int) -> GateFacts:
        self.sides.append(side)
        return replace(self.facts, ts=self.desk.time.now())

    def submit(self, **changed: object) -> str:
        order = self.desk.bracket(**changed)  # type: ignore[arg-type]
        self.broker.submit(order)
        deliver(self.desk)
        return order.bracket_id


def deliver(desk: Desk) -> None:
    """Hand over what the broker says, and leave fills and alarms to the test."""
    while desk.broker.outbox:
        desk.hand_over(desk.broker.outbox.pop(0))


def fill(counter: Counter, bracket_id: str, leg: str, quantity: int = 1, price: int = 0) -> None:
    desk = counter.desk
    desk.broker.fill(desk.order(bracket_id, leg), quantity, price or None)
    deliver(desk)


def block(*prices: int) -> TradeBlock:
    n = len(prices)
    unknown = np.full(n, MISSING_PRICE, np.int32)
    return TradeBlock(
        "ESZ25",
        np.arange(n, dtype=np.int64),
        np.array(prices, np.int32),
        np.ones(n, np.int32),
        np.zeros(n, np.int8),
        unknown,
        unknown,
    )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"state": TradingState.HALT_ENTRIES}, "KILL_STATE"),
        ({"data_valid": False}, "DATA_INVALID"),
        ({"exposure": 20}, "POSITION"),
        ({"why_no_risk": "not reconciled"}, "NOT_READY"),
    ],
)
def test_what_the_gate_refuses_never_reaches_the_broker(change, code: str) -> None:
    counter = Counter()
    counter.facts = replace(counter.facts, **change)
    with pytest.raises(OrderRefused, match=code) as refusal:
        counter.submit()
    assert (refusal.value.code, refusal.value.counts) == (code, True)
    assert counter.desk.broker.orders == []
    assert not counter.desk.manager.ledger.brackets


@pytest.mark.parametrize("side", [1, -1])
def test_what_passes_is_a_whole_bracket_at_the_broker(side: int) -> None:
    counter = Counter()
    name = counter.submit(side=side)
    assert counter.desk.alive(name) == {"E", "S", "T"}
    assert counter.sides == [side]
    assert counter.broker.is_open(name)


def test_a_dry_run_goes_through_the_gate_and_sends_nothing() -> None:
    counter = Counter(dry_run=True)
    with pytest.raises(OrderRefused, match="DRY_RUN") as refusal:
        counter.submit()
    assert not refusal.value.counts
    assert counter.desk.broker.orders == []
    counter.facts = replace(counter.facts, data_valid=False)
    with pytest.raises(OrderRefused, match="DATA_INVALID"):
        counter.submit(entry=24_004)


def test_a_micro_order_is_sent_for_the_micro_contract() -> None:
    counter = Counter()
    order = replace(counter.desk.bracket(), symbol="MES")
    counter.broker.submit(order)
    assert {o.ticket.contract for o in counter.desk.broker.orders} == {"MESZ25"}
    assert {o.ticket.symbol for o in counter.desk.broker.orders} == {"MES"}


def test_what_the_manager_does_not_take_is_refused() -> None:
    counter = Counter()
    counter.desk.drop()
    with pytest.raises(OrderRefused, match="BROKER"):
        counter.submit()
    assert counter.desk.broker.orders == []


def test_a_chain_that_broke_off_stays_ours() -> None:
    counter = Counter()
    order = counter.desk.bracket()
    place, sent = counter.desk.broker.place, []

    def breaks(ticket: object) -> None:
        sent.append(ticket)
        if len(sent) == 2:
            raise BrokerError("the socket is gone")
        place(ticket)  # type: ignore[arg-type]

    counter.desk.broker.place = breaks  # type: ignore[method-assign]
    counter.broker.submit(order)
    assert order.bracket_id in counter.desk.manager.ledger.brackets
    assert counter.broker.is_open(order.bracket_id)


def test_fills_are_told_once_and_those_of_another_bracket_apart() -> None:
    counter = Counter()
    first = counter.submit()
    fill(counter, first, "E")
    assert [f.role for f in counter.broker.poll()] == [OrderRole.ENTRY]
    assert counter.broker.poll() == []
    fill(counter, first, "T")
    assert [f.role for f in counter.broker.poll()] == [OrderRole.TARGET]
    counter.desk.time.pass_by(400)
    second = counter.submit(entry=24_010)
    fill(counter, second, "E")
    counter.broker._current = first
    assert counter.broker.poll() == []
    orphans = counter.broker.take_orphans()
    assert [f.bracket_id for f in orphans] == [second]
    assert counter.broker.take_orphans() == []


@pytest.mark.parametrize("side", [1, -1])
def test_excursions_are_measured_from_the_entry_while_it_is_open(side: int) -> None:
    counter = Counter()
    name = counter.submit(side=side)
    assert counter.broker.advance(block(23_000, 25_000), 0, 2) == 2
    fill(counter, name, "E", 1, 24_000)
    counter.broker.poll()
    counter.broker.advance(block(24_003, 23_998, 30_000), 0, 2)
    assert counter.broker.excursions(name) == ((3, -2) if side > 0 else (2, -3))
    fill(counter, name, "T", 1, 24_000 + 16 * side)
    counter.broker.poll()
    counter.broker.advance(block(20_000, 28_000), 0, 2)
    assert counter.broker.excursions(name) == ((16, -2) if side > 0 else (16, -3))


def test_before_a_fill_there_are_no_excursions() -> None:
    counter = Counter()
    name = counter.submit()
    with pytest.raises(BrokerError, match="has not been filled"):
        counter.broker.excursions(name)


def test_a_restart_goes_on_with_the_bracket_and_its_entry() -> None:
    counter = Counter()
    order = counter.desk.bracket()
    booked = Fill(order.bracket_id, OrderRole.ENTRY, 1, 1, 1, 24_000, 24_000, 2.25)
    counter.broker.remember(order.bracket_id, [booked])
    assert counter.broker.excursions(order.bracket_id) == (0, 0)


@pytest.mark.parametrize(
    ("symbol", "tape", "name"), [("MES", "ESZ25", "MESZ25"), ("ES", "ESH26", "ESH26")]
)
def test_the_traded_contract_has_the_month_of_the_tape(symbol, tape, name) -> None:
    assert traded_contract(symbol, tape) == name


@pytest.mark.parametrize("tape", ["ES", "ESX25", "ESZ", "", "ESZ2B"])
def test_a_tape_without_a_month_is_refused(tape: str) -> None:
    with pytest.raises(BrokerError, match="names no contract"):
        traded_contract("ES", tape)

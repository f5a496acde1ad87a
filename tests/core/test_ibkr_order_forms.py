"""Orders that are filled in are, byte for byte, those that the client library encodes."""

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mia.core.base_types import OrderType
from mia.core.broker_types import OrderTicket
from mia.core.ibkr.backend import load_backend
from mia.core.ibkr.order_forms import OrderForms
from mia.core.ibkr.orders import FIRST_REQUEST_ID, check_ticket

BACKEND = load_backend()
VERSIONS = (BACKEND.min_version, 162, 170, BACKEND.max_version)
NAMES = st.text("abcdefXYZ0123456789-:._ ", min_size=1, max_size=30)


def a_client(version: int):
    client = BACKEND.client(object())
    client.connState = client.CONNECTED
    client._serverVersion = version
    return client


CLIENTS = {version: a_client(version) for version in VERSIONS}
FORMS = {version: OrderForms(BACKEND, client) for version, client in CLIENTS.items()}


@st.composite
def tickets(draw) -> OrderTicket:
    kind = draw(st.sampled_from([OrderType.MARKET, OrderType.LIMIT, OrderType.STOP]))
    group = draw(st.one_of(st.just(""), NAMES))
    order_id = draw(st.integers(1, FIRST_REQUEST_ID - 1))
    return OrderTicket(
        order_id=order_id,
        order_ref=draw(NAMES),
        symbol=draw(st.sampled_from(["ES", "MES", "NQ"])),
        con_id=draw(st.integers(1, 2**31)),
        contract="ESZ25",
        side=draw(st.sampled_from([-1, 1])),
        quantity=draw(st.integers(1, 10_000)),
        order_type=kind,
        price=0 if kind is OrderType.MARKET else draw(st.integers(1, 200_000)),
        tif=draw(st.sampled_from(["DAY", "GTC", "IOC"])),
        account="DU1234567",
        parent_id=draw(st.integers(0, order_id - 1)),
        oca_group=group,
        oca_type=draw(st.integers(1, 3)) if group else 0,
        transmit=draw(st.booleans()),
        outside_rth=True,
    )


@settings(max_examples=60, deadline=None)
@given(ticket=tickets(), exchange=st.sampled_from(["CME", "GLOBEX", "QBALGO"]))
def test_a_form_gives_what_the_library_gives(ticket: OrderTicket, exchange: str) -> None:
    check_ticket(ticket, "DU1234567")
    for forms in FORMS.values():
        assert forms.encode(ticket, exchange) == forms.by_library(ticket, exchange)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_brackets_consist_of_is_filled_in_and_not_encoded(version, caplog) -> None:
    forms = OrderForms(BACKEND, client := a_client(version))
    with caplog.at_level(logging.WARNING):
        forms.prepare()
    assert not caplog.records

    def encodes(*parts: object) -> None:
        raise AssertionError("the library was asked")

    client.placeOrder = encodes
    example = OrderTicket(7, "a:E", "ES", 1, "ESZ25", 1, 1, OrderType.STOP, 24_000, "DAY", "DU1")
    assert "a:E" in forms.encode(example, "CME").split("\0")


def test_a_layout_that_is_not_understood_is_left_to_the_library(caplog) -> None:
    client = a_client(176)
    plain = client.placeOrder

    def doubled(order_id, contract, order) -> None:
        # A message that says the quantity twice cannot be told apart by one difference.
        send, said = client.sendMsg, []
        client.sendMsg = said.append
        plain(order_id, contract, order)
        client.sendMsg = send
        send(said[0] + f"{order.totalQuantity}\0")

    client.placeOrder = doubled
    forms = OrderForms(BACKEND, client)
    example = OrderTicket(7, "a:E", "ES", 1, "ESZ25", 1, 9, OrderType.LIMIT, 24_000, "DAY", "DU1")
    with caplog.at_level(logging.WARNING):
        message = forms.encode(example, "CME")
    assert message.endswith("\0" + "9\0")
    assert "LIMIT orders are encoded by ib_insync" in caplog.text

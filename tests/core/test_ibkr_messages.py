import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ib_insync import Contract, ContractDetails

from mia.core.base_types import OrderType
from mia.core.broker_types import BrokerStatus
from mia.core.ibkr.backend import load_backend
from mia.core.ibkr.contracts import (
    choose_front,
    future_contract,
    parse_hours,
    parse_name,
    the_one,
)
from mia.core.ibkr.messages import (
    OFF_GRID,
    TIME_UNREADABLE,
    UNSUPPORTED_ORDER,
    contract_name,
    open_order_report,
    read_commission,
    read_execution,
    read_notice,
    read_position,
    read_status,
    to_ticks,
)
from mia.core.ibkr.options import read_greeks
from mia.core.ibkr.wire_time import parse_time
from mia.errors import BrokerError

UNSET = "1.7976931348623157E308"


def cut(text):
    """Return the fields of a message written with bars between them."""
    return text.split("|")


EXECUTION = cut(
    "11|-1|3|495|ES|FUT|20251219|0.0||50|CME|USD|ESZ5|ES|0000e0d5.67.01.02|"
    "20251124-15:00:01|DU1|CME|SLD|2|5000.25|99|7|0|2|5000.25|a:S||||1"
)


def ignore(code, text):
    raise AssertionError(f"{code}: {text}")


def test_a_status_keeps_why_an_order_is_held():
    fields = cut("3|5|PreSubmitted|0|1|0|77|4|0|7|child,trigger|0")
    report = read_status(fields)
    assert (report.order_id, report.perm_id, report.client_id) == (5, 77, 7)
    assert (report.status, report.remaining) == (BrokerStatus.PRE_SUBMITTED, 1)
    assert report.why_held == "child,trigger"


@pytest.mark.parametrize("change", [(2, "Exploded"), (1, "five"), (3, "0.5")])
def test_a_status_that_cannot_be_read_is_not_guessed(change):
    fields = cut("3|5|Submitted|0|1|0|77|4|0|7||0")
    fields[change[0]] = change[1]
    with pytest.raises((KeyError, ValueError)):
        read_status(fields)


def test_an_execution_is_read_in_ticks_and_with_its_revision():
    request, report = read_execution(EXECUTION, parse_time, 10**19, ignore)
    assert request == -1
    assert (report.side, report.quantity, report.price) == (-1, 2, 20_001)
    assert (report.contract, report.order_ref, report.account) == ("ESZ25", "a:S", "DU1")
    assert (report.identity, report.revision) == ("0000e0d5.67.01", 2)


@pytest.mark.parametrize(
    ("place", "value", "code"),
    [
        (15, "soon", TIME_UNREADABLE),
        (15, "20991124-15:00:01", TIME_UNREADABLE),
        (20, "5000.30", OFF_GRID),
    ],
)
def test_an_execution_is_never_lost_for_its_time_or_price(place, value, code):
    notes = []
    fields = [*EXECUTION[:place], value, *EXECUTION[place + 1 :]]
    received = parse_time("20251124-15:00:02")
    _, report = read_execution(fields, parse_time, received, lambda *note: notes.append(note))
    assert [note[0] for note in notes] == [code]
    assert report.quantity == 2
    assert report.price == 20_001
    assert report.ts == (received if code == TIME_UNREADABLE else parse_time(EXECUTION[15]))


def test_a_profit_that_is_not_set_is_none():
    assert read_commission(["59", "1", "x", "2.3", "USD", UNSET, "", ""]).realized_pnl is None
    assert read_commission(["59", "1", "x", "2.3", "USD", "-50.0", "", ""]).realized_pnl == -50.0


def test_a_position_is_signed():
    fields = cut("61|3|DU1|495|ES|FUT|20251219|0.0||50||USD|ESZ5|ES|-3|250000.0")
    report = read_position(fields)
    assert (report.contract, report.quantity, report.average_cost) == ("ESZ25", -3, 250_000.0)


def test_a_notice_is_one_line_with_its_signs_resolved():
    fields = ["4", "2", "-1", "2104", "Farm\n is \\u00fcber OK:us", ""]
    notice = read_notice(fields)
    assert (notice.request_id, notice.code, notice.text) == (-1, 2104, "Farm is über OK:us")
    assert read_notice(["4", "2", "3", "201", "\\u12 broken", ""]).text == "\\u12 broken"


@given(st.integers(1, 100_000))
def test_every_tick_of_the_future_survives_the_wire(ticks):
    assert to_ticks(float(str(ticks * 0.25)), "ES", ignore) == ticks


def test_a_contract_without_a_known_tick_has_no_price():
    assert to_ticks(451.37, "SPY", ignore) == 0


@pytest.mark.parametrize(
    ("contract", "name"),
    [
        (("ES", "FUT", "20251219", "ESZ5"), "ESZ25"),
        (("MES", "FUT", "202603", "MESH6"), "MESH26"),
        (("SPX", "IND", "", "SPX"), "SPX"),
        (("SPX", "OPT", "20251219", "SPXW  251219C05000000"), "SPXW  251219C05000000"),
    ],
)
def test_contracts_are_named_as_the_project_writes_them(contract, name):
    assert contract_name(*contract) == name


def test_an_order_of_a_foreign_type_is_shown_and_noted():
    backend, notes = load_backend(), []
    order = backend.order(orderId=0, permId=9, action="BUY", totalQuantity=1, orderType="REL")
    contract = backend.contract(conId=4, symbol="SPY", secType="STK", localSymbol="SPY")

    class State:
        status = "Submitted"

    report = open_order_report(contract, order, State, lambda *note: notes.append(note))
    assert (report.perm_id, report.contract, report.price) == (9, "SPY", 0)
    assert report.order_type is OrderType.MARKET
    assert report.filled is None
    assert notes[0][0] == UNSUPPORTED_ORDER


def test_greeks_that_were_not_computed_are_nan():
    fields = cut("21|5|13|0|-1|-2|-1|-1|0.002|-2|-0.5|5000.0")
    greeks = read_greeks(fields)
    assert (greeks.gamma, greeks.theta, greeks.underlying) == (0.002, -0.5, 5000.0)
    missing = (greeks.implied_volatility, greeks.delta, greeks.vega)
    assert all(math.isnan(value) for value in missing)


def test_hours_are_spans_in_utc_and_closed_days_have_none():
    text = "20251124:1700-20251125:1600;20251126:CLOSED;20251128:0830-1215"
    spans = parse_hours(text, "US/Central")
    assert spans == (
        (parse_time("20251124-23:00:00"), parse_time("20251125-22:00:00")),
        (parse_time("20251128-14:30:00"), parse_time("20251128-18:15:00")),
    )
    assert parse_hours(text, "Central Standard Time") == spans
    assert parse_hours("", "") == ()
    with pytest.raises(BrokerError, match="unknown zone"):
        parse_hours(text, "Nowhere")
    with pytest.raises(BrokerError, match="no known format"):
        parse_hours("always", "US/Central")


@pytest.mark.parametrize(
    ("name", "parts"), [("ESZ25", ("ES", "202512")), ("MESH26", ("MES", "202603"))]
)
def test_names_are_taken_apart(name, parts):
    assert parse_name(name) == parts


def test_without_contracts_there_is_no_front_month():
    with pytest.raises(BrokerError, match="no contract to trade"):
        choose_front((), date(2025, 3, 3))


def details(con_id, symbol="ES", tick=0.25, expiry="20251219"):
    contract = Contract(
        conId=con_id,
        symbol=symbol,
        secType="FUT",
        lastTradeDateOrContractMonth=expiry,
        multiplier="50",
        localSymbol=f"{symbol}Z5",
    )
    return ContractDetails(contract=contract, minTick=tick)


def test_a_name_stands_for_exactly_one_contract():
    assert the_one("ESZ25", [details(1), details(1)]).con_id == 1
    with pytest.raises(BrokerError, match=r"ambiguous, the gateway knows ESZ5 \(1\), ESZ5 \(2\)"):
        the_one("ESZ25", [details(1), details(2)])
    with pytest.raises(BrokerError, match="answered with ESH26"):
        the_one("ESZ25", [details(1, expiry="20260320")])
    with pytest.raises(BrokerError, match="has expired or never was"):
        the_one("ESZ19", [])


def test_a_contract_with_another_tick_is_not_traded():
    with pytest.raises(BrokerError, match=r"a tick of 0\.05, 0\.25 was expected"):
        future_contract(details(1, tick=0.05))
    with pytest.raises(BrokerError, match="prices could not be trusted"):
        future_contract(details(1, symbol="CL", tick=0.01))

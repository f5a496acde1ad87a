"""Every request of a real client is read to its last field, and none with a field more or less."""

import math

import pytest
from ib_insync import (
    Contract,
    ExecutionCondition,
    ExecutionFilter,
    Future,
    LimitOrder,
    MarginCondition,
    Order,
    PercentChangeCondition,
    PriceCondition,
    TagValue,
    TimeCondition,
    VolumeCondition,
)
from ib_insync.client import Client
from ib_insync.contract import ComboLeg, DeltaNeutralContract
from ib_insync.order import OrderComboLeg, SoftDollarTier
from ib_insync.wrapper import Wrapper

from mia.gateway.protocol.requests import LAYOUTS, RequestError, read_request

VERSIONS = (157, 160, 162, 166, 169, 170, 176)
ES = Future("ES", "20250321", "CME", currency="USD", multiplier="50")


class Encoder(Client):
    """The library's own encoder; what it would write is kept."""

    def __init__(self, version):
        super().__init__(Wrapper(None))
        self._serverVersion = version
        self.connState = Client.CONNECTED
        self.written = []

    def sendMsg(self, msg):
        self.written.append(msg.encode())


def encoded(version, method, *arguments):
    encoder = Encoder(version)
    getattr(encoder, method)(*arguments)
    assert len(encoder.written) == 1
    return encoder.written[0]


REQUESTS = {
    "market_data": ("reqMktData", 7, ES, "233,101", False, False, [TagValue("a", "b")]),
    "cancel_market_data": ("cancelMktData", 7),
    "cancel_order": ("cancelOrder", 12, ""),
    "open_orders": ("reqOpenOrders",),
    "account_updates": ("reqAccountUpdates", True, "DU1"),
    "executions": ("reqExecutions", 7, ExecutionFilter(clientId=3, side="BUY")),
    "ids": ("reqIds", 1),
    "contract_details": ("reqContractDetails", 7, ES),
    "depth": ("reqMktDepth", 7, ES, 5, False, []),
    "cancel_depth": ("cancelMktDepth", 7, False),
    "news_bulletins": ("reqNewsBulletins", True),
    "cancel_news_bulletins": ("cancelNewsBulletins",),
    "log_level": ("setServerLogLevel", 5),
    "auto_open_orders": ("reqAutoOpenOrders", True),
    "all_open_orders": ("reqAllOpenOrders",),
    "managed_accounts": ("reqManagedAccts",),
    "historical_data": (
        "reqHistoricalData",
        7,
        ES,
        "",
        "1 D",
        "1 min",
        "TRADES",
        True,
        1,
        False,
        [],
    ),
    "cancel_historical_data": ("cancelHistoricalData", 7),
    "current_time": ("reqCurrentTime",),
    "realtime_bars": ("reqRealTimeBars", 7, ES, 5, "TRADES", False, []),
    "cancel_realtime_bars": ("cancelRealTimeBars", 7),
    "global_cancel": ("reqGlobalCancel",),
    "market_data_type": ("reqMarketDataType", 3),
    "positions": ("reqPositions",),
    "account_summary": ("reqAccountSummary", 7, "All", "NetLiquidation"),
    "cancel_account_summary": ("cancelAccountSummary", 7),
    "cancel_positions": ("cancelPositions",),
    "start_api": ("startApi",),
    "positions_multi": ("reqPositionsMulti", 7, "DU1", ""),
    "cancel_positions_multi": ("cancelPositionsMulti", 7),
    "account_updates_multi": ("reqAccountUpdatesMulti", 7, "DU1", "", False),
    "cancel_account_updates_multi": ("cancelAccountUpdatesMulti", 7),
    "option_parameters": ("reqSecDefOptParams", 7, "SPX", "", "IND", 416904),
    "soft_dollar_tiers": ("reqSoftDollarTiers", 7),
    "family_codes": ("reqFamilyCodes",),
    "matching_symbols": ("reqMatchingSymbols", 7, "SP"),
    "depth_exchanges": ("reqMktDepthExchanges",),
    "smart_components": ("reqSmartComponents", 7, "9c0001"),
    "news_providers": ("reqNewsProviders",),
    "head_timestamp": ("reqHeadTimeStamp", 7, ES, "TRADES", True, 1),
    "cancel_head_timestamp": ("cancelHeadTimeStamp", 7),
    "market_rule": ("reqMarketRule", 67),
    "pnl": ("reqPnL", 7, "DU1", ""),
    "cancel_pnl": ("cancelPnL", 7),
    "pnl_single": ("reqPnLSingle", 7, "DU1", "", 42),
    "cancel_pnl_single": ("cancelPnLSingle", 7),
    "historical_ticks": (
        "reqHistoricalTicks",
        7,
        ES,
        "20250310-14:30:00",
        "",
        1000,
        "TRADES",
        False,
        False,
        [],
    ),
    "tick_by_tick": ("reqTickByTickData", 7, ES, "AllLast", 0, False),
    "cancel_tick_by_tick": ("cancelTickByTickData", 7),
    "completed_orders": ("reqCompletedOrders", False),
    "user_info": ("reqUserInfo", 7),
}


def test_there_is_a_sample_of_every_request():
    assert set(REQUESTS) == {layout.name for layout in LAYOUTS.values()}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_read_to_its_last_field(name, version):
    body = encoded(version, *REQUESTS[name])
    assert read_request(body, version).name == name
    refuses_a_field_more_or_less(body, version)


def refuses_a_field_more_or_less(body, version):
    fields = body.split(b"\0")[:-1]
    with pytest.raises(RequestError, match="too many"):
        read_request(body + b"7\0", version)
    for count in range(1, len(fields)):
        with pytest.raises(RequestError):
            read_request(b"".join(field + b"\0" for field in fields[:count]), version)


def test_values_arrive_under_their_names():
    request = read_request(encoded(176, *REQUESTS["historical_ticks"]), 176)
    query = request.values.pop("query")
    assert (query.symbol, query.expiry, query.multiplier) == ("ES", "20250321", "50")
    assert request.values == {
        "request_id": 7,
        "start": "20250310-14:30:00",
        "end": "",
        "count": 1000,
        "what": "TRADES",
        "use_rth": 0,
        "ignore_size": False,
    }


def bracket_stop():
    return Order(
        orderId=12,
        action="SELL",
        totalQuantity=2,
        orderType="STP",
        auxPrice=4990.25,
        tif="GTC",
        ocaGroup="TRADE_1",
        ocaType=1,
        account="DU1",
        orderRef="TRADE_1:S",
        transmit=False,
        parentId=11,
        outsideRth=True,
    )


def everything():
    """Return an order with every optional block, and its contract: a combination."""
    order = LimitOrder("BUY", 3, 12.5, orderId=9, account="DU1", orderRef="all")
    order.deltaNeutralOrderType = "MKT"
    order.scalePriceIncrement = 0.5
    order.hedgeType, order.hedgeParam = "D", "1"
    order.algoStrategy, order.algoParams = "Adaptive", [TagValue("adaptivePriority", "Normal")]
    order.smartComboRoutingParams = [TagValue("NonGuaranteed", "1")]
    order.orderComboLegs = [OrderComboLeg(1.5), OrderComboLeg()]
    order.softDollarTier = SoftDollarTier("n", "v", "d")
    order.conditions = [
        PriceCondition(conId=1, exch="CME", price=5000.0),
        TimeCondition(time="20250310-15:00:00"),
        MarginCondition(percent=10),
        ExecutionCondition(secType="FUT", exch="CME", symbol="ES"),
        VolumeCondition(volume=5, conId=1, exch="CME"),
        PercentChangeCondition(changePercent=1.5, conId=1, exch="CME"),
    ]
    contract = Contract(secType="BAG", symbol="ES", exchange="IBKRATS", currency="USD")
    contract.comboLegs = [ComboLeg(1, 1, "BUY", "CME"), ComboLeg(2, 1, "SELL", "CME")]
    contract.deltaNeutralContract = DeltaNeutralContract(3, 0.5, 1.0)
    return contract, order


@pytest.mark.parametrize("version", VERSIONS)
def test_an_order_is_read_to_its_last_field(version):
    body = encoded(version, "placeOrder", 12, ES, bracket_stop())
    order = read_request(body, version).values["placed"].order
    assert (order.order_id, order.action, order.quantity, order.order_type) == (
        12,
        "SELL",
        2,
        "STP",
    )
    assert (order.limit_price, order.aux_price, order.tif) == (None, 4990.25, "GTC")
    assert (order.oca_group, order.oca_type, order.account) == ("TRADE_1", 1, "DU1")
    assert (order.order_ref, order.transmit, order.parent_id) == ("TRADE_1:S", False, 11)
    assert order.outside_rth
    assert not order.what_if
    refuses_a_field_more_or_less(body, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_order_with_every_optional_block_is_read_to_its_last_field(version):
    body = encoded(version, "placeOrder", 9, *everything())
    echo = read_request(body, version).values["placed"].order.echo
    assert (echo["comboLegs"], echo["comboLegs.1.action"]) == ("2", "SELL")
    assert (echo["conditions"], echo["conditions.5.changePercent"]) == ("6", "1.5")
    assert echo["algoParams.0.value"] == "Normal"
    assert echo["softDollarTier.value"] == "v"
    refuses_a_field_more_or_less(body, version)


@pytest.mark.parametrize(
    ("kind", "offset"),
    [("PEG BENCH", 0.0), ("PEG BEST", 0.25), ("PEG BEST", math.inf), ("PEG MID", 0.0)],
)
def test_pegged_orders_have_fields_of_their_own(kind, offset):
    order = Order(action="BUY", totalQuantity=1, orderType=kind)
    order.competeAgainstBestOffset = offset
    body = encoded(176, "placeOrder", 9, ES, order)
    assert read_request(body, 176).values["placed"].order.order_type == kind
    refuses_a_field_more_or_less(body, 176)


@pytest.mark.parametrize(
    ("place", "value", "name"),
    [
        (1, "x", "orderId"),
        (17, "1.5", "totalQuantity"),
        (17, "", "totalQuantity"),
        (17, "-1", "totalQuantity"),
        (17, "0", "totalQuantity"),
        (19, "nan", "lmtPrice"),
        (20, "1,5", "auxPrice"),
        (27, "2", "transmit"),
        (28, "", "parentId"),
        (33, "", "outsideRth"),
        (85, "maybe", "whatIf"),
        (90, "-1", "conditions"),
    ],
)
def test_a_field_that_is_not_what_it_should_be_is_named(place, value, name):
    fields = encoded(176, "placeOrder", 12, ES, bracket_stop()).decode().split("\0")
    fields[place] = value
    with pytest.raises(RequestError, match=name):
        read_request("\0".join(fields).encode(), 176)


def test_a_refusal_says_to_which_request_it_belongs():
    body = encoded(176, *REQUESTS["tick_by_tick"]) + b"x\0"
    with pytest.raises(RequestError) as refusal:
        read_request(body, 176)
    assert (refusal.value.message_id, refusal.value.request_id) == (97, 7)
    assert refusal.value.known


def test_a_request_that_does_not_exist_is_no_known_one():
    with pytest.raises(RequestError) as refusal:
        read_request(b"1234\x001\0", 176)
    assert not refusal.value.known

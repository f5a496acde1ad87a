"""The DTC client against a server over TCP."""

import asyncio
import struct
from contextlib import asynccontextmanager

import pytest
from dtc_server import NO_CME, DtcServer
from sierra_writer import market_block, part

from mia.core.base_types import OrderType
from mia.core.broker_types import LinkState
from mia.core.dtc.client import DtcClient
from mia.core.dtc.messages import DtcOrderStatus, Encoding, UpdateReason
from mia.core.dtc.orders import DtcOrder, DtcOrderUpdate
from mia.core.dtc.trades import TRADES
from mia.errors import BrokerError

ENCODINGS = list(Encoding)
BUY_LIMIT = DtcOrder("C1", "ESH25", "CME", 1, 3, OrderType.LIMIT, 20_000)


class Recorder:
    """A listener that remembers, and waits until something is so."""

    def __init__(self) -> None:
        self.orders, self.positions, self.trades = [], [], []
        self.links, self.notices = [], []

    def on_order(self, update):
        self.orders.append(update)

    def on_position(self, position):
        self.positions.append(position)

    def on_trade(self, trade):
        self.trades.append(trade)

    def on_link(self, state, reason):
        self.links.append((state, reason))

    def on_notice(self, text):
        self.notices.append(text)

    async def until(self, condition):
        async with asyncio.timeout(10):
            while not condition(self):
                await asyncio.sleep(0.002)

    def statuses(self):
        return [update.status for update in self.orders]


@asynccontextmanager
async def connected(server: DtcServer, account="SIM", **options):
    seen = Recorder()
    async with server.running():
        client = DtcClient(
            seen, account, port=server.port, retry_s=(0.01, 0.02), **{"heartbeat_s": 1} | options
        )
        task = asyncio.create_task(client.run())
        try:
            await seen.until(lambda _: client.ready)
            yield client, seen
            client.close()
            async with asyncio.timeout(5):
                await task
        finally:
            task.cancel()


def play(scene):
    asyncio.run(asyncio.wait_for(scene(), 30))


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("chunk", [3, 4096])
def test_an_order_from_its_sending_to_its_fill(encoding, chunk):
    server = DtcServer()
    server.chunk = chunk

    async def scene():
        async with connected(server, encoding=encoding) as (client, seen):
            client.submit(BUY_LIMIT)
            await seen.until(lambda s: s.orders)
            accepted = seen.orders[0]
            assert (accepted.client_order_id, accepted.status) == ("C1", DtcOrderStatus.OPEN)
            assert accepted.reason is UpdateReason.NEW_ORDER_ACCEPTED
            assert (accepted.price, accepted.quantity, accepted.side) == (20_000, 3, 1)
            assert accepted.last_fill_price is None
            await server.fill("S1", 1.0, 4999.75)
            await server.fill("S1", 2.0, 5000.0)
            await seen.until(lambda s: len(s.positions) == 2)
            filled = seen.orders[-1]
            assert (filled.status, filled.filled, filled.remaining) == (
                DtcOrderStatus.FILLED,
                3,
                0,
            )
            assert (filled.last_fill_quantity, filled.last_fill_price) == (2, 5000.0)
            assert filled.execution_id == "ES1.3"
            assert filled.last_fill_ms == 1_741_613_400_123
            assert [position.quantity for position in seen.positions] == [1, 3]

    play(scene)
    assert [message.name for message in server.received[:3]] == [
        "ENCODING_REQUEST",
        "LOGON_REQUEST",
        "SUBMIT_NEW_SINGLE_ORDER",
    ]
    sent = server.received[2].values
    assert (sent["Price1"], sent["TimeInForce"], sent["TradeAccount"]) == (5000.0, 1, "SIM")
    assert sent["IsAutomatedOrder"] == 1


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_orders_are_changed_cancelled_and_refused(encoding):
    server = DtcServer()

    async def scene():
        async with connected(server, encoding=encoding) as (client, seen):
            client.submit(BUY_LIMIT)
            await seen.until(lambda s: s.orders)
            client.replace("S1", "C1", price=19_990, quantity=2)
            await seen.until(lambda s: len(s.orders) == 2)
            changed = seen.orders[-1]
            assert changed.reason is UpdateReason.ORDER_CANCEL_REPLACE_COMPLETE
            assert (changed.price, changed.quantity) == (19_990, 2)
            client.cancel("S1", "C1")
            client.cancel("S9", "C9")
            client.submit(DtcOrder("C2", "UNKNOWN", "CME", -1, 1, OrderType.MARKET))
            await seen.until(lambda s: len(s.orders) == 5)
            reasons = [update.reason.name for update in seen.orders[2:]]
            assert reasons == ["ORDER_CANCELED", "ORDER_CANCEL_REJECTED", "NEW_ORDER_REJECTED"]
            assert seen.orders[-1].text == "no symbol"
            with pytest.raises(BrokerError, match="cannot be 0 at 5 ticks"):
                client.replace("S1", "C1", price=5, quantity=0)

    play(scene)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_open_orders_and_positions_are_told_whole(encoding):
    server = DtcServer()

    async def scene():
        async with connected(server, encoding=encoding) as (client, seen):
            assert await client.open_orders() == []
            assert await client.positions() == []
            for k in range(3):
                order = DtcOrder(f"L{k}", "ESH25", "CME", 1, 1, OrderType.LIMIT, 19_000 + k)
                client.submit(order)
            client.submit(DtcOrder("M", "NQH25", "CME", -1, 4, OrderType.MARKET))
            await seen.until(lambda s: s.positions)
            orders, positions = await asyncio.gather(client.open_orders(), client.positions())
            assert [order.client_order_id for order in orders] == ["L0", "L1", "L2"]
            assert [(p.symbol, p.quantity) for p in positions] == [("NQH25", -4)]

    play(scene)


def test_an_answer_with_a_missing_part_is_an_error():
    server = DtcServer()
    server.lose_a_part = True

    async def scene():
        async with connected(server) as (client, seen):
            client.submit(BUY_LIMIT)
            client.submit(DtcOrder("C2", "ESH25", "CME", 1, 3, OrderType.LIMIT, 20_000))
            await seen.until(lambda s: len(s.orders) == 2)
            with pytest.raises(BrokerError, match="gave 1 of 2 parts of an answer"):
                await client.open_orders()

    play(scene)


def test_a_rejected_request_is_an_error():
    async def scene():
        async with connected(DtcServer(), account="NOBODY") as (client, _):
            with pytest.raises(BrokerError, match="rejects: no account"):
                await client.open_orders()

    play(scene)


def test_after_a_lost_connection_the_client_logs_on_again_and_sees_its_orders():
    server = DtcServer()
    server.drop_on = {"OPEN_ORDERS_REQUEST"}

    async def scene():
        async with connected(server) as (client, seen):
            client.submit(BUY_LIMIT)
            await seen.until(lambda s: s.orders)
            with pytest.raises(BrokerError, match="the DTC connection was lost"):
                await client.open_orders()
            assert not client.ready
            with pytest.raises(BrokerError, match="nothing was sent"):
                client.submit(BUY_LIMIT)
            await seen.until(lambda _: client.ready)
            (order,) = await client.open_orders()
            assert order.client_order_id == "C1"
            states = [state for state, _ in seen.links]
            assert states == [
                LinkState.CONNECTING,
                LinkState.READY,
                LinkState.DISCONNECTED,
                LinkState.CONNECTING,
                LinkState.READY,
            ]

    play(scene)
    assert server.connections == 2


def test_silence_of_two_intervals_counts_as_a_lost_connection():
    server = DtcServer()

    async def scene():
        async with connected(server) as (client, seen):
            server.beats = False
            await seen.until(lambda s: (LinkState.DISCONNECTED, "no message in time") in s.links)
            server.beats = True
            await seen.until(lambda _: client.ready)

    play(scene)
    assert any(message.name == "HEARTBEAT" for message in server.received)


def test_a_server_that_logs_off_is_connected_to_again():
    server = DtcServer()

    async def scene():
        async with connected(server) as (client, seen):
            await server.tell_all("LOGOFF", Reason="restart")
            await seen.until(lambda s: len(s.links) == 5)
            assert seen.links[2] == (
                LinkState.DISCONNECTED,
                "the DTC server logs off: restart",
            )
            assert client.ready

    play(scene)


@pytest.mark.parametrize("result", [3, 4])
def test_a_logon_that_is_refused_for_good_ends_the_client(result):
    server = DtcServer()
    server.logon_result = result

    async def scene():
        async with server.running():
            client = DtcClient(Recorder(), "SIM", port=server.port)
            with pytest.raises(BrokerError, match="refuses the logon for good: as told"):
                await client.run()

    play(scene)


def test_a_logoff_that_asks_for_it_ends_the_client():
    server = DtcServer()

    async def scene():
        async with server.running():
            seen = Recorder()
            client = DtcClient(seen, "SIM", port=server.port)
            task = asyncio.create_task(client.run())
            await seen.until(lambda _: client.ready)
            await server.tell_all("LOGOFF", Reason="no", DoNotReconnect=1)
            with pytest.raises(BrokerError, match="asks not to connect again"):
                await task
            assert not client.ready

    play(scene)


def test_a_logon_that_is_refused_now_is_tried_again():
    server = DtcServer()
    server.logon_result = 2

    async def scene():
        async with server.running():
            seen = Recorder()
            client = DtcClient(seen, "SIM", port=server.port, retry_s=(0.01, 0.02))
            task = asyncio.create_task(client.run())
            await seen.until(lambda s: len(s.links) > 3)
            server.logon_result = 1
            await seen.until(lambda _: client.ready)
            client.close()
            await task

    play(scene)


def test_an_encoding_that_is_not_granted_is_no_connection():
    server = DtcServer()
    server.only = Encoding.BINARY

    async def scene():
        async with server.running():
            seen = Recorder()
            client = DtcClient(seen, "SIM", port=server.port, encoding=Encoding.JSON)
            task = asyncio.create_task(client.run())
            await seen.until(lambda s: len(s.links) > 1)
            assert "does not speak JSON" in seen.links[1][1]
            assert not client.ready
            client.close()
            task.cancel()

    play(scene)


def test_data_of_the_cme_is_refused_and_the_notice_says_where_it_comes_from():
    async def scene():
        async with connected(DtcServer()) as (client, seen):
            client.subscribe("ESH25", "CME")
            await seen.until(lambda s: s.notices)
            assert seen.notices[0].startswith(f"ESH25: {NO_CME}; data of CME,")
            assert "read Sierra's intraday file" in seen.notices[0]

    play(scene)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("message", sorted(TRADES))
def test_trades_of_other_exchanges_come_as_they_went_in(encoding, message):
    block = part(market_block(trades=500), slice(100))
    server = DtcServer(block)
    server.trade_message = message
    unit = {"_2": 1000, "CT": 1_000_000_000}.get(message[-2:], 1_000_000)

    async def scene():
        async with connected(server, encoding=encoding) as (client, seen):
            client.subscribe("XYZ", "TEST")
            await seen.until(lambda s: len(s.trades) == len(block))
            assert [t.ts for t in seen.trades] == (block.ts_event // unit * unit).tolist()
            assert [t.price for t in seen.trades] == (block.price / 4).tolist()
            assert [t.size for t in seen.trades] == block.size.tolist()
            assert [t.aggressor_side for t in seen.trades] == block.aggressor_side.tolist()
            assert {t.symbol for t in seen.trades} == {"XYZ"}
            assert seen.notices == []

    play(scene)


def test_messages_that_cannot_be_are_told_and_change_nothing():
    server = DtcServer()

    async def scene():
        async with connected(server) as (client, seen):
            await server.tell_all("ORDER_UPDATE", OrderStatus=77)
            await server.tell_all("ORDER_UPDATE", FilledQuantity=1.5)
            await server.tell_all("POSITION_UPDATE", Symbol="ESH25", Quantity=None)
            await server.tell_all("MARKET_DATA_UPDATE_TRADE", SymbolID=9, Price=1.0, Volume=1.0)
            server.write_all(struct.pack("<HH20x", 24, 142))
            await seen.until(lambda s: len(s.notices) == 5)
            assert seen.notices[4] == "a trade in a message of type 142 is lost"
            assert (seen.orders, seen.positions, seen.trades) == ([], [], [])
            assert client.ready

    play(scene)


def test_a_price_off_the_grid_is_no_price():
    values = dict.fromkeys(
        ("ServerOrderID", "ClientOrderID", "Symbol", "TradeAccount", "InfoText"), ""
    )
    values |= {"OrderStatus": 4, "OrderUpdateReason": 2, "BuySell": 2, "OrderQuantity": None}
    values |= {"FilledQuantity": None, "RemainingQuantity": None, "AverageFillPrice": None}
    values |= {"LastFillPrice": None, "LastFillQuantity": None, "LastFillDateTime": 0}
    values |= {"LastFillExecutionID": "", "Price1": 5000.1}
    update = DtcOrderUpdate.of(values)
    assert (update.price, update.side, update.quantity) == (None, -1, None)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (DtcOrder("C", "ES", "CME", 0, 1, OrderType.MARKET), "side 0 and quantity 1"),
        (DtcOrder("C", "ES", "CME", 1, 0, OrderType.MARKET), "side 1 and quantity 0"),
        (DtcOrder("C", "ES", "CME", 1, 1, OrderType.LIMIT), "price must be at least 1 tick"),
        (DtcOrder("C", "ES", "CME", 1, 1, OrderType.STOP_LIMIT, 9), "limit must be at least 1"),
        (DtcOrder("", "ES", "CME", 1, 1, OrderType.MARKET), "must have an id"),
        (
            DtcOrder("C", "ES", "CME", 1, 1, OrderType.MARKET, time_in_force="IOC"),
            "must be DAY or GTC",
        ),
        (DtcOrder("C" * 40, "ES", "CME", 1, 1, OrderType.MARKET), "more than 31: nothing was"),
    ],
)
def test_an_order_that_cannot_be_is_not_sent(order, message):
    server = DtcServer()

    async def scene():
        async with connected(server) as (client, _):
            with pytest.raises(BrokerError, match=message):
                client.submit(order)

    play(scene)
    assert not any(name == "SUBMIT_NEW_SINGLE_ORDER" for name, _ in server.received)


def test_a_stop_limit_order_has_both_its_prices():
    order = DtcOrder("C", "ES", "CME", -1, 1, OrderType.STOP_LIMIT, 19_000, 18_998, "GTC")
    values = order.values("SIM")
    assert (values["Price1"], values["Price2"], values["TimeInForce"]) == (4750.0, 4749.5, 2)
    assert (values["OrderType"], values["BuySell"]) == (4, 2)

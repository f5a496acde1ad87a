"""A DTC server over real TCP that keeps orders and positions and streams a tape."""

import asyncio
from contextlib import asynccontextmanager

from mia.core.dtc.codec import DtcFrames, decode, encode
from mia.core.dtc.messages import Encoding

FILLED, OPEN, CANCELED, REJECTED, PARTIAL = 7, 4, 8, 9, 10
NO_CME = "It is not possible to access real-time data from the CME Group"


class DtcServer:
    """Takes any number of connections; orders and positions outlive them.

    Attributes
    ----------
    received : list of (str, dict)
        Messages of clients, in order.
    logon_result : int
        1 accepts.
    beats : bool
        Whether heartbeats are sent.
    only : Encoding or None
        The one encoding that is granted; None grants what is asked for.
    trade_message : str
        Which message the trades of the tape come in.
    """

    def __init__(self, block=None) -> None:
        self.block = block
        self.received = []
        self.logon_result = 1
        self.beats = True
        self.beat_s = 0.05
        self.only: Encoding | None = None
        self.trade_message = "MARKET_DATA_UPDATE_TRADE_WITH_UNBUNDLED_INDICATOR_2"
        self.chunk = 4096
        self.orders: dict[str, dict] = {}
        self.positions: dict[str, float] = {}
        self.connections = 0
        self.port = 0
        self.lose_a_part = False
        self.drop_on: set[str] = set()
        self._links: set[_Link] = set()

    @asynccontextmanager
    async def running(self):
        server = await asyncio.start_server(self._handle, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.drop()
            await asyncio.sleep(0)

    def drop(self) -> None:
        """Cut all connections."""
        for link in list(self._links):
            link.writer.close()

    async def _handle(self, reader, writer):
        self.connections += 1
        link = _Link(self, writer)
        self._links.add(link)
        beat = asyncio.create_task(link.beat())
        try:
            while data := await reader.read(4096):
                link.frames.feed(data)
                while (frame := link.frames.next()) is not None:
                    message = decode(link.frames.encoding, frame)
                    self.received.append(message)
                    if message.name in self.drop_on:
                        self.drop_on.discard(message.name)
                        return
                    await link.take(*message)
        except ConnectionError:
            pass
        finally:
            beat.cancel()
            self._links.discard(link)
            writer.close()

    async def tell_all(self, name, **values):
        for link in list(self._links):
            await link.send(name, **values)

    def write_all(self, data: bytes) -> None:
        """Send bytes as they are."""
        for link in self._links:
            link.writer.write(data)

    async def fill(self, server_order_id: str, quantity: float, price: float):
        """Fill a part of an order."""
        order = self.orders[server_order_id]
        order["FilledQuantity"] += quantity
        order["RemainingQuantity"] -= quantity
        done = order["RemainingQuantity"] == 0
        order |= {
            "OrderStatus": FILLED if done else OPEN,
            "OrderUpdateReason": 4 if done else 5,
            "LastFillPrice": price,
            "LastFillQuantity": quantity,
            "AverageFillPrice": price,
            "LastFillDateTime": 1_741_613_400_123,
            "LastFillExecutionID": f"E{server_order_id}.{order['FilledQuantity']:g}",
        }
        signed = quantity if order["BuySell"] == 1 else -quantity
        symbol = order["Symbol"]
        self.positions[symbol] = self.positions.get(symbol, 0.0) + signed
        await self.tell_all("ORDER_UPDATE", **order)
        await self.tell_all(
            "POSITION_UPDATE",
            Symbol=symbol,
            Quantity=self.positions[symbol],
            AveragePrice=price,
            TradeAccount=order["TradeAccount"],
            Unsolicited=1,
        )


class _Link:
    """One connection."""

    def __init__(self, server: DtcServer, writer) -> None:
        self.server = server
        self.writer = writer
        self.frames = DtcFrames()
        self.logged_on = False
        self._lock = asyncio.Lock()

    async def send(self, name, **values):
        data = encode(self.frames.encoding, name, values)
        step = self.server.chunk
        async with self._lock:
            for k in range(0, len(data), step):
                self.writer.write(data[k : k + step])
                await self.writer.drain()
                if step < 100:
                    await asyncio.sleep(0)

    async def beat(self):
        while True:
            await asyncio.sleep(self.server.beat_s)
            if self.server.beats and self.logged_on:
                await self.send("HEARTBEAT", CurrentDateTime=1)

    async def take(self, name, values):
        handler = getattr(self, f"_{name.lower()}", None)
        if handler is not None:
            await handler(values)

    async def _encoding_request(self, values):
        only = self.server.only
        granted = values["Encoding"] if only is None else int(only)
        await self.send(
            "ENCODING_RESPONSE", ProtocolVersion=8, Encoding=granted, ProtocolType="DTC"
        )
        self.frames.encoding = Encoding(granted)

    async def _logon_request(self, values):
        self.logged_on = self.server.logon_result == 1
        await self.send(
            "LOGON_RESPONSE",
            ProtocolVersion=8,
            Result=self.server.logon_result,
            ResultText="as told",
            TradingIsSupported=1,
        )

    async def _submit_new_single_order(self, values):
        number = f"S{len(self.server.orders) + 1}"
        names = ("Symbol", "Exchange", "TradeAccount", "ClientOrderID", "OrderType", "BuySell")
        order = {name: values[name] for name in (*names, "Price1", "Price2", "TimeInForce")}
        quantity = values["Quantity"]
        order |= {
            "ServerOrderID": number,
            "OrderStatus": OPEN,
            "OrderUpdateReason": 2,
            "OrderQuantity": quantity,
            "FilledQuantity": 0.0,
            "RemainingQuantity": quantity,
        }
        if values["Symbol"] == "UNKNOWN":
            order |= {"OrderStatus": REJECTED, "OrderUpdateReason": 8, "InfoText": "no symbol"}
            await self.send("ORDER_UPDATE", **order)
            return
        self.server.orders[number] = order
        await self.send("ORDER_UPDATE", **order)
        if values["OrderType"] == 1:
            await self.server.fill(number, quantity, 5000.25)

    async def _cancel_order(self, values):
        order = self.server.orders.get(values["ServerOrderID"])
        if order is None or order["OrderStatus"] != OPEN:
            await self.send(
                "ORDER_UPDATE",
                ServerOrderID=values["ServerOrderID"],
                ClientOrderID=values["ClientOrderID"],
                OrderUpdateReason=9,
                InfoText="not open",
            )
            return
        order |= {"OrderStatus": CANCELED, "OrderUpdateReason": 6}
        await self.send("ORDER_UPDATE", **order)

    async def _cancel_replace_order(self, values):
        order = self.server.orders[values["ServerOrderID"]]
        order |= {
            "Price1": values["Price1"],
            "OrderQuantity": values["Quantity"],
            "RemainingQuantity": values["Quantity"] - order["FilledQuantity"],
            "OrderUpdateReason": 7,
        }
        await self.send("ORDER_UPDATE", **order)

    async def _open_orders_request(self, values):
        request = values["RequestID"]
        if values["TradeAccount"] == "NOBODY":
            await self.send("OPEN_ORDERS_REJECT", RequestID=request, RejectText="no account")
            return
        found = [order for order in self.server.orders.values() if order["OrderStatus"] == OPEN]
        if not found:
            await self.send(
                "ORDER_UPDATE", RequestID=request, TotalNumMessages=1, MessageNumber=1, NoOrders=1
            )
        for k, order in enumerate(found, 1):
            if self.server.lose_a_part and k == 1:
                continue
            place = {"RequestID": request, "TotalNumMessages": len(found), "MessageNumber": k}
            await self.send("ORDER_UPDATE", **(order | place | {"OrderUpdateReason": 1}))

    async def _current_positions_request(self, values):
        request = values["RequestID"]
        held = [(symbol, size) for symbol, size in self.server.positions.items() if size]
        if not held:
            await self.send(
                "POSITION_UPDATE",
                RequestID=request,
                TotalNumberMessages=1,
                MessageNumber=1,
                NoPositions=1,
            )
        for k, (symbol, size) in enumerate(held, 1):
            await self.send(
                "POSITION_UPDATE",
                RequestID=request,
                TotalNumberMessages=len(held),
                MessageNumber=k,
                Symbol=symbol,
                Quantity=size,
                AveragePrice=5000.25,
                TradeAccount=values["TradeAccount"],
            )

    async def _market_data_request(self, values):
        number = values["SymbolID"]
        if values["Exchange"] != "TEST":
            await self.send("MARKET_DATA_REJECT", SymbolID=number, RejectText=NO_CME)
            return
        block = self.server.block
        columns = (block.ts_event, block.price, block.size, block.aggressor_side)
        for ts, price, size, side in zip(*(c.tolist() for c in columns), strict=True):
            name = self.server.trade_message
            at = ts // 1000 if name.endswith("_2") else ts // 1_000_000 / 1000
            if name.endswith("COMPACT"):
                at = ts // 1_000_000_000
            await self.send(
                name,
                SymbolID=number,
                Price=price / 4,
                Volume=size,
                DateTime=at,
                AtBidOrAsk={1: 2, -1: 1, 0: 0}[side],
            )

    async def _logoff(self, values):
        self.writer.close()

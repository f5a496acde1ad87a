"""A client of Sierra Chart's DTC server: orders and positions.

Sierra's server answers programs on the same machine only. Data of CME, EUREX, NASDAQ and Cboe
and of US shares does not come over DTC: such requests are rejected, in real time and for
history alike. Trades of ES come from the intraday file (`mia.core.sierra_connector`).
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from mia.config.instruments import TICK
from mia.core.broker_types import LinkState
from mia.core.dtc.codec import DtcFrames, DtcMessage, decode, encode
from mia.core.dtc.layout import Values
from mia.core.dtc.messages import PROTOCOL_VERSION, Encoding, LogonStatus
from mia.core.dtc.orders import DtcListener, DtcOrder, DtcOrderUpdate, DtcPosition
from mia.core.dtc.trades import NOT_READ, TRADES, DtcTrade
from mia.errors import BrokerError, FormatError

PORT = 11_099
READ_BYTES = 1 << 16
ANSWER_S = 5.0
SUBSCRIBE = 1
NO_CME = (
    "data of CME, EUREX, NASDAQ and Cboe does not come over DTC: "
    "read Sierra's intraday file (feed = sierra)"
)


class DtcClient:
    """One connection, taken up again after every loss until `close`.

    Parameters
    ----------
    listener : DtcListener
        Told what comes.
    account : str
        Trade account of orders and requests.
    host, port
        Where the server listens.
    username, password : str
        Empty for a server on this machine.
    encoding : Encoding
        Asked for before the logon.
    heartbeat_s : int
        Interval of heartbeats in both directions; after two of them without a message the
        connection counts as dead.
    retry_s : (float, float)
        First and longest pause between attempts to connect.
    now : callable
        Seconds since 1970 for heartbeats.

    Raises
    ------
    ValueError
        If the interval is less than a second.
    """

    def __init__(
        self,
        listener: DtcListener,
        account: str,
        *,
        host: str = "127.0.0.1",
        port: int = PORT,
        username: str = "",
        password: str = "",
        encoding: Encoding = Encoding.BINARY,
        heartbeat_s: int = 10,
        retry_s: tuple[float, float] = (0.5, 8.0),
        now: Callable[[], float] = time.time,
    ) -> None:
        if heartbeat_s < 1:
            raise ValueError(f"heartbeat_s must be at least 1, was {heartbeat_s}")
        self._listener = listener
        self._account = account
        self._host, self._port = host, port
        self._user = username, password
        self._encoding = encoding
        self._heartbeat_s = heartbeat_s
        self._retry_s = retry_s
        self._now = now
        self._frames = DtcFrames()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._ready = False
        self._closed = False
        self._requests = count(1)
        self._symbol_ids = count(1)
        self._pending: dict[int, tuple[asyncio.Future[list[Any]], list[Any]]] = {}
        self._symbols: dict[int, tuple[str, str]] = {}

    @property
    def ready(self) -> bool:
        """Whether the server has accepted the logon and the connection stands."""
        return self._ready

    async def run(self) -> None:
        """Connect, log on and take messages, again after every loss, until `close`.

        Raises
        ------
        BrokerError
            If the server refuses the logon for good, or logs off and asks not to connect again.
        """
        pause, longest = self._retry_s
        while not self._closed:
            reason = "closed"
            try:
                await self._session()
            except (OSError, FormatError) as error:
                reason = str(error) or "no message in time"
            finally:
                was_ready = self._ready
                self._hang_up(reason)
            if self._closed:
                break
            pause = self._retry_s[0] if was_ready else pause
            await asyncio.sleep(pause)
            pause = min(longest, 2.0 * pause)

    def close(self) -> None:
        """Log off and end `run`."""
        self._closed = True
        if self._ready:
            self._send("LOGOFF", {"Reason": "closed by the client"})
        if self._writer is not None:
            self._writer.close()

    def submit(self, order: DtcOrder) -> None:
        """Send an order.

        Raises
        ------
        BrokerError
            If there is no connection, or the order cannot be. Nothing was sent then.
        """
        try:
            values = order.values(self._account)
        except ValueError as error:
            raise BrokerError(f"order {order.client_order_id}: {error}") from None
        self._send_ready("SUBMIT_NEW_SINGLE_ORDER", values)

    def cancel(self, server_order_id: str, client_order_id: str) -> None:
        """Ask to cancel an order.

        Raises
        ------
        BrokerError
            If there is no connection. Nothing was sent then.
        """
        values = {
            "ServerOrderID": server_order_id,
            "ClientOrderID": client_order_id,
            "TradeAccount": self._account,
        }
        self._send_ready("CANCEL_ORDER", values)

    def replace(
        self, server_order_id: str, client_order_id: str, *, price: int, quantity: int
    ) -> None:
        """Ask to change price (ticks) and quantity of an order.

        Raises
        ------
        BrokerError
            If there is no connection, or price or quantity are less than 1. Nothing was sent
            then.
        """
        if price < 1 or quantity < 1:
            raise BrokerError(f"order {client_order_id} cannot be {quantity} at {price} ticks")
        values = {
            "ServerOrderID": server_order_id,
            "ClientOrderID": client_order_id,
            "Price1": price * TICK,
            "Price1IsSet": 1,
            "Price2": 0.0,
            "Quantity": float(quantity),
            "TradeAccount": self._account,
        }
        self._send_ready("CANCEL_REPLACE_ORDER", values)

    async def open_orders(self) -> list[DtcOrderUpdate]:
        """Ask for the orders that are open.

        Raises
        ------
        BrokerError
            If there is no connection, or no complete answer in time.
        """
        request = {"RequestAllOrders": 1, "TradeAccount": self._account}
        return await self._ask("OPEN_ORDERS_REQUEST", request)

    async def positions(self) -> list[DtcPosition]:
        """Ask for the positions; errors as of `open_orders`."""
        return await self._ask("CURRENT_POSITIONS_REQUEST", {"TradeAccount": self._account})

    def subscribe(self, symbol: str, exchange: str) -> None:
        """Ask for the trades of a symbol; a rejection comes as a notice.

        Raises
        ------
        BrokerError
            If there is no connection. Nothing was sent then.
        """
        number = next(self._symbol_ids)
        self._watch(number, symbol, exchange)
        self._symbols[number] = symbol, exchange

    def _watch(self, number: int, symbol: str, exchange: str) -> None:
        values = {
            "RequestAction": SUBSCRIBE,
            "SymbolID": number,
            "Symbol": symbol,
            "Exchange": exchange,
        }
        self._send_ready("MARKET_DATA_REQUEST", values)

    async def _ask(self, name: str, values: Values) -> list[Any]:
        number = next(self._requests)
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._send_ready(name, {"RequestID": number, **values})
        self._pending[number] = future, []
        try:
            async with asyncio.timeout(ANSWER_S):
                return await future
        except TimeoutError:
            raise BrokerError(f"the DTC server gave no complete answer to {name}") from None
        finally:
            self._pending.pop(number, None)

    def _send_ready(self, name: str, values: Values) -> None:
        if not self._ready:
            raise BrokerError("there is no connection to the DTC server: nothing was sent")
        try:
            self._send(name, values)
        except FormatError as error:
            raise BrokerError(f"{error}: nothing was sent") from None

    def _send(self, name: str, values: Values) -> None:
        if self._writer is not None:
            self._writer.write(encode(self._frames.encoding, name, values))

    async def _session(self) -> None:
        self._listener.on_link(LinkState.CONNECTING, f"{self._host}:{self._port}")
        async with asyncio.timeout(ANSWER_S):
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
            self._frames = DtcFrames()
            await self._agree()
            await self._log_on()
        self._ready = True
        self._listener.on_link(LinkState.READY, "logged on")
        for number, (symbol, exchange) in self._symbols.items():
            self._watch(number, symbol, exchange)
        beat = asyncio.create_task(self._beat())
        try:
            while not self._closed:
                async with asyncio.timeout(2.0 * self._heartbeat_s):
                    message = await self._next()
                self._take(message)
        finally:
            beat.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await beat

    async def _agree(self) -> None:
        """Ask for the encoding; the request is binary whatever it asks for."""
        values = {"ProtocolVersion": PROTOCOL_VERSION, "ProtocolType": "DTC"}
        self._send("ENCODING_REQUEST", {**values, "Encoding": int(self._encoding)})
        message = await self._next()
        granted = message.values.get("Encoding")
        if message.name != "ENCODING_RESPONSE" or granted != self._encoding:
            raise FormatError(
                f"the DTC server does not speak {self._encoding.name}: it answers "
                f"{message.name or 'an unknown message'} with encoding {granted}"
            )
        self._frames.encoding = self._encoding

    async def _log_on(self) -> None:
        username, password = self._user
        values = {
            "ProtocolVersion": PROTOCOL_VERSION,
            "Username": username,
            "Password": password,
            "HeartbeatIntervalInSeconds": self._heartbeat_s,
            "TradeAccount": self._account,
            "ClientName": "MIA",
        }
        self._send("LOGON_REQUEST", values)
        while (message := await self._next()).name != "LOGON_RESPONSE":
            pass
        result, text = message.values["Result"], message.values["ResultText"]
        if result == LogonStatus.ERROR:
            raise ConnectionRefusedError(f"the DTC server refuses the logon: {text}")
        if result != LogonStatus.SUCCESS:
            self._closed = True
            raise BrokerError(f"the DTC server refuses the logon for good: {text}")
        if not message.values["TradingIsSupported"]:
            self._listener.on_notice("the DTC server does not take orders")

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            self._send("HEARTBEAT", {"CurrentDateTime": int(self._now())})

    async def _next(self) -> DtcMessage:
        """Return the next message."""
        while (frame := self._frames.next()) is None:
            if self._reader is None:
                raise ConnectionResetError("there is no connection")
            data = await self._reader.read(READ_BYTES)
            if not data:
                raise ConnectionResetError("the DTC server closed the connection")
            self._frames.feed(data)
        return decode(self._frames.encoding, frame)

    def _take(self, message: DtcMessage) -> None:
        name, values = message
        try:
            if name == "ORDER_UPDATE":
                self._order(values)
            elif name == "POSITION_UPDATE":
                self._position(values)
            elif name in TRADES:
                self._trade(name, values)
            elif name in {"OPEN_ORDERS_REJECT", "CURRENT_POSITIONS_REJECT"}:
                self._reject(values)
            elif name == "MARKET_DATA_REJECT":
                symbol = self._symbols.pop(values["SymbolID"], ("?", ""))[0]
                self._listener.on_notice(f"{symbol}: {values['RejectText']}; {NO_CME}")
            elif values.get("Type") in NOT_READ:
                self._listener.on_notice(f"a trade in a message of type {values['Type']} is lost")
            elif name == "LOGOFF":
                text = f"the DTC server logs off: {values['Reason']}"
                if values["DoNotReconnect"]:
                    self._closed = True
                    raise BrokerError(f"{text}, and asks not to connect again")
                raise ConnectionResetError(text)
        except ValueError as error:
            self._listener.on_notice(f"{name} cannot be read: {error}")

    def _order(self, values: Values) -> None:
        update = None if values["NoOrders"] else DtcOrderUpdate.of(values)
        if update is not None:
            self._listener.on_order(update)
        self._answer(
            values["RequestID"], update, values["MessageNumber"], values["TotalNumMessages"]
        )

    def _position(self, values: Values) -> None:
        position = None if values["NoPositions"] else DtcPosition.of(values)
        if position is not None:
            self._listener.on_position(position)
        number, total = values["MessageNumber"], values["TotalNumberMessages"]
        self._answer(values["RequestID"], position, number, total)

    def _answer(self, request: int, part: Any, number: int, total: int) -> None:
        if request not in self._pending:
            return
        future, parts = self._pending[request]
        if part is not None:
            parts.append(part)
        if (part is None or number >= total) and not future.done():
            if part is not None and len(parts) != total:
                text = f"the DTC server gave {len(parts)} of {total} parts of an answer"
                future.set_exception(BrokerError(text))
            else:
                future.set_result(parts)

    def _reject(self, values: Values) -> None:
        future, _ = self._pending.get(values["RequestID"], (None, None))
        if future is not None and not future.done():
            future.set_exception(BrokerError(f"the DTC server rejects: {values['RejectText']}"))

    def _trade(self, name: str, values: Values) -> None:
        symbol = self._symbols.get(values["SymbolID"], ("", ""))[0]
        if not symbol:
            raise ValueError(f"symbol id {values['SymbolID']} was not asked for")
        self._listener.on_trade(DtcTrade.of(name, values, symbol))

    def _hang_up(self, reason: str) -> None:
        self._ready = False
        if self._writer is not None:
            self._writer.close()
            self._reader = self._writer = None
        for future, _ in self._pending.values():
            if not future.done():
                future.set_exception(BrokerError(f"the DTC connection was lost: {reason}"))
        self._listener.on_link(LinkState.DISCONNECTED, reason)

"""The parts of a connection put together, and how what comes in reaches its listeners."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from mia.core.broker_types import (
    BrokerSnapshot,
    LinkState,
    MarketListener,
    Notice,
    OrderListener,
    PositionReport,
)
from mia.core.ibkr.account import Account, Receiver
from mia.core.ibkr.backend import load_backend
from mia.core.ibkr.directory import Directory
from mia.core.ibkr.endpoint import Endpoint
from mia.core.ibkr.history import History
from mia.core.ibkr.link import Gates, Step
from mia.core.ibkr.market import MarketData
from mia.core.ibkr.messages import UNREADABLE, read_notice
from mia.core.ibkr.order_forms import OrderForms
from mia.core.ibkr.orders import FIRST_REQUEST_ID
from mia.core.ibkr.session import Session
from mia.core.ibkr.wire_time import SECOND
from mia.errors import BrokerError

# Where a message that concerns orders bears their id.
_ORDER_ID_AT = {"3": 1, "5": 1, "11": 2}
_ACCOUNT_MESSAGES = {"3", "4", "5", "11", "59", "61", "101"}
_WARNINGS = {399, 404, 10090, 10167, 10197}
_VALIDATION = 321
_LIVE = 1

Reconcile = Callable[[BrokerSnapshot], Awaitable[None]]


class IbkrConnection:
    """One client id at a gateway, without the calls of `IbkrConnector`.

    Listeners are called from the socket, synchronously and in its order. What a listener raises
    ends the connection: see `wait_closed`.

    Parameters
    ----------
    endpoint : Endpoint
    orders : OrderListener, optional
        Told statuses, orders, executions, commissions and notices of the account. Answers to
        questions are among them: it has to bear hearing things twice.
    market : MarketListener, optional
        Told ticks of what is subscribed.
    backend : str
        Client library, ``ib_insync`` or ``ib_async``.
    reconcile : callable, optional
        Coroutine function that is given a complete snapshot each time before the connection
        becomes READY: after connecting, reconnecting, 1101, 1102 and a silence. Orders may be
        placed while it runs. What it raises keeps the connection from becoming READY if it is
        a BrokerError, and ends it otherwise.
    order_id_floor : int
        Highest order id that this client is known to have used: ids of a gateway can go back.
    clock : callable, optional
        ns UTC; for data and executions without a readable time of their own. In lock-step it is
        the latest time of the market instead.
    market_open : callable, optional
        Whether ticks are to be expected.
    on_notice, on_server_time : callable, optional
        Given every notice, those of ours with negative codes included; and the gateway's time
        in ns UTC, which the market listener is told in any case.

    Raises
    ------
    BrokerError
        If the client library is missing.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        orders: OrderListener | None = None,
        market: MarketListener | None = None,
        backend: str = "ib_insync",
        reconcile: Reconcile | None = None,
        order_id_floor: int = 0,
        clock: Callable[[], int] = time.time_ns,
        market_open: Callable[[], bool] = lambda: True,
        on_notice: Callable[[Notice], None] | None = None,
        on_server_time: Callable[[int], None] | None = None,
    ) -> None:
        self.backend = load_backend(backend)
        self._orders = orders
        self._market_listener = market
        self._reconcile = reconcile
        self._clock = clock
        self._on_notice = on_notice
        self._on_server_time = on_server_time
        self._highest_order_id = order_id_floor
        self._server_time = 0
        self._read_only = False
        self._new_socket = True
        if orders is None:
            # Nothing to keep room for: data may have the whole pace.
            endpoint = replace(endpoint, messages=replace(endpoint.messages, kept_for_orders=0))
        receiver = Receiver()
        session = Session(endpoint, self.backend, receiver, self._on_link, self._sync)
        session.on_step = self._on_step
        session.on_beat = self._on_beat
        session.on_socket = self._on_socket
        session.on_unreadable = self._on_unreadable
        session.handle(4, read_notice, self._take_notice)
        session.handle(9, lambda fields: int(fields[2]), self._take_valid_id)
        session.handle(15, lambda fields: _accounts(fields[2]), session.take_hello)
        session.handle(49, lambda fields: int(fields[2]) * SECOND, self._take_time)
        self._session = session
        self._account = Account(
            session, self.backend, receiver, orders, self._now, self._take_own_notice
        )
        self._forms = OrderForms(self.backend, session.client)
        self._directory = Directory(session, self.backend, receiver)
        self._history = History(session, self.backend)
        self._market = (
            None
            if market is None
            else MarketData(session, self.backend, market, self._now, market_open)
        )

    @property
    def endpoint(self) -> Endpoint:
        """Where it connects."""
        return self._session.endpoint

    @property
    def state(self) -> LinkState:
        """State of the connection."""
        return self._session.link.state

    @property
    def reason(self) -> str:
        """Why the state is what it is."""
        return self._session.link.reason

    @property
    def server_version(self) -> int:
        """Version of the protocol that was agreed on."""
        return self._session.version

    @property
    def positions(self) -> Mapping[int, PositionReport]:
        """Latest positions by con id, as pushed since the last snapshot."""
        return self._account.positions

    @property
    def is_live_data(self) -> bool:
        """Whether nothing subscribed was answered with frozen or delayed data."""
        return self._market is None or self._market.is_live

    def gates(self, *, market_open: bool = True) -> Gates:
        """Return what stands at the moment."""
        return self._session.link.gates(self._session.monotonic(), market_open=market_open)

    async def connect(self) -> None:
        """Connect and keep connected until `disconnect`.

        Returns when the connection is READY, or DEGRADED if the gateway has no connection to
        the broker.

        Raises
        ------
        BrokerError
            One line: what is wrong and what to do about it.
        """
        await self._session.connect()
        if self._orders is not None and self._session.client.isConnected():
            self._forms.prepare()

    async def disconnect(self) -> None:
        """Close the connection."""
        await self._session.disconnect()

    async def wait_closed(self) -> None:
        """Wait until the connection is closed for good.

        Raises
        ------
        Exception
            What a listener raised, or BrokerError if the gateway forbids going on.
        """
        await self._session.wait_closed()

    async def _sync(self) -> None:
        if self._orders is not None or self._reconcile is not None:
            snapshot = await self._account.snapshot()
            if not snapshot.complete:
                raise BrokerError(
                    "the gateway did not tell orders and positions in full: trading would be blind"
                )
            self._raise_order_id(self._account.highest_order_id)
            if self._reconcile is not None:
                self._session.hook_runs = True
                try:
                    await self._reconcile(snapshot)
                finally:
                    self._session.hook_runs = False
        if self._market is not None and self._new_socket:
            await self._session.ready()
            self._session.client.reqMarketDataType(_LIVE)
            self._new_socket = False
            self._market.reopen(new_socket=True)

    def _on_socket(self) -> None:
        self._new_socket = True
        self._read_only = False

    def _on_step(self, step: Step) -> None:
        if self._market is None:
            return
        if step is Step.RESUBSCRIBE:
            self._market.reopen(new_socket=False)
        else:
            self._market.expect()

    def _on_beat(self, now: float) -> None:
        if self._market is not None and not self._new_socket:
            self._market.beat(now)

    def _on_link(self, state: LinkState, reason: str) -> None:
        if self._orders is not None:
            self._orders.on_link(state, reason)
        if self._market_listener is not None:
            self._market_listener.on_link(state, reason)

    def _take_notice(self, notice: Notice) -> None:
        session = self._session
        if self._market is not None and self._market.take_notice(notice):
            # Codes as 10182 and 10197 are told of one subscription and concern the connection.
            session.take_notice(notice)
        elif (
            notice.code in _WARNINGS
            or 2100 <= notice.code < 2200
            or not session.requests.refuse(notice)
        ):
            session.take_notice(notice)
        if notice.code == _VALIDATION and "read-only" in notice.text.lower():
            self._read_only = True
        if self._orders is not None and notice.request_id < FIRST_REQUEST_ID:
            self._orders.on_notice(notice)
        if self._on_notice is not None:
            self._on_notice(notice)

    def _take_own_notice(self, notice: Notice) -> None:
        if self._orders is not None:
            self._orders.on_notice(notice)
        if self._on_notice is not None:
            self._on_notice(notice)

    def _on_unreadable(self, fields: list[str], error: Exception) -> None:
        """Say that something could not be read; about orders, find out what it was."""
        kind = fields[0]
        if kind not in _ACCOUNT_MESSAGES:
            request_id = -1
        else:
            self._account.unreadable += 1
            at = _ORDER_ID_AT.get(kind, len(fields))
            known = at < len(fields) and fields[at].isdecimal()
            request_id = int(fields[at]) if known else -1
        text = f"message {kind} cannot be read ({error!r}): {','.join(fields[:30])}"
        self._take_own_notice(Notice(request_id, UNREADABLE, text))
        if kind in _ACCOUNT_MESSAGES and kind != "101":
            self._session.do(self._session.link.doubt(f"message {kind} could not be read"))

    def _take_valid_id(self, order_id: int) -> None:
        self._session.take_hello(order_id=order_id)

    def _take_time(self, ts: int) -> None:
        self._server_time = ts
        if not self.endpoint.lockstep:
            self._session.do(self._session.link.answered())
        if self._market_listener is not None:
            self._market_listener.on_server_time(ts)
        if self._on_server_time is not None:
            self._on_server_time(ts)

    def _now(self) -> int:
        if not self.endpoint.lockstep:
            return self._clock()
        ticked = 0 if self._market is None else self._market.reader.last_ts
        return max(self._server_time, ticked)

    def _raise_order_id(self, order_id: int) -> None:
        self._highest_order_id = max(self._highest_order_id, order_id)


def _is_warning(code: int) -> bool:
    return code in _WARNINGS or 2100 <= code < 2200


def _accounts(text: str) -> Sequence[str]:
    return [account for account in text.split(",") if account]

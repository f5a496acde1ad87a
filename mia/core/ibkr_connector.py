"""A connection to TWS or IB Gateway: one client id, orders out, reports and market data in."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from mia.core.broker_types import BrokerSnapshot, MarginChange, OrderTicket
from mia.core.ibkr.connection import IbkrConnection
from mia.core.ibkr.contracts import (
    FUTURES_EXCHANGE,
    LAST_DAYS,
    FutureContract,
    OptionSeries,
    is_root,
)
from mia.core.ibkr.endpoint import Endpoint
from mia.core.ibkr.history import HistoricalBars, HistoricalQuotes, HistoricalTrades
from mia.core.ibkr.market import MarketData
from mia.core.ibkr.options import OptionGreeks, OptionLines, OptionListener
from mia.core.ibkr.orders import FIRST_REQUEST_ID, check_ticket
from mia.core.ibkr.streams import DepthBook
from mia.errors import BrokerError

__all__ = ["Endpoint", "IbkrConnector"]


class IbkrConnector(IbkrConnection):
    """One client id at a gateway; implements `OrderWire`. Made as `IbkrConnection` says."""

    def next_order_id(self) -> int:
        """Return an id that was never used before by this client.

        Raises
        ------
        BrokerError
            If the gateway has not told where to begin, or ids have run out.
        """
        if not self._session.valid_order_id:
            raise BrokerError("no order id yet: the gateway tells the first one on connecting")
        self._highest_order_id = max(self._highest_order_id + 1, self._session.valid_order_id)
        if self._highest_order_id >= FIRST_REQUEST_ID:
            raise BrokerError("order ids have run out: reset them at the gateway")
        return self._highest_order_id

    def place(self, ticket: OrderTicket) -> None:
        """Send an order, or a change of it if the id is alive; its bytes leave in this call.

        Raises
        ------
        BrokerError
            If it is malformed, or the connection cannot take it now. Nothing was sent then.
        """
        check_ticket(ticket, self.endpoint.account)
        self._order_gate()
        self._raise_order_id(ticket.order_id)
        message = self._forms.encode(ticket, self._exchange(ticket.con_id))
        self._session.client.sendMsg(message)

    def cancel(self, order_id: int) -> None:
        """Ask to cancel an order; the bytes leave in this call.

        Raises
        ------
        BrokerError
            If the connection cannot take it now. Nothing was sent then.
        """
        if not 0 < order_id < FIRST_REQUEST_ID:
            raise BrokerError(f"order {order_id} is not one of this client: nothing was sent")
        self._order_gate()
        self._session.client.cancelOrder(order_id)

    async def what_if(self, ticket: OrderTicket) -> MarginChange:
        """Ask what an order would do to the margin; no order is created.

        Raises
        ------
        BrokerError
            If the order is malformed, refused, or cannot be asked about now.
        """
        check_ticket(ticket, self.endpoint.account)
        self._order_gate()
        self._raise_order_id(ticket.order_id)
        return await self._account.what_if(ticket, self._exchange(ticket.con_id))

    def _order_gate(self) -> None:
        if self._read_only:
            raise BrokerError("the gateway is in read-only mode: switch its Read-Only API off")
        self._session.order_gate()

    def _exchange(self, con_id: int) -> str:
        return self._directory.exchanges.get(con_id, FUTURES_EXCHANGE)

    async def snapshot(self) -> BrokerSnapshot:
        """Return everything that the broker knows of the account.

        Raises
        ------
        BrokerError
            If the connection is lost. A missing end marker makes it incomplete instead.
        """
        return await self._account.snapshot()

    async def account_values(self) -> Mapping[str, float]:
        """Return amounts in USD by the broker's names, as ``NetLiquidation``."""
        return await self._account.values()

    async def resolve(self, name: str) -> FutureContract:
        """Return the contract of a name as in ``ESZ25``.

        Raises
        ------
        BrokerError
            If it has expired, is ambiguous, or its tick is not the one that MIA counts in.
        """
        if is_root(name):
            raise BrokerError(f"{name} is a root: choose a month, or ask for front_contract")
        return await self._directory.resolve(name)

    async def contracts(self, root: str) -> Sequence[FutureContract]:
        """Return the listed contracts of a root, nearest first."""
        return await self._directory.contracts(root)

    async def front_contract(
        self,
        root: str,
        today: date,
        volumes: Mapping[str, float] | None = None,
        last_days: int = LAST_DAYS,
    ) -> FutureContract:
        """Return the contract that new positions are opened in.

        Parameters
        ----------
        root : str
            As in ``ES``.
        today : date
            At the exchange.
        volumes : mapping of str to float, optional
            Contracts traded in the last whole session by name; without them the nearest
            contract is chosen.
        last_days : int
            Calendar days before its last trade in which a contract is not opened any more.

        Raises
        ------
        BrokerError
            If every listed contract is too close to its expiry.
        """
        return await self._directory.front(root, today, volumes, last_days)

    async def option_series(self, underlying: str = "SPX") -> Sequence[OptionSeries]:
        """Return expiries and strikes of the options on an index."""
        return await self._directory.option_series(underlying)

    async def subscribe_trades(self, contract: FutureContract, confirm: float = 2.0) -> None:
        """Subscribe to every trade.

        Parameters
        ----------
        contract : FutureContract
        confirm : float
            Seconds to wait for a first tick or a refusal; silence is no refusal.

        Raises
        ------
        BrokerError
            If the gateway refuses. At the limit of tick-by-tick subscriptions (10190) it is
            asked again later instead.
        """
        await self._data().subscribe_ticks(contract, "AllLast", confirm=confirm)

    async def subscribe_quotes(self, contract: FutureContract, confirm: float = 2.0) -> None:
        """Subscribe to every change of the best bid and ask; see `subscribe_trades`."""
        await self._data().subscribe_ticks(contract, "BidAsk", confirm=confirm)

    async def data_type(self, contract: FutureContract, confirm: float = 2.0) -> int:
        """Return the type of a contract's data: 1 live, 2 frozen, 3 delayed, 4 both.

        Ticks do not tell it; this asks by a subscription that is closed again.

        Raises
        ------
        BrokerError
            If the gateway refuses.
        """
        return await self._data().data_type(contract, confirm)

    async def subscribe_index(
        self, symbol: str, *, require_live: bool = True, confirm: float = 2.0
    ) -> None:
        """Subscribe to the level of an index: ``SPX``, ``VIX``, ``VIX3M``.

        Raises
        ------
        BrokerError
            If the gateway refuses, or `require_live` and it sends frozen or delayed data.
        """
        await self._data().subscribe_index(symbol, require_live=require_live, confirm=confirm)

    async def subscribe_depth(
        self,
        contract: FutureContract,
        on_depth: Callable[[DepthBook], None],
        rows: int = 10,
        *,
        confirm: float = 0.0,
        refused: Callable[[str], None] | None = None,
    ) -> None:
        """Subscribe to the book.

        Parameters
        ----------
        contract : FutureContract
        on_depth : callable
            Given the book after each change; always the same object.
        rows : int
            Levels of each side.
        confirm : float
            Seconds to wait for a first row or a refusal; silence is no refusal.
        refused : callable, optional
            Told why it ended, should the gateway end it later; without it the listener is, as
            of a bad tick.

        Raises
        ------
        BrokerError
            If the gateway refuses while it is waited for.
        """
        await self._data().subscribe_depth(
            contract, rows, on_depth, confirm=confirm, refused=refused
        )

    async def unsubscribe(self, key: str) -> None:
        """Close a subscription by its words: ``trades of ESZ25``, ``index VIX``."""
        await self._data().unsubscribe(key)

    def option_lines(
        self,
        listener: OptionListener,
        on_greeks: Callable[[Any, OptionGreeks], None] | None = None,
        on_refused: Callable[[Any, str], None] | None = None,
    ) -> OptionLines:
        """Return lines on options that a rotation opens and closes within its budget."""
        return OptionLines(
            self._data(),
            self.backend,
            self._session.client,
            listener,
            self._now,
            on_greeks,
            on_refused,
        )

    def _data(self) -> MarketData:
        if self._market is None:
            raise BrokerError("this connection has no market listener: give it one to subscribe")
        return self._market

    async def historical_trades(
        self, contract: FutureContract, start: int, end: int
    ) -> HistoricalTrades:
        """Return the trades in [start, end), ns UTC, a thousand at a time within the pace.

        Raises
        ------
        BrokerError
            If the gateway refuses or does not answer.
        """
        return await self._history.trades(contract, start, end)

    async def historical_quotes(
        self, contract: FutureContract, start: int, end: int
    ) -> HistoricalQuotes:
        """Return best bids and asks in [start, end); they cost twice the pace of trades."""
        return await self._history.quotes(contract, start, end)

    async def historical_bars(
        self,
        contract: FutureContract | str,
        end: int,
        duration: str,
        bar_size: str,
        what: str = "TRADES",
        *,
        use_rth: bool = False,
    ) -> HistoricalBars:
        """Return bars before `end`.

        Parameters
        ----------
        contract : FutureContract or str
            A string names an index.
        end : int
            ns UTC.
        duration, bar_size, what : str
            As the gateway spells them: ``2 D``, ``1 min``, ``TRADES``.
        use_rth : bool
            Regular hours only.
        """
        return await self._history.bars(contract, end, duration, bar_size, what, use_rth)

    def request_server_time(self) -> bool:
        """Ask the gateway for its time, which `on_server_time` is given.

        Returns
        -------
        bool
            Whether it was asked: a gateway ignores a question within a second of another. In
            lock-step it always is.

        Raises
        ------
        BrokerError
            If the connection is being lost.
        """
        return self._session.ask_time()

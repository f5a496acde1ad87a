"""From nothing to READY: connect, reconcile, learn what there is to know."""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from mia.config.instruments import TICK
from mia.core import sessions
from mia.core.base_types import OrderType
from mia.core.broker_types import LinkState, MarketListener, OrderTicket
from mia.core.ibkr.contracts import FutureContract
from mia.core.ibkr_connector import IbkrConnector
from mia.errors import BrokerError, DataError, MiaError
from mia.execution.ibkr_broker import traded_contract
from mia.trader.assembly import NEW_YORK, SECOND, Assembly
from mia.trader.sources.feed_choice import OWN_FEEDS, Feed, fallbacks, open_feed
from mia.trader.sources.feeds import FeedPlace
from mia.trader.sources.past import Past
from mia.trader.sources.wire_feed import WireTap

log = logging.getLogger(__name__)

_CONFIRM_S = 2.0
_DELAYED, _DELAYED_FROZEN = 3, 4


class StartUp:
    """Takes a run to the moment at which it may decide, and from one contract to the next.

    Parameters
    ----------
    parts : Assembly
    """

    def __init__(self, parts: Assembly) -> None:
        self._parts = parts
        self._settings, self._options = parts.settings, parts.options
        self._session, self._clock = parts.session, parts.clock
        self._book, self._chains = parts.book, parts.chains
        self._feed: Feed | None = None
        self._tap = WireTap(self._session) if "ibkr" in fallbacks(parts.settings) else None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def listener(self) -> MarketListener:
        """Who listens to the data connection."""
        return self._session if self._tap is None else self._tap

    def close(self) -> None:
        """End what runs beside the session."""
        if self._feed is not None:
            self._feed.close()
        for task in self._tasks:
            task.cancel()

    async def run(self, market: IbkrConnector, orders: IbkrConnector) -> None:
        """Connect, reconcile, and learn what there is to know before anything is decided.

        Raises
        ------
        MiaError
            One line: what is wrong and what to do about it.
        """
        await market.connect()
        contract = await self._resolve(market)
        if self._options.now is None and self._settings.feed not in OWN_FEEDS:
            await _require_live_data(market, contract)
        await orders.connect()
        for link in (market, orders):
            self._begin(self._watch(link.wait_closed()))
        if not self._options.lockstep:
            self._begin(self._attend())
        await self._ask_margins(orders)
        await self._ask_equity(orders)
        await self._subscribe(market, contract)
        await self.prepare(market, contract)
        await self._open_sources(market, contract)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def _watch(self, life: Awaitable[None]) -> None:
        """End the session when something that it needs has ended."""
        try:
            await life
        except MiaError as error:
            self._session.end(error)
        except Exception as error:
            self._session.fail(error)

    async def _attend(self) -> None:
        """See to protection and commands while the past is learned: that may take minutes."""
        while not self._session.is_ready:
            self._session.beat()
            await asyncio.sleep(1.0)

    async def _subscribe(self, market: IbkrConnector, contract: FutureContract) -> None:
        self._contract = contract
        self._session.ticks.start_contract(contract.name)
        if self._settings.feed in OWN_FEEDS:
            return
        if self._options.lockstep:
            await market.subscribe_quotes(contract, 0.0)
            await market.subscribe_trades(contract, 0.0)
            return
        # Each waits for a first tick, to hear a refusal: in a quiet market that is the whole time.
        asked = await asyncio.gather(
            market.subscribe_quotes(contract, _CONFIRM_S),
            market.subscribe_trades(contract, _CONFIRM_S),
            return_exceptions=True,
        )
        for answer in asked:
            if isinstance(answer, BaseException):
                raise answer

    async def _open_sources(self, market: IbkrConnector, contract: FutureContract) -> None:
        """Subscribe to what the cycle can do without."""
        if self._book is not None:
            await self._book.open(market, contract)
            self._begin(self._book.watch())
        if self._chains is not None:
            self._begin(self._chains.run(market))

    async def prepare(self, market: IbkrConnector, contract: FutureContract) -> None:
        """Learn the past, and subscribe to what else the cycle looks at."""
        self._session.rest = partial(self._rest, market)
        if self._options.now is None:
            try:
                await market.subscribe_index("VIX")
            except BrokerError as error:
                log.warning("VIX stays unknown: %s", error)
            await self._learn_reference(market, contract)
        if self._settings.feed in OWN_FEEDS:
            here = FeedPlace(
                self._settings, self._session, market, contract, self._clock, self._options.pace
            )
            self._feed = open_feed(here, self._tap)
            self._session.repair = self._feed.mend
            self._begin(self._watch(self._feed.run()))
            await self._feed.learn()
            return
        store = self._settings.live.history
        past = Past(self._session, market, contract, None if store is None else Path(store))
        self._session.repair = past.mend
        warm = await past.learn()
        if warm is not None:
            log.info("warmed up with %d trades, %d holes", warm.trades, warm.holes)

    async def _learn_reference(self, market: IbkrConnector, contract: FutureContract) -> None:
        """Take yesterday's close as the price from which the price limits are measured."""
        now = self._clock.now()
        try:
            bars = await market.historical_bars(contract, now, "2 D", "1 day")
        except BrokerError as error:
            log.warning("price limits are unknown: %s", error)
            return
        if len(bars.close):
            close = float(bars.close[-1]) / TICK
            self._session.status.set_reference(sessions.session_id(now), close)

    async def _rest(self, market: IbkrConnector, session_id: int) -> None:
        """Change to the next contract in the break, if its time has come."""
        tomorrow = sessions.next_trading_day(session_id)
        day = datetime.strptime(str(tomorrow), "%Y%m%d").replace(tzinfo=NEW_YORK).date()
        root, old = self._settings.symbol, self._contract
        front = await market.front_contract(root, day, last_days=self._settings.ibkr.roll_days)
        if front.name == old.name:
            return
        if self._feed is not None:
            await self._learn_ids(market, front.name)
            self._session.status.start_contract()
            self._contract = front
            self._feed.roll(tomorrow, front)
            log.warning("%s follows %s in session %d", front.name, old.name, tomorrow)
            return
        self._session.drain()
        if self._book is not None:
            await self._book.close(market)
        for words in ("quotes", "trades"):
            await market.unsubscribe(f"{words} of {old.name}")
        await self._learn_ids(market, front.name)
        self._session.status.start_contract()
        await self._subscribe(market, front)
        if self._book is not None:
            await self._book.open(market, front)
        log.warning("rolled from %s to %s", old.name, front.name)

    async def _resolve(self, market: IbkrConnector) -> FutureContract:
        """Learn the broker's ids of what is traded, and of what the journal still holds."""
        root = self._settings.symbol
        now = datetime.fromtimestamp(self._clock.now() / SECOND, UTC).astimezone(NEW_YORK)
        contract = await market.front_contract(
            root, now.date(), last_days=self._settings.ibkr.roll_days
        )
        await self._learn_ids(market, contract.name)
        return contract

    async def _learn_ids(self, market: IbkrConnector, tape: str) -> None:
        held = {bracket.order.contract for bracket in self._session.manager.ledger.live()}
        names = {traded_contract(symbol, tape) for symbol in ("ES", "MES")} | held
        for name in sorted(names):
            self._parts.con_ids[name] = (await market.resolve(name)).con_id

    async def _ask_margins(self, orders: IbkrConnector) -> None:
        manager = self._session.manager
        if any(manager.ledger.live()):
            return
        for name, con_id in self._parts.con_ids.items():
            ticket = OrderTicket(
                orders.next_order_id(),
                f"margin of {name}",
                name[:-3],
                con_id,
                name,
                1,
                1,
                OrderType.MARKET,
                0,
                "DAY",
                self._options.account,
            )
            change = await orders.what_if(ticket)
            self._parts.trader.risk.set_margin(name[:-3], change.initial_after)

    async def _ask_equity(self, orders: IbkrConnector) -> None:
        """Size by what the account holds, if that is less than the settings say."""
        values = await orders.account_values()
        worth = values.get("NetLiquidation")
        if worth is None or not worth > 0:
            raise BrokerError(f"account {self._options.account} has no net liquidation value")
        risk = self._parts.trader.risk
        if self._parts.is_first_run and worth < risk.equity:
            risk.equity = risk.equity_high = worth


async def _require_live_data(market: IbkrConnector, contract: FutureContract) -> None:
    try:
        kind = await market.data_type(contract)
    except BrokerError as error:
        if market.state is not LinkState.READY:
            raise
        raise DataError(f"{error}: subscribe to CME data for the API at the broker") from None
    if kind in (_DELAYED, _DELAYED_FROZEN):
        raise DataError(
            f"the gateway has only delayed data of {contract.name}: subscribe to CME data at the "
            "broker, and end other sessions of the same user"
        )

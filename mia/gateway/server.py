"""The gateway: clients, market and exchange put together."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

from mia.gateway.catalogue import Catalogue
from mia.gateway.client_session import (
    NOTICES,
    ClientSession,
    Desk,
    Interceptor,
    Recorder,
    handlers_of,
)
from mia.gateway.desks.account_desk import AccountDesk
from mia.gateway.desks.depth_desk import DepthDesk
from mia.gateway.desks.history_desk import HistoryDesk
from mia.gateway.desks.market_data_desk import MarketDataDesk
from mia.gateway.desks.realtime_desk import RealtimeDesk
from mia.gateway.desks.reference_desk import ReferenceDesk
from mia.gateway.desks.tick_desk import TickDesk
from mia.gateway.desks.trading_desk import TradingDesk
from mia.gateway.limits import HistoricalPacing
from mia.gateway.market.market_loop import MarketLoop
from mia.gateway.market.option_market import OptionMarket
from mia.gateway.market.tape import TapeSource, open_source
from mia.gateway.market.tape_market import LIVE_ROOTS, Market, TapeSlice
from mia.gateway.model import ApiContract
from mia.gateway.options import GatewayOptions
from mia.gateway.protocol import replies
from mia.gateway.venue.exchange import Exchange
from mia.gateway.venue.reports import Reports

log = logging.getLogger(__name__)

NOT_SUBSCRIBED = 354
STEADY = (MarketDataDesk, DepthDesk, RealtimeDesk, HistoryDesk)
SAMPLED = (*STEADY, AccountDesk)


class Gateway:
    """A simulated IB Gateway.

    Parameters
    ----------
    options : GatewayOptions
    source : TapeSource
        Read once, front to back.

    Attributes
    ----------
    port : int
        0 until `start`.
    interceptor : Interceptor or None
    recorder : Recorder or None
        Both may be set at any time.
    zone : str
        Time zone of what is printed; may be changed while the gateway runs.
    """

    def __init__(self, options: GatewayOptions, source: TapeSource) -> None:
        self.options = options
        self.interceptor: Interceptor | None = None
        self.recorder: Recorder | None = None
        self.zone = options.zone
        self.port = 0
        self.market = Market(source, options.start)
        self.option_market = OptionMarket(self.market)
        self.catalogue = Catalogue(
            lambda: self.market.session_id, lambda: self.market.now, self.option_market.listing
        )
        self.pacing = HistoricalPacing(options.limits)
        self.reports = Reports(self)
        self.exchange = Exchange(
            self.reports,
            options.accounts,
            self.market.now,
            latency_ns=round(options.latency_ms * 1e6),
            cash=options.cash,
            first_order_id=options.first_order_id,
        )
        self.loop = MarketLoop(self)
        self._sessions: list[ClientSession] = []
        self._server: asyncio.Server | None = None
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen, and let the market run."""
        await self.listen(self.options.port)
        self._running = asyncio.create_task(self.loop.run())
        self._running.add_done_callback(self._market_ended)

    async def listen(self, port: int) -> None:
        """Take connections on a port; 0 takes any free one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: ClientSession(self), self.options.host, port
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def stop_listening(self) -> None:
        """Refuse connections; those that stand are kept."""
        if self._server is not None:
            self._server.close()

    async def stop(self) -> None:
        """Close every connection and stop the market."""
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running
        if self._server is not None:
            self._server.close()
        for session in list(self._sessions):
            session.close()
        if self._server is not None:
            await self._server.wait_closed()

    def _market_ended(self, task: asyncio.Task[None]) -> None:
        """Leave no client with a market that stands still for a defect."""
        if not task.cancelled() and task.exception() is not None:
            log.critical("the market stopped: %r", task.exception())
            for session in list(self._sessions):
                session.close(reset=True)

    async def serve(self) -> None:
        """Run until the market breaks or the caller is cancelled."""
        assert self._running is not None
        await self._running

    @property
    def sessions(self) -> Sequence[ClientSession]:
        """Every connection."""
        return tuple(self._sessions)

    def started(self) -> list[ClientSession]:
        """Return the connections of clients that have started."""
        return [session for session in self._sessions if session.started]

    def client(self, client_id: int) -> ClientSession | None:
        """Return the connection of a client."""
        return next((s for s in self.started() if s.client_id == client_id), None)

    def taken(self, client_id: int) -> bool:
        """Tell whether a client id is in use."""
        return self.client(client_id) is not None

    def next_order_id(self, client_id: int) -> int:
        """Return the id of which a client may be sure that no order has it."""
        return self.exchange.next_order_id(client_id)

    def notices(self) -> tuple[tuple[int, str], ...]:
        """Return what a client is told of the farms when it has connected."""
        return NOTICES

    def wall_time(self) -> str:
        """Return market time as the gateway prints it."""
        return self.text_of_time(self.market.now)

    def text_of_time(self, ts: int, *, utc: bool = False) -> str:
        """Return a time (ns UTC) as the gateway prints it."""
        return replies.wall_time(ts, "" if utc else self.zone)

    def open_desks(
        self, session: ClientSession
    ) -> tuple[tuple[Desk, ...], dict[str, Callable[..., None]]]:
        """Return what answers a client, and its handlers by the name of the request."""
        desks: tuple[Desk, ...] = (
            ReferenceDesk(session),
            MarketDataDesk(session),
            TickDesk(session),
            DepthDesk(session),
            RealtimeDesk(session),
            HistoryDesk(session),
            AccountDesk(session),
            TradingDesk(session),
        )
        return desks, handlers_of(desks)

    def on_opened(self, session: ClientSession) -> None:
        """Take a connection in."""
        self._sessions.append(session)
        if self.recorder is not None:
            self.recorder.opened(session)

    def on_closed(self, session: ClientSession) -> None:
        """Let a connection go."""
        self._sessions.remove(session)
        for observer in (self.interceptor, self.recorder):
            if observer is not None:
                observer.closed(session)
        self.loop.wake()

    def on_started(self, session: ClientSession) -> None:
        """Count a client in."""
        log.info("client %d started at version %d", session.client_id, session.version)
        self.loop.wake()

    def on_asked(self) -> None:
        """Look whether all clients wait for the end of the step."""
        self.loop.wake()

    def publish(self, piece: TapeSlice) -> None:
        """Send what is new on the tape."""
        for session in self.started():
            for desk in session.desks:
                if isinstance(desk, (TickDesk, MarketDataDesk)):
                    desk.publish(piece)

    def sample(self) -> None:
        """Send what clients get at intervals."""
        now = self.market.now
        for session in self.started():
            for desk in session.desks:
                if isinstance(desk, SAMPLED):
                    desk.sample(now)
        if self.interceptor is not None:
            self.interceptor.tick()

    def needs_seconds(self) -> bool:
        """Tell whether anything depends on market time moving second by second.

        Ticks alone do not: a client sees the same ones, however many are sent in one go.
        """
        return bool(self.exchange.open_orders()) or any(
            desk.lines
            for session in self._sessions
            for desk in session.desks
            if isinstance(desk, STEADY)
        )

    def match(self, piece: TapeSlice, start: int) -> tuple[int, bool]:
        """Match orders with trades from `start` on until a fill.

        Returns
        -------
        tuple of (int, bool)
            Where to go on, and whether there was a fill.
        """
        fills = self.reports.fills
        stop = self.exchange.advance(piece.tape.block, start, piece.stop)
        return stop, self.reports.fills > fills

    def tick_lines(self) -> int:
        """Count tick-by-tick subscriptions."""
        return self._lines(TickDesk)

    def data_lines(self) -> int:
        """Count level-1 subscriptions."""
        return self._lines(MarketDataDesk)

    def depth_lines(self) -> int:
        """Count depth subscriptions."""
        return self._lines(DepthDesk)

    def tick_line_limit(self) -> int:
        """Return how many tick-by-tick subscriptions there may be."""
        limits = self.options.limits
        return max(limits.market_data_lines // 100, 1) * limits.tick_by_tick_lines

    def depth_line_limit(self) -> int:
        """Return how many depth subscriptions there may be."""
        limits = self.options.limits
        return max(limits.market_data_lines // 100, 1) * limits.depth_lines

    def _lines(self, kind: type[TickDesk] | type[MarketDataDesk] | type[DepthDesk]) -> int:
        return sum(
            desk.lines
            for session in self._sessions
            for desk in session.desks
            if isinstance(desk, kind)
        )

    def has_data(
        self,
        session: ClientSession,
        request_id: int,
        contract: ApiContract,
        *,
        sampled: bool = False,
    ) -> bool:
        """Tell whether there is market data of a contract, or send why not.

        Parameters
        ----------
        sampled : bool
            Whether figures will do that are made from the tape of the leading month.
        """
        if contract.sec_type != "FUT" or self.market.is_front(contract):
            return True
        if sampled and contract.symbol in LIVE_ROOTS:
            return True
        session.error(
            request_id,
            NOT_SUBSCRIBED,
            "Requested market data is not subscribed. "
            f"{contract.local_symbol} is not on the tape of this gateway",
        )
        return False


@contextmanager
def opened_gateway(options: GatewayOptions) -> Iterator[Gateway]:
    """Make a gateway from its options; it does not listen yet.

    Raises
    ------
    UsageError, DataError
        If the market cannot be opened.
    """
    with open_source(options.source, options.trades_per_day) as source:
        yield Gateway(options, source)


@asynccontextmanager
async def running_gateway(options: GatewayOptions) -> AsyncIterator[Gateway]:
    """Run a gateway while the block is entered; its port is `gateway.port`.

    Raises
    ------
    UsageError, DataError
        If the market cannot be opened.
    OSError
        If the port cannot be had.
    """
    with opened_gateway(options) as gateway:
        await gateway.start()
        try:
            yield gateway
        finally:
            await gateway.stop()

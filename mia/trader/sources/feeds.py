"""Feeds other than the broker's: where the cycle's trades come from when it names one."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mia.config.settings import Settings
from mia.core import sessions
from mia.core.base_types import TradeBlock
from mia.core.ibkr.contracts import FutureContract
from mia.core.ibkr_connector import IbkrConnector
from mia.core.iqfeed.history import IQFeedHistory
from mia.core.iqfeed_connector import IQFeedConnector
from mia.core.protocols import Clock
from mia.core.sierra_connector import SierraConnector
from mia.data.history_stitch import OVERLAP_NS, History, cut, rows_of
from mia.errors import ConfigError, DataError
from mia.execution.clocks import MarketClock
from mia.execution.live.feed_intake import FeedIntake
from mia.execution.live.feed_pair import FeedSide
from mia.execution.live.session import LiveSession
from mia.trader.sources.past import Past

log = logging.getLogger(__name__)

SECOND = 1_000_000_000
Pace = Callable[[int], None]
"""Makes a simulated source hold all that was traded up to a time (ns UTC)."""

_LONGEST_AWAY = 30 * 60 * SECOND
_AT_ONCE = 4096
"""Trades of the past that are learned before others have their turn."""


class Fronts:
    """The contract of each session, as far as it is known."""

    def __init__(self, session: int, contract: str) -> None:
        self._from = {session: contract}

    def set(self, session: int, contract: str) -> None:
        """Trade a contract from a session on."""
        self._from[session] = contract

    def __call__(self, session: int) -> str:
        """Return the contract of a session."""
        known = [day for day in sorted(self._from) if day <= session]
        return self._from[known[-1] if known else min(self._from)]


@dataclass(frozen=True, slots=True)
class FeedPlace:
    """What a feed belongs to.

    Attributes
    ----------
    settings : Settings
    session : LiveSession
    market : IbkrConnector
        The data connection.
    contract : FutureContract
    clock : Clock
    pace : callable, optional
        See `Pace`.
    """

    settings: Settings
    session: LiveSession
    market: IbkrConnector
    contract: FutureContract
    clock: Clock
    pace: Pace | None = None

    @property
    def store(self) -> Path | None:
        """Where earlier sessions are."""
        history = self.settings.live.history
        return None if history is None else Path(history)


Intake = FeedIntake | FeedSide
"""Where a feed of the trader delivers: into the session, or into a pair of feeds."""


class SierraFeed:
    """Trades from the `.scid` file, which also holds what was traded before the start."""

    def __init__(self, here: FeedPlace, intake: Intake, *, leads: bool = True) -> None:
        """Take a place and where to deliver; one that does not lead begins with what comes now."""
        settings, session, clock = here.settings, here.session, here.clock
        self._session, self._intake, self._market = session, intake, here.market
        self._contract = here.contract
        self._clock = clock
        self._pace = here.pace
        day = sessions.session_id(clock.now())
        self._fronts = Fronts(day, here.contract.name)
        trades = leads and sessions.is_trading_day(day)
        self._start = sessions.session_open(day) if trades else clock.now()
        self._past = Past(session, here.market, here.contract, here.store, exact=True)
        self._connector = SierraConnector(
            Path(settings.sierra.folder or ""),
            self._fronts,
            clock,
            start=self._start,
            points_per_unit=settings.sierra.points_per_unit,
            hold_s=settings.sierra.hold_s,
            notify=intake.on_notice,
        )
        self._learned = asyncio.Event()
        if not leads:
            self._learned.set()
        if session.options.lockstep:
            session.pull = self._pull

    async def learn(self) -> None:
        """Read the running session from the file."""
        for block in self._past.earlier(self._start):
            self._session.trader.observe(block)
            await self._breathe()
        self._intake.begin(self._start)
        count = 0
        for learned in self._learn_until(self._session.now):
            count += learned
            await self._breathe()
        holes = self._intake.holes
        log.info("warmed up with %d trades of the file, %d holes", count, holes)
        self._learned.set()

    async def mend(self, since: int) -> None:
        """Learn what the file got while nobody read it.

        In lock-step the market stands still, maybe later than we have heard of; the newest trade
        of the broker's history tells.
        """
        now = max(since, self._session.now)
        told = await self._market.historical_trades(
            self._contract, now // SECOND * SECOND, now + _LONGEST_AWAY
        )
        now = max([now, *told.ts_event[-1:].tolist()])
        if isinstance(self._clock, MarketClock):
            self._clock.hear(now)
        count = sum(self._learn_until(now))
        log.warning("learned %d trades that came while the connection was lost", count)

    async def run(self) -> None:
        """Hand on what is appended; in lock-step the session asks for it."""
        await self._learned.wait()
        if self._session.options.lockstep:
            return
        async for batch in self._connector:
            self._intake.take(batch)

    def roll(self, session: int, contract: FutureContract) -> None:
        """Go on with the file of another contract from a session on."""
        self._contract = contract
        self._fronts.set(session, contract.name)

    def close(self) -> None:
        """Stop reading."""
        self._connector.close()

    def _pull(self, ts: int) -> None:
        if self._pace is not None:
            self._pace(ts)
        while (batch := self._connector.poll()) is not None:
            self._intake.take(batch)

    async def _breathe(self) -> None:
        """Let links be answered and orders be seen to: a long session takes seconds to learn.

        In lock-step the market stands still meanwhile, and nothing may come in between.
        """
        if not self._session.options.lockstep:
            await asyncio.sleep(0)

    def _learn_until(self, ts: int) -> Iterator[int]:
        """Learn what the file holds, piece by piece, and tell how many trades each had."""
        if self._pace is not None:
            self._pace(ts)
        while (batch := self._connector.poll()) is not None:
            for first in range(0, len(batch.block), _AT_ONCE):
                piece = rows_of(batch.block, slice(first, first + _AT_ONCE))
                self._intake.learn(piece)
                yield len(piece)


class IqfeedFeed:
    """Trades from IQConnect, and its history for what was traded before or meanwhile."""

    def __init__(self, here: FeedPlace, intake: Intake) -> None:
        if here.session.options.lockstep:
            raise ConfigError("a stream cannot run in lock-step: choose feed=sierra or feed=ibkr")
        self._options, self._session, self._intake = here.settings.iqfeed, here.session, intake
        self._clock = here.clock
        self._market, self._store = here.market, here.store
        self._closed = False
        self._contract = here.contract
        self._connector = self._watch()
        self._history = IQFeedHistory(host=self._options.host, port=self._options.lookup_port)
        intake.mend_gaps()
        intake.begin(here.clock.now())

    async def learn(self) -> None:
        """Fetch the running session."""
        warm = await self._past().learn()
        if warm is not None:
            log.info("warmed up with %d trades of IQFeed, %d holes", warm.trades, warm.holes)

    async def mend(self, since: int) -> None:
        """Fetch what was traded while IQConnect or its link were away."""
        await self._past().mend(since)

    async def run(self) -> None:
        """Hand on what comes, of whatever contract the session has."""
        while not self._closed:
            async for batch in self._connector:
                self._intake.take(batch)

    def roll(self, session: int, contract: FutureContract) -> None:
        """Watch another contract; called in the break before the session."""
        old, self._contract = self._connector, contract
        self._connector = self._watch()
        old.close()

    def close(self) -> None:
        """Hang up."""
        self._closed = True
        self._connector.close()
        self._history.close()

    def _watch(self) -> IQFeedConnector:
        return IQFeedConnector(
            {self._symbol(): self._contract.name},
            self._clock,
            host=self._options.host,
            port=self._options.level1_port,
            silence_s=self._options.silence_s,
            notify=self._intake.on_notice,
        )

    def _symbol(self) -> str:
        return self._options.symbol.replace("{contract}", self._contract.name)

    def _past(self) -> Past:
        return _IqfeedPast(
            self._session, self._market, self._contract, self._store, self._history, self._symbol()
        )


class _IqfeedPast(Past):
    """The past as IQFeed tells it: exact, and as long as it reaches back."""

    def __init__(
        self,
        session: LiveSession,
        market: IbkrConnector,
        contract: FutureContract,
        store: Path | None,
        source: IQFeedHistory,
        symbol: str,
    ) -> None:
        super().__init__(session, market, contract, store, exact=True)
        self._source = source
        self._symbol = symbol

    async def _history(self, spans: Sequence[tuple[int, int]]) -> History | None:
        """Fetch the trades of some spans, and what the live feed is compared with after each."""
        told: list[tuple[int, int, list[TradeBlock]]] = []
        for start, end in spans:
            until = end + OVERLAP_NS
            source = self._source.ticks(self._symbol, self._contract.name, start, until)
            try:
                told.append((start, until, [block async for block in source]))
            except DataError as error:
                log.warning("no history: %s", error)
        if not told:
            return None

        def history(first: int, last: int) -> Iterable[TradeBlock]:
            for start, until, blocks in told:
                if start <= first and last <= until:
                    return [part for block in blocks if len(part := cut(block, first, last))]
            raise DataError(f"IQFeed did not tell of {first} to {last} ns")

        return history

"""Where the trader learns what it has not seen: a store, and the gateway's history."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mia.core import sessions
from mia.core.base_types import MISSING_PRICE, Block, TradeBlock
from mia.core.ibkr.contracts import FutureContract
from mia.core.ibkr_connector import IbkrConnector
from mia.data.history_stitch import (
    OVERLAP_NS,
    History,
    LiveBuffer,
    cut,
    stitch,
    unknown_spans,
)
from mia.data.wire_tape import wire_blocks
from mia.errors import BrokerError, DataError
from mia.execution.live.session import LiveSession
from mia.execution.live.warm_up import WarmUp, repair, warm_up

if TYPE_CHECKING:
    from mia.data.store import Store

log = logging.getLogger(__name__)

SECOND = 1_000_000_000
_LONGEST_ASKED = 30 * 60 * SECOND
"""A longer hole would take the gateway's pace for history hours to fill."""
_FIRST_TICK_S = 30.0
_SETTLED_S = 3.0
_EARLIER_SESSIONS = 60


def _open_store(path: Path) -> "Store":
    # Imported here: a start without a store need not wait for what reads one.
    from mia.data.store import Store

    return Store(path)


class Past:
    """Brings the cycle of a live session up to date.

    Parameters
    ----------
    session : LiveSession
    market : IbkrConnector
        The data connection.
    contract : FutureContract
    store : Path, optional
        Trades recorded from the same feed.
    exact : bool
        The feed tells sides, quotes and times itself; else all is as the broker's wire shows it.
    """

    def __init__(
        self,
        session: LiveSession,
        market: IbkrConnector,
        contract: FutureContract,
        store: Path | None,
        *,
        exact: bool = False,
    ) -> None:
        self._session = session
        self._market = market
        self._contract = contract
        self._store = None if store is None else _open_store(store)
        self._exact = exact

    async def learn(self) -> WarmUp | None:
        """Rebuild the state of the running session; None without one, or if it has only begun.

        Raises
        ------
        DataError
            If the store cannot be read.
        """
        if not self._session.status.is_open(self._session.now):
            return None
        start = self._session_start()
        live = await self._listen(self._session.now)
        if live.since <= start + SECOND:
            return None
        stored = list(self._stored(start, live.since))
        live.asked_at = self._session.now - SECOND
        history = await self._history(unknown_spans(stored, start, live.since))
        self._take(live)
        stitched = stitch(stored, history, live, start, exact=self._exact)
        for note in stitched.notes:
            log.warning("warm-up: %s", note)
        return warm_up(self._session.trader, stitched, self._session.ticks, self.earlier(start))

    async def mend(self, since: int) -> None:
        """Fill the hole of a connection that was lost; what cannot be filled is marked."""
        live = await self._listen(since)
        live.asked_at = self._session.now - SECOND
        history = await self._history([(since // SECOND * SECOND, live.since)])
        self._take(live)
        if not len(self._session.trader.state.ticks.ts_event):
            return
        done = repair(self._session.trader, history, live, self._session.ticks, exact=self._exact)
        self._session.tell("repaired", done)
        log.warning("repaired the data: %d trades, %d holes", done.trades, done.holes)

    def _session_start(self) -> int:
        return sessions.session_open(sessions.session_id(self._session.now))

    async def _listen(self, since: int) -> LiveBuffer:
        """Collect live trades until it is known from when on none is missing."""
        live = LiveBuffer()
        session = self._session
        if session.options.lockstep:
            # The market stands still, maybe later than we have heard of: nothing comes that is
            # not later than the newest trade of its history.
            start = since // SECOND * SECOND
            told = await self._market.historical_trades(
                self._contract, start, max(start, session.now) + _LONGEST_ASKED
            )
            live.subscribed(max([session.now, *told.ts_event[-1:].tolist()]))
            return live
        loop = asyncio.get_running_loop()
        patience = _FIRST_TICK_S if session.status.is_open(session.now) else 0.0
        until = loop.time() + patience
        while loop.time() < until:
            self._take(live)
            if live.since and session.now > live.since + _SETTLED_S * SECOND:
                return live
            await asyncio.sleep(0.1)
        if not live.since:
            live.subscribed(session.now)
        return live

    def _take(self, live: LiveBuffer) -> None:
        block = self._session.ticks.take()
        if block is not None:
            live.add(block)

    async def _history(self, spans: Sequence[tuple[int, int]]) -> History | None:
        """Ask the gateway for the trades of some spans, the newest first.

        None if it tells of none of them.
        """
        told: list[tuple[int, int, TradeBlock]] = []
        asked = 0
        for start, end in reversed(spans):
            asked += end - start
            if asked > _LONGEST_ASKED + SECOND:
                log.warning(
                    "%d min of trades are more than the gateway's pace allows to ask for: what "
                    "depends on them stays invalid until the session ends; live.history may name "
                    "a store",
                    sum(last - first for first, last in spans) // (60 * SECOND),
                )
                break
            # What came live as well is compared.
            until = end + OVERLAP_NS
            block = await self._ask(start, until)
            if block is not None:
                told.append((start, until, block))
        if not told:
            return None

        def history(first: int, last: int) -> Iterable[TradeBlock]:
            for start, end, block in told:
                if start <= first and last <= end:
                    part = cut(block, first, last)
                    return [part] if len(part) else []
            raise DataError(f"the gateway did not tell of {first} to {last} ns")

        return history

    async def _ask(self, start: int, end: int) -> TradeBlock | None:
        try:
            told = await self._market.historical_trades(self._contract, start, end)
        except BrokerError as error:
            log.warning("no history: %s", error)
            return None
        if told.truncated or told.refused:
            log.warning("history is not whole: %d seconds cut", len(told.truncated))
            return None
        nothing = np.full(len(told.ts_event), MISSING_PRICE, np.int32)
        return TradeBlock(
            self._contract.name,
            told.ts_event,
            told.price,
            told.size,
            np.zeros(len(nothing), np.int8),
            nothing,
            nothing.copy(),
        )

    def _stored(self, start: int, end: int) -> Iterable[TradeBlock]:
        if self._store is None:
            return []
        blocks = self._read(self._store, self._contract.name, start, end)
        return [block for block in blocks if isinstance(block, TradeBlock)]

    def earlier(self, start: int) -> Iterable[TradeBlock]:
        """Return earlier sessions, for what is carried from one to the next."""
        if self._store is None:
            return []
        day = sessions.session_id(start)
        first = day
        for _ in range(_EARLIER_SESSIONS):
            first = sessions.previous_trading_day(first)
        opened = sessions.session_open(first)
        blocks = self._read(self._store, self._contract.symbol, opened, start)
        if self._exact:
            return [block for block in blocks if isinstance(block, TradeBlock)]
        return wire_blocks(blocks)

    @staticmethod
    def _read(store: "Store", symbol: str, start: int, end: int) -> Iterable[Block]:
        """Read what a store has; files that it has and that are damaged are an error later."""
        try:
            return store.read(symbol, start, end, "ticks")
        except DataError as error:
            log.warning("warm-up: %s", error)
            return []

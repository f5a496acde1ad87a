"""Asking a source's history for what a collector missed."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from mia.core.base_types import MISSING_PRICE, TradeBlock
from mia.core.iqfeed.history import IQFeedHistory
from mia.core.protocols import Clock
from mia.core.sierra.scid_trades import ScidTrades
from mia.core.sierra_connector import find_scid
from mia.data.collected_holes import OpenHole, chosen, joined, missing, open_holes, span_of
from mia.data.collector import Collector, segments_of
from mia.data.ibkr_trades import IbkrTrades
from mia.data.segment_frames import OPEN, Fill
from mia.data.segments import read_segment
from mia.errors import BrokerError, DataError

SETTLED_S = 3.0
"""How long after the first trade behind a hole history is asked first: it lags behind."""

PAUSES_S = (2.0, 5.0, 15.0, 60.0, 300.0)
_LOOK_S = 0.5
_LONGEST_IBKR_S = 1800


class PastTrades(Protocol):
    """What a source can tell of the past."""

    async def trades(self, contract: str, start: int, end: int) -> list[TradeBlock]:
        """Return all trades with start <= ts < end (ns UTC), in order.

        Raises
        ------
        DataError or BrokerError
            If it cannot tell.
        """
        ...

    def close(self) -> None:
        """Let go of what it needs for that."""
        ...


class SierraPast:
    """The `.scid` file, to which Sierra Chart may have downloaded more since."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder, self._clock = folder, clock

    async def trades(self, contract: str, start: int, end: int) -> list[TradeBlock]:
        """Read the file."""
        return await asyncio.to_thread(self._read, contract, start, end)

    def close(self) -> None:
        """Have nothing to close."""

    def _read(self, contract: str, start: int, end: int) -> list[TradeBlock]:
        path = find_scid(self._folder, contract)
        if path is None:
            raise DataError(f"no file of {contract} in {self._folder}")
        reader = ScidTrades(path, contract, self._clock, start=start, hold_s=0.0)
        reader.until = end
        found = []
        while (batch := reader.poll(hold=False)) is not None:
            ts = batch.block.ts_event
            found.append(chosen(batch.block, (ts >= start) & (ts < end)))
        return found


class IqfeedPast:
    """IQConnect's lookup port."""

    def __init__(self, history: IQFeedHistory, symbols: dict[str, str]) -> None:
        self._history = history
        self._symbols = {contract: symbol for symbol, contract in symbols.items()}

    async def trades(self, contract: str, start: int, end: int) -> list[TradeBlock]:
        """Ask page by page."""
        symbol = self._symbols.get(contract, f"@{contract}")
        return [block async for block in self._history.ticks(symbol, contract, start, end)]

    def close(self) -> None:
        """Close the connection."""
        self._history.close()


class IbkrPast:
    """The gateway's historical ticks, a thousand at a time and slowly."""

    def __init__(self, feed: IbkrTrades) -> None:
        self._feed = feed

    async def trades(self, contract: str, start: int, end: int) -> list[TradeBlock]:
        """Ask over the connection of the feed."""
        if end - start > _LONGEST_IBKR_S * 10**9:
            raise DataError(
                f"{(end - start) // 10**9} s are more than the gateway's pace allows to ask for"
            )
        told = await self._feed.history(contract, start, end)
        if told.truncated or told.refused:
            raise DataError("the gateway's history of it is not whole")
        nothing = np.full(len(told.ts_event), MISSING_PRICE, np.int32)
        sides = np.zeros(len(nothing), np.int8)
        return [
            TradeBlock(
                contract, told.ts_event, told.price, told.size, sides, nothing, nothing.copy()
            )
        ]

    def close(self) -> None:
        """Leave the connection to the feed."""


@dataclass(slots=True)
class _Patience:
    tries: int = 0
    next_at: float = 0.0


class HoleFiller:
    """Fills holes of a running collector from history, again and again until it succeeds.

    Parameters
    ----------
    collector : Collector
    past : PastTrades
    clock : Clock
    settled_s : float
        How long to wait behind a hole before history is asked.

    Attributes
    ----------
    filled : int
        Holes filled since the start.
    """

    def __init__(
        self,
        collector: Collector,
        past: PastTrades,
        clock: Clock,
        *,
        settled_s: float = SETTLED_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._collector, self._past, self._clock = collector, past, clock
        self._settled_ns = round(settled_s * 1e9)
        self._monotonic = monotonic
        self._patience: dict[tuple[str, int, int], _Patience] = {}
        self._known: list[OpenHole] = []
        self._marked = -1
        self.filled = 0

    async def run(self) -> None:
        """Look for holes until cancelled.

        Raises
        ------
        DataError
            If the disk refuses.
        """
        try:
            while True:
                await self.look()
                await asyncio.sleep(_LOOK_S)
        finally:
            self._past.close()

    async def look(self) -> None:
        """Fill what can be filled now; errors as of `run`."""
        if self._marked != self._collector.marked:
            marked = self._collector.marked
            self._known = await asyncio.to_thread(self._find)
            self._marked = marked
        for hole in list(self._known):
            key = hole.head.contract, hole.since, hole.until
            patience = self._patience.setdefault(key, _Patience())
            settled = self._clock.now() >= hole.until + 10**9 + self._settled_ns
            if settled and self._monotonic() >= patience.next_at:
                # What was recorded behind the hole has grown since it was found.
                grown = await asyncio.to_thread(self._again, hole)
                await self._fill(grown, patience)

    async def _fill(self, hole: OpenHole, patience: _Patience) -> None:
        start, end = span_of(hole)
        name = f"{hole.head.feed} {hole.head.contract} from {hole.since} to {hole.until} ns"
        try:
            told = await self._past.trades(hole.head.contract, start, end)
            answer = missing(hole, joined(hole.head, told), self._clock.now())
        except (DataError, BrokerError) as error:
            answer = str(error)
        if isinstance(answer, Fill):
            self._collector.fill(hole.head, answer)
            self._collector.alarm(f"hole filled: {name}: {len(answer.block)} trades")
            self._known = [known for known in self._known if known.until != hole.until]
            self.filled += 1
            return
        if not patience.tries:
            self._collector.alarm(f"hole open: {name}: {answer}")
        pause = PAUSES_S[min(patience.tries, len(PAUSES_S) - 1)]
        patience.tries += 1
        patience.next_at = self._monotonic() + pause

    def _find(self) -> list[OpenHole]:
        holes = []
        for path in segments_of(self._collector.store, self._collector.feed, (OPEN,)):
            segment = read_segment(path)
            if segment is not None:
                holes += open_holes(segment)
        return holes

    def _again(self, hole: OpenHole) -> OpenHole:
        same = [one for one in self._find() if (one.since, one.until) == (hole.since, hole.until)]
        return same[0] if same else hole

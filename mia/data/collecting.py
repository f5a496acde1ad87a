"""A collector at work: a feed that runs, sessions that end, and a stop in order."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from mia.core.market_feed import ReceivedTrades
from mia.core.protocols import Clock
from mia.core.sierra.scid_tail import TailPosition
from mia.core.sierra_connector import SierraConnector
from mia.data.collected_days import DayQuality, compact, sweep
from mia.data.collected_history import HoleFiller
from mia.data.collector import Collector
from mia.data.store import Store
from mia.errors import DataError

_BEAT_S = 0.1
_LOOK_S = 5.0

Report = Callable[[DayQuality], None]


class Feed(Protocol):
    """Anything that yields trades until it is closed."""

    def __aiter__(self) -> AsyncIterator[ReceivedTrades]:
        """Yield trades as they come."""
        ...

    def close(self) -> None:
        """End the iteration."""
        ...


async def collect(
    feed: Feed,
    collector: Collector,
    clock: Clock,
    stop: asyncio.Event,
    report: Report,
    *,
    position: Callable[[], Mapping[str, Any] | None] = lambda: None,
    look_s: float = _LOOK_S,
    filler: HoleFiller | None = None,
) -> None:
    """Record a feed until it ends or `stop` is set; write days into the store when they are over.

    Parameters
    ----------
    feed : Feed
    collector : Collector
        Stays open.
    report : callable
        Given the quality of each day that was written into the store.
    position : callable
        Where the feed goes on behind what it yielded last.
    look_s : float
        How often to look for sessions that are over.
    filler : HoleFiller, optional
        Asks history for what was missed.

    Raises
    ------
    MiaError
        What ends the feed, or a disk that is nearly full or refuses.
    """
    beats = asyncio.create_task(_beat(collector, clock, report, look_s))
    reading = asyncio.create_task(_read(feed, collector, position))
    stopping = asyncio.create_task(stop.wait())
    beside = [beats] if filler is None else [beats, asyncio.create_task(filler.run())]
    try:
        await asyncio.wait({reading, stopping, *beside}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # A feed that is closed ends by itself.
        feed.close()
        stopping.cancel()
        for task in beside:
            if not task.done():
                task.cancel()
    for outcome in await asyncio.gather(reading, *beside, return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome


async def _read(
    feed: AsyncIterable[ReceivedTrades],
    collector: Collector,
    position: Callable[[], Mapping[str, Any] | None],
) -> None:
    async for received in feed:
        collector.add(received.block, received.ts_recv, position())


async def _beat(collector: Collector, clock: Clock, report: Report, look_s: float) -> None:
    loop = asyncio.get_running_loop()
    looked = loop.time()
    while True:
        await asyncio.sleep(_BEAT_S)
        collector.beat()
        if loop.time() - looked < look_s:
            continue
        looked = loop.time()
        over = collector.over()
        if over:
            try:
                # A day of a million trades takes a second, which the feed must not wait.
                days = await asyncio.to_thread(_finish, collector.store, over)
            except DataError as error:
                # The segments stay as they are and are tried again.
                collector.alarm(str(error))
                looked = loop.time() + 60.0
                continue
            for day in days:
                report(day)
        sweep(collector.store, collector.feed, clock.now())


def _finish(store: Path, over: list[Path]) -> list[DayQuality]:
    return compact(Store.create(store), over, finish=True)


def sierra_position(feed: SierraConnector) -> dict[str, Any] | None:
    """Return where a Sierra feed goes on, as plain values; None before its first trade."""
    where = feed.position
    if isinstance(where, int):
        return None
    contract, at = where
    return {
        "contract": contract,
        "offset": at.offset,
        "last": at.last.hex(),
        "recent": at.recent.hex(),
    }


def sierra_start(position: Mapping[str, Any] | None) -> tuple[str, TailPosition] | None:
    """Return a position of `sierra_position` as the connector takes it."""
    if position is None:
        return None
    last, recent = bytes.fromhex(position["last"]), bytes.fromhex(position["recent"])
    return position["contract"], TailPosition(position["offset"], last, recent)

"""A feed and those to fall back on, as one feed of the trader."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Protocol

from mia.core.ibkr.contracts import FutureContract
from mia.core.market_feed import FeedNotice, FeedNoticeKind
from mia.errors import MiaError
from mia.execution.live.feed_pair import FeedPair, FeedTaker

log = logging.getLogger(__name__)

_BEAT_S = 0.25


class Follower(Protocol):
    """A feed that runs beside the first one."""

    async def run(self) -> None:
        """Hand on what comes until `close`."""
        ...

    def roll(self, session: int, contract: FutureContract) -> None:
        """Trade another contract from a session on."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Leader(Follower, Protocol):
    """The first feed, whose history the session is brought up to date from."""

    async def learn(self) -> None:
        """Bring the cycle up to date."""
        ...

    async def mend(self, since: int) -> None:
        """Fill the hole that began at an instant, ns UTC."""
        ...


class FeedChain:
    """Runs several feeds, of which pairs let one through.

    A feed that ends with an error is as one whose link is down; the chain ends with the last.

    Parameters
    ----------
    leader : Leader
    feeds : dict of str to (Follower, FeedTaker)
        By name, in the order of preference, the leader first; each with where it delivers.
    pairs : list of FeedPair
    """

    def __init__(
        self,
        leader: Leader,
        feeds: dict[str, tuple[Follower, FeedTaker]],
        pairs: list[FeedPair],
    ) -> None:
        self._leader, self._feeds, self._pairs = leader, feeds, pairs
        self._alive = set(feeds)

    async def learn(self) -> None:
        """Bring the cycle up to date from the first feed."""
        await self._leader.learn()

    async def mend(self, since: int) -> None:
        """Fill the hole that began at an instant from the history of the first feed."""
        await self._leader.mend(since)

    async def run(self) -> None:
        """Hand on what comes until `close`.

        Raises
        ------
        MiaError
            Of the feed that ended last, if all have ended with one.
        """
        work: list[Coroutine[Any, Any, None]] = [self._beat()]
        work += [self._live(name, feed, taker) for name, (feed, taker) in self._feeds.items()]
        tasks = [asyncio.create_task(one) for one in work]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    def roll(self, session: int, contract: FutureContract) -> None:
        """Trade another contract from a session on."""
        for pair in self._pairs:
            pair.start_contract(contract.name)
        for feed, _ in self._feeds.values():
            feed.roll(session, contract)

    def close(self) -> None:
        """End all."""
        for feed, _ in self._feeds.values():
            feed.close()

    async def _live(self, name: str, feed: Follower, taker: FeedTaker) -> None:
        try:
            await feed.run()
        except MiaError as error:
            self._alive.discard(name)
            if not self._alive:
                raise
            log.error("%s has ended: %s", name, error)
            taker.on_notice(FeedNotice(FeedNoticeKind.LINK_DOWN, str(error)))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_S)
            for pair in reversed(self._pairs):
                pair.beat()

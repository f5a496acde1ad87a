"""One feed that ends leaves the others, the last one ends the run; the wire tells of its link."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mia.core.broker_types import LinkState
from mia.core.market_feed import FeedNotice, FeedNoticeKind
from mia.errors import DataError, MiaError
from mia.execution.clocks import MarketClock
from mia.trader.sources.feed_chain import FeedChain
from mia.trader.sources.wire_feed import WireFeed, WireTap

NOW = 1_763_478_000_000_000_000


class Taker:
    def __init__(self) -> None:
        self.notices: list[FeedNotice] = []

    def on_notice(self, notice: FeedNotice) -> None:
        self.notices.append(notice)

    @property
    def kinds(self) -> list[FeedNoticeKind]:
        return [notice.kind for notice in self.notices]


class Ends:
    """A feed that ends with an error after some time."""

    def __init__(self, after_s: float, text: str) -> None:
        self._after_s, self._text = after_s, text

    async def run(self) -> None:
        await asyncio.sleep(self._after_s)
        raise DataError(self._text)


def test_a_feed_that_ends_is_told_and_only_the_last_one_ends_the_run() -> None:
    takers = Taker(), Taker()
    feeds = {"a": (Ends(0.0, "a is gone"), takers[0]), "b": (Ends(0.2, "b is gone"), takers[1])}
    chain = FeedChain(cast("Any", None), cast("Any", feeds), [])
    with pytest.raises(MiaError, match="b is gone"):
        asyncio.run(asyncio.wait_for(chain.run(), 10))
    assert takers[0].kinds == [FeedNoticeKind.LINK_DOWN]
    assert takers[0].notices[0].text == "a is gone"
    assert takers[1].notices == []


class Market:
    """A data connection that takes every subscription."""

    async def subscribe_quotes(self, contract: object, wait: float) -> None: ...

    async def subscribe_trades(self, contract: object, wait: float) -> None: ...

    async def unsubscribe(self, words: str) -> None: ...


def test_the_link_is_told_from_the_first_subscription_until_the_end() -> None:
    async def scene() -> list[FeedNoticeKind]:
        taker = Taker()
        contract = cast("Any", SimpleNamespace(symbol="ES", name="ESZ25"))
        tap = WireTap(cast("Any", None))
        feed = WireFeed(tap, cast("Any", Market()), contract, cast("Any", taker), MarketClock(NOW))
        feed.on_link(LinkState.DISCONNECTED, "before it began")
        running = asyncio.create_task(feed.run())
        await asyncio.sleep(0.05)
        feed.on_link(LinkState.DISCONNECTED, "gone")
        feed.on_link(LinkState.READY, "")
        feed.close()
        await running
        feed.on_link(LinkState.DISCONNECTED, "after the end")
        return taker.kinds

    assert asyncio.run(scene()) == [FeedNoticeKind.LINK_DOWN, FeedNoticeKind.LINK_UP]

import asyncio

import numpy as np
import pytest
from run_samples import easy

from mia.core import sessions
from mia.core.ibkr.streams import DepthBook
from mia.execution.assembly import fit_settings, market_state
from mia.trader.sources.book_feed import SETTLED_S, BookFeed

SECOND = 10**9
F6 = 5
OPEN = sessions.session_open(20250310) + 3600 * SECOND


def bid_first(book: DepthBook, levels: int = 10, bid: int = 20_000, spread: int = 1) -> None:
    for k in range(levels):
        book.change(k, 0, 1, bid - k, 50 - k)
    for k in range(levels):
        book.change(k, 0, 0, bid + spread + k, 20 + k)


class Bench:
    """A market state with one trade a second, and a feed whose clocks are turned by hand."""

    def __init__(self) -> None:
        plan = fit_settings(easy("stream.primary=time:1"), 0)
        self.state = market_state(plan, 20250310, 20250311, 0, record=False)
        self.state.set_contract(0)
        self.ts, self.monotonic = OPEN, 100.0
        self.feed = BookFeed(self.state, lambda: self.ts, 5.0, lambda: self.monotonic)
        self.feed._name = "ESH25"
        self.book = DepthBook("ESH25")

    def tell(self) -> None:
        """Let the feed hear of the book as it stands, at the end of a packet."""

        async def packet() -> None:
            self.feed.on_depth(self.book)
            await asyncio.sleep(0)

        asyncio.run(packet())

    def second(self) -> dict[str, object]:
        """Let a second pass and a bar close; return its row."""
        self.ts += SECOND
        self.monotonic += 1.0
        trade = (np.array([self.ts]), np.array([20_001], np.int32), *np.ones((2, 1), np.int32))
        self.state.wake = 0
        while self.state.advance(*trade[:3], trade[3].astype(np.int8), 0) < 1:
            pass
        row = self.state.newest
        return row if row is not None else {}


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.second()
    bid_first(bench.book)
    bench.tell()
    bench.second()
    return bench


def test_a_book_is_used_a_second_after_it_was_built(bench: Bench) -> None:
    assert (bench.feed.used, bench.feed.unused) == (0, 1)
    bench.monotonic += SETTLED_S
    bench.tell()
    assert bench.feed.used == 1
    bench.second()
    row = bench.second()
    assert row["valid"][F6] == 1
    assert row["spread"] == 1
    # Bids outweigh offers at each level.
    assert row["feature"][F6] > 0.1


@pytest.mark.parametrize("harm", ["invalid", "reset", "crossed"])
def test_a_book_that_cannot_be_believed_is_not_handed_over(bench: Bench, harm: str) -> None:
    bench.tell()
    used = bench.feed.used
    if harm == "invalid":
        bench.book.change(40, 1, 1, 20_000, 5)
    elif harm == "reset":
        bench.book.clear()
        bench.book.change(0, 0, 1, 20_000, 5)
    else:
        bench.book.change(0, 1, 1, 20_001, 5)
    bench.tell()
    assert bench.feed.used == used
    if harm == "reset":
        bench.book.clear()
        bid_first(bench.book)
        bench.tell()
        assert bench.feed.used == used
        bench.monotonic += SETTLED_S
        bench.tell()
        assert bench.feed.used == used + 1


def test_a_silent_book_is_forgotten_and_comes_back(bench: Bench, caplog) -> None:
    bench.tell()
    bench.second()
    assert bench.second()["valid"][F6] == 1
    for _ in range(5):
        bench.second()
        bench.feed.check()
    row = bench.second()
    assert (row["valid"][F6], row["feature"][F6], row["spread"]) == (0, 0.0, 0)
    assert len([r for r in caplog.records if "silent" in r.message]) == 1
    bench.tell()
    bench.second()
    row = bench.second()
    assert (row["valid"][F6], row["spread"]) == (1, 1)


def test_the_book_is_expected_from_its_first_sample_until_it_is_refused(
    bench: Bench,
) -> None:
    for _ in range(60):
        before = bench.second()["feature_quality"]
    bench.tell()
    bench.second()
    with_book = bench.second()["feature_quality"]
    bench.feed.lose()
    lost = bench.second()["feature_quality"]
    bench.feed._end("354: not subscribed")
    assert bench.second()["feature_quality"] == before
    assert lost < before
    assert with_book == before

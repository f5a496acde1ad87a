"""How well two feeds of one contract agree, second by second."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mia.core.base_types import MISSING_PRICE, TradeBlock

SECOND_NS = 1_000_000_000
_KEPT = 60


@dataclass(slots=True)
class FeedSecond:
    """What a feed said of one second of the exchange's time.

    Attributes
    ----------
    low, high : int
        Range of its prices, ticks.
    inside, quoted : int
        Trades near its own quote, and trades that had one.
    """

    low: int
    high: int
    inside: int
    quoted: int


class FeedWatch:
    """The newest seconds of one feed.

    Attributes
    ----------
    newest : int
        Newest second, counted since 1970; 0 before the first trade.
    """

    def __init__(self, near_ticks: int) -> None:
        self._near = near_ticks
        self._seconds: dict[int, FeedSecond] = {}
        self.newest = 0

    def add(self, second: int, block: TradeBlock) -> None:
        """Take trades of one second."""
        price, bid, ask = block.price, block.bid_price, block.ask_price
        quoted = (bid != MISSING_PRICE) & (ask != MISSING_PRICE)
        near = quoted & (price >= bid - self._near) & (price <= ask + self._near)
        low, high = int(price.min()), int(price.max())
        inside, count = int(near.sum()), int(quoted.sum())
        known = self._seconds.get(second)
        if known is None:
            self._seconds[second] = FeedSecond(low, high, inside, count)
        else:
            known.low, known.high = min(known.low, low), max(known.high, high)
            known.inside += inside
            known.quoted += count
        self.newest = max(self.newest, second)
        if len(self._seconds) > 2 * _KEPT:
            for old in [s for s in self._seconds if s < self.newest - _KEPT]:
                del self._seconds[old]

    def at(self, second: int) -> FeedSecond | None:
        """Return what the feed said of a second, None if nothing."""
        return self._seconds.get(second)

    def seconds(self, first: int, end: int) -> list[int]:
        """List the seconds in [first, end) of which it said something."""
        return sorted(s for s in self._seconds if first <= s < end)


class WatchedFeed:
    """A feed, what it said lately, and what was kept of it.

    Attributes
    ----------
    up : bool
        Whether its link stands.
    ill_at : int
        When something was wrong with it last, ns UTC.
    silent : int
        Seconds in succession in which only the other feed traded.
    kept : deque of (int, TradeBlock)
        Trades by second that were not handed out.
    since : int
        Second from which on nothing of it is missing; 0 until that is known.
    seen : Counter
        Prints of the second that is being handed out.
    """

    def __init__(self, name: str, near_ticks: int, numbered: bool, hold_s: float) -> None:
        self.name = name
        self.watch = FeedWatch(near_ticks)
        self.up = True
        self.ill_at = 0
        self.silent = 0
        self.kept: deque[tuple[int, TradeBlock]] = deque()
        self.since = 0
        self.seen: Counter[tuple[int, int]] = Counter()
        self._numbered, self._hold_s = numbered, hold_s
        self._heard: deque[tuple[int, int]] = deque(maxlen=_KEPT * 4)
        self._keys: dict[int, set[tuple[int, int]]] = {}

    def fresh(self, second: int, block: TradeBlock, seq: NDArray[np.int32]) -> TradeBlock:
        """Leave out trades that came before, as far as the feed numbers them."""
        if not self._numbered:
            return block
        known = self._keys.setdefault(second, set())
        new = []
        for k, key in enumerate(zip(block.ts_event.tolist(), seq.tolist(), strict=True)):
            if key not in known:
                known.add(key)
                new.append(k)
        if len(self._keys) > 2 * self._hold_s:
            for old in [s for s in self._keys if s < self.watch.newest - self._hold_s]:
                del self._keys[old]
        return block if len(new) == len(block) else selected(block, np.array(new, np.int64))

    def take(self, second: int, block: TradeBlock, now: int) -> None:
        """Note what it said of a second, at an instant (ns UTC)."""
        if second > self.watch.newest:
            self._heard.append((second, now))
        self.since = self.since or second + 1
        self.watch.add(second, block)

    def ahead_for(self, rival: "WatchedFeed", now: int) -> int:
        """Return for how long (ns) it has had trades of a second that the rival has not reached."""
        while self._heard and self._heard[0][0] <= rival.watch.newest:
            self._heard.popleft()
        return now - self._heard[0][1] if self._heard else 0

    def trim(self, first: int) -> None:
        """Let go of what was kept of seconds before `first`, and of what is too old."""
        least = self.watch.newest - self._hold_s
        while self.kept and self.kept[0][0] < max(first, least):
            second, _ = self.kept.popleft()
            if second >= first:
                self.since = second + 1


@dataclass(frozen=True, slots=True)
class Finding:
    """What the comparison of a second says.

    Attributes
    ----------
    second : int
    silent : str
        Feed that had nothing while the other traded; empty otherwise.
    apart : int
        Ticks between the ranges of the two; 0 where they meet or one has nothing.
    """

    second: int
    silent: str
    apart: int


class FeedComparison:
    """Compares two feeds over seconds that both have left behind.

    Parameters
    ----------
    first, second : (str, FeedWatch)
    """

    def __init__(self, first: tuple[str, FeedWatch], second: tuple[str, FeedWatch]) -> None:
        self._feeds = first, second
        self._done = 0

    def findings(self) -> Iterator[Finding]:
        """Yield each second that was not compared before."""
        (one, a), (two, b) = self._feeds
        if not a.newest or not b.newest:
            return
        end = min(a.newest, b.newest)
        if not self._done:
            # The first second of a feed is incomplete.
            self._done = end
            return
        for second in sorted({*a.seconds(self._done, end), *b.seconds(self._done, end)}):
            ours, theirs = a.at(second), b.at(second)
            if ours is None or theirs is None:
                yield Finding(second, one if ours is None else two, 0)
            else:
                apart = max(ours.low - theirs.high, theirs.low - ours.high, 0)
                yield Finding(second, "", apart)
        self._done = max(self._done, end)


def by_second(block: TradeBlock) -> Iterator[tuple[int, TradeBlock]]:
    """Split trades by second, seconds in order, trades of one in the order in which they came."""
    seconds = block.ts_event // SECOND_NS
    if len(seconds) and seconds[0] == seconds[-1] and (seconds == seconds[0]).all():
        yield int(seconds[0]), block
        return
    for second in np.unique(seconds).tolist():
        yield second, selected(block, np.flatnonzero(seconds == second))


def selected(block: TradeBlock, which: NDArray[np.int64]) -> TradeBlock:
    """Return some of the trades."""
    return TradeBlock(
        block.contract,
        block.ts_event[which],
        block.price[which],
        block.size[which],
        block.aggressor_side[which],
        block.bid_price[which],
        block.ask_price[which],
        block.kind,
    )

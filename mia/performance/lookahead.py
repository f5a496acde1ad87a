"""Look-ahead check: change the future, and see that the past stays as it was.

A cut is the close of a bar. Everything that a run observed up to it (decisions with all their
numbers, rows of the kernels, fills) must be the same, to the byte, whatever the market does
afterwards. A rule that peeks at later data gives itself away at the cuts that it peeked over.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mia.core.base_types import MISSING_PRICE, BarBlock, Block, TradeBlock

Observation = tuple[int, str]
"""Instant at which something was known (ns UTC), and all of it as text."""

Observe = Callable[[Iterable[Block]], Sequence[Observation]]


@dataclass(frozen=True, slots=True)
class Violation:
    """What a run knew too early: the cut, and the first observation that changed."""

    cut: int
    expected: str
    found: str


def times_of(block: Block) -> NDArray[np.int64]:
    """Return when each row is known: a trade at its time, a bar at its close."""
    if isinstance(block, TradeBlock):
        return block.ts_event
    return block.t_open + block.width_s * 1_000_000_000


def perturbed(blocks: Iterable[Block], cut: int, seed: int, reach: int) -> Iterator[Block]:
    """Yield the blocks with another future after `cut`, up to `reach` rows of it.

    Prices are mirrored at the last known one and drift away by a random walk; quotes move with
    them; sizes, sides, volumes, counts and the shapes of bars are drawn anew. Order and times
    stay, so that bars and sessions begin and end where they did; what a source does not have
    (quotes, counts, bid and ask volume) stays missing.
    """
    rng = np.random.Generator(np.random.PCG64([seed, cut & 0xFFFFFFFF]))
    left = reach
    mirror: int | None = None
    for block in blocks:
        if not len(block):
            yield block
            continue
        prices = block.price if isinstance(block, TradeBlock) else block.close
        known = times_of(block) <= cut
        first = len(block) if known.all() else int(np.argmin(known))
        if first:
            mirror = int(prices[first - 1])
        elif mirror is None:
            mirror = int(prices[0])
        if first == len(block):
            yield block
            continue
        stop = min(len(block), first + left)
        left -= stop - first
        if isinstance(block, TradeBlock):
            yield _changed_trades(block, first, stop, mirror, rng)
        else:
            yield _changed_bars(block, first, stop, mirror, rng)
        if left <= 0:
            return


def _changed_trades(
    block: TradeBlock, first: int, stop: int, mirror: int, rng: np.random.Generator
) -> TradeBlock:
    n = stop - first
    drift = np.cumsum(rng.integers(-3, 4, size=n))
    changed = {
        name: getattr(block, name)[:stop].copy()
        for name in ("price", "size", "aggressor_side", "bid_price", "ask_price")
    }
    future = slice(first, stop)
    changed["price"][first:] = _reflected(block.price[future], mirror, drift)
    changed["bid_price"][first:] = _reflected(block.ask_price[future], mirror, drift)
    changed["ask_price"][first:] = _reflected(block.bid_price[future], mirror, drift)
    changed["size"][first:] = rng.integers(1, 400, size=n)
    changed["aggressor_side"][first:] = rng.integers(-1, 2, size=n)
    return replace(block, ts_event=block.ts_event[:stop], **changed)


def _reflected(
    prices: NDArray[np.int32], mirror: int, drift: NDArray[np.int64]
) -> NDArray[np.int64]:
    moved: NDArray[np.int64] = 2 * mirror - prices.astype(np.int64) + drift
    return np.where(prices == MISSING_PRICE, MISSING_PRICE, moved)


def _changed_bars(
    block: BarBlock, first: int, stop: int, mirror: int, rng: np.random.Generator
) -> BarBlock:
    n = stop - first
    drift = np.cumsum(rng.integers(-3, 4, size=n))
    names = ("open", "high", "low", "close", "volume", "bid_volume", "ask_volume", "trades")
    changed = {name: getattr(block, name)[:stop].copy() for name in names}
    future = slice(first, stop)
    opened = _reflected(block.open[future], mirror, drift)
    closed = _reflected(block.close[future], mirror, drift) + rng.integers(-4, 5, size=n)
    tops = np.maximum(_reflected(block.low[future], mirror, drift), np.maximum(opened, closed))
    floors = np.minimum(_reflected(block.high[future], mirror, drift), np.minimum(opened, closed))
    changed["open"][first:] = opened
    changed["close"][first:] = closed
    changed["high"][first:] = tops + rng.integers(0, 4, size=n)
    changed["low"][first:] = floors - rng.integers(0, 4, size=n)
    volume = rng.integers(1, 20_000, size=n)
    bought = rng.integers(0, volume + 1)
    sided = block.bid_volume[future] + block.ask_volume[future] > 0
    changed["volume"][first:] = volume
    counted = block.trades[future] > 0
    changed["trades"][first:] = np.where(counted, rng.integers(1, volume + 1), 0)
    changed["ask_volume"][first:] = np.where(sided, bought, 0)
    changed["bid_volume"][first:] = np.where(sided, volume - bought, 0)
    return replace(block, t_open=block.t_open[:stop], **changed)


def check_lookahead(
    blocks: Callable[[], Iterable[Block]],
    observe: Observe,
    cuts: Sequence[int],
    *,
    seed: int = 0,
    reach: int = 100_000,
) -> list[Violation]:
    """Run once as it was and once per cut with another future, and compare what was known.

    Parameters
    ----------
    blocks : callable
        Starts a new pass over the data.
    observe : callable
        Runs over blocks and returns everything that it knew, each with its instant.
    cuts : sequence of int
        Closes of bars, ns UTC.
    seed : int
        Of the other futures.
    reach : int
        Rows of changed future that a run is given.

    Returns
    -------
    list of Violation
        Empty if no past changed.
    """
    baseline = observe(blocks())
    violations = []
    for cut in cuts:
        expected = [text for ts, text in baseline if ts <= cut]
        found = [text for ts, text in observe(perturbed(blocks(), cut, seed, reach)) if ts <= cut]
        if expected == found:
            continue
        pairs = zip(expected + [""] * len(found), found + [""] * len(expected), strict=False)
        was, became = next(pair for pair in pairs if pair[0] != pair[1])
        violations.append(Violation(cut, was, became))
    return violations


def sample_cuts(
    closes: Sequence[int], decisions: Sequence[int], samples: int, seed: int
) -> list[int]:
    """Choose closes to cut at: half of them at decisions, where a peek would pay, half anywhere.

    Parameters
    ----------
    closes, decisions : sequence of int
        Instants, ns UTC.
    samples : int
        How many at most.
    seed : int

    Returns
    -------
    list of int
        Ascending, without repetition.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    chosen: set[int] = set()
    for pool, share in ((decisions, samples // 2), (closes, samples)):
        wanted = min(len(pool), share - len(chosen))
        if wanted > 0:
            picked = rng.choice(len(pool), size=wanted, replace=False)
            chosen.update(int(pool[k]) for k in picked)
    return sorted(chosen)

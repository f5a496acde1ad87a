"""Look-ahead check: change the future, and see that the past stays as it was.

A cut is the close of a bar. Everything that a run observed up to it (decisions with all their
numbers, rows of the kernels, fills) must be the same, to the byte, whatever the market does
afterwards. A rule that peeks at later data gives itself away at the cuts that it peeked over.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mia.core.base_types import Block, TradeBlock

Observation = tuple[int, str]
"""Instant at which something was known (ns UTC), and all of it as text."""

Observe = Callable[[Iterable[Block]], Sequence[Observation]]


@dataclass(frozen=True, slots=True)
class Violation:
    """What a run knew too early: the cut, and the first observation that changed."""

    cut: int
    expected: str
    found: str


def times_of(block: Block) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return when each row is known: a trade at its time, a bar at its close."""
    if isinstance(block, TradeBlock):
        return block.ts_event
    return block.t_open + block.width_s * 1_000_000_000


def perturbed(blocks: Iterable[Block], cut: int, seed: int, reach: int) -> Iterator[Block]:
    """Yield the blocks with another future after `cut`, up to `reach` rows of it.

    Prices drift away by a random walk, sizes and sides are drawn anew, order and times stay, so
    that bars and sessions begin and end where they did.
    """
    rng = np.random.Generator(np.random.PCG64([seed, cut & 0xFFFFFFFF]))
    left = reach
    for block in blocks:
        times = times_of(block)
        known = times <= cut
        first = int(np.argmin(known)) if not known.all() else len(block)
        if first == len(block):
            yield block
            continue
        stop = min(len(block), first + left)
        left -= stop - first
        yield _changed(block, first, stop, rng)
        if left <= 0:
            return


def _changed(block: Block, first: int, stop: int, rng: np.random.Generator) -> Block:
    n = stop - first
    drift = np.cumsum(rng.integers(-3, 4, size=n))
    if isinstance(block, TradeBlock):
        price = block.price[:stop].copy()
        size = block.size[:stop].copy()
        side = block.aggressor_side[:stop].copy()
        price[first:] += drift.astype(np.int32)
        size[first:] = rng.integers(1, 400, size=n)
        side[first:] = rng.integers(-1, 2, size=n)
        return replace(
            block,
            ts_event=block.ts_event[:stop],
            price=price,
            size=size,
            aggressor_side=side,
            bid_price=block.bid_price[:stop],
            ask_price=block.ask_price[:stop],
        )
    columns = {name: getattr(block, name)[:stop].copy() for name in ("open", "high", "low", "close")}
    for values in columns.values():
        values[first:] += drift.astype(np.int32)
    volume = block.volume[:stop].copy()
    volume[first:] = rng.integers(1, 20_000, size=n)
    bought = block.ask_volume[:stop].copy()
    bought[first:] = rng.integers(0, volume[first:] + 1)
    sold = block.bid_volume[:stop].copy()
    sold[first:] = volume[first:] - bought[first:]
    return replace(
        block,
        t_open=block.t_open[:stop],
        volume=volume,
        bid_volume=sold,
        ask_volume=bought,
        trades=block.trades[:stop],
        **columns,
    )


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


def sample_cuts(closes: Sequence[int], decisions: Sequence[int], samples: int, seed: int) -> list[int]:
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

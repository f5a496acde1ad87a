"""Arrival of trades: immigrants at the rate of the day, each the root of a self-exciting cluster.

An exponential-kernel Hawkes process is the union of independent clusters: an immigrant has a
Poisson number of children on each time scale, an exponential delay after it, and so has each of
its children. Building it generation by generation is exact, and needs no thinning.
"""

from math import fsum, sqrt

import numpy as np
from numpy.typing import NDArray

from mia.data.synthetic import exact, intraday
from mia.data.synthetic.clock import SECOND_NS, SyntheticSession

MINUTE_S = 60

SCALES = ((0.45, 0.011), (0.225, 0.40), (0.17, 9.0))
"""Mean number of children and mean delay in seconds on each time scale."""

BURST_CHANCE = 0.00075
BURST_CHILDREN = 46.0
"""Now and then a trade has this many children on the fastest scale instead."""

BRANCHING = fsum(children for children, _ in SCALES) + BURST_CHANCE * (
    BURST_CHILDREN - SCALES[0][0]
)

ACTIVITY_SD = 0.34
"""Standard deviation of the logarithm of the slowly varying activity."""

ACTIVITY_PERSISTENCE = 0.95
"""Its correlation from one minute to the next."""


def activity(session: SyntheticSession, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a factor of mean 1 for each minute of the session."""
    log = exact.autoregressive(exact.normal(rng.random(1380)), ACTIVITY_PERSISTENCE)
    factor = exact.exp(ACTIVITY_SD * log - 0.5 * ACTIVITY_SD * ACTIVITY_SD)
    return factor[: session.seconds // MINUTE_S]


def minute_counts(session: SyntheticSession, trades: float) -> NDArray[np.float64]:
    """Return the expected trades of each minute when a full session has `trades` of them.

    Minutes in which the exchange pauses have the others' share, and lose their trades later.
    """
    share = np.repeat(intraday.TRADE_SHARE, intraday.SLOT_S // MINUTE_S)
    per_slot = intraday.SLOT_S // MINUTE_S
    return trades * share[: session.seconds // MINUTE_S] / per_slot


def immigrants(
    session: SyntheticSession, expected: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the times, ns after the open, of a Poisson process of `expected` points a minute."""
    cumulative = np.concatenate(([0.0], np.cumsum(expected)))
    total = float(cumulative[-1])
    draws = int(total + 8.0 * sqrt(total)) + 32
    position = np.cumsum(exact.exponential(rng.random(draws)))
    position = position[position < total]
    minute = np.searchsorted(cumulative, position, side="right") - 1
    fraction = (position - cumulative[minute]) / expected[minute]
    offset = (fraction * (MINUTE_S * SECOND_NS)).astype(np.int64)
    return minute.astype(np.int64) * (MINUTE_S * SECOND_NS) + offset


def cluster(
    roots: NDArray[np.int64],
    end: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Return the sorted times before `end` of `roots` and of all their descendants."""
    tables = [exact.poisson_table(children) for children, _ in SCALES]
    tables[0] = exact.poisson_table(SCALES[0][0], BURST_CHANCE, BURST_CHILDREN)
    generations = [roots]
    parents = roots
    while len(parents):
        brood = []
        for table, (_, delay) in zip(tables, SCALES, strict=True):
            count = np.searchsorted(table, rng.random(len(parents)), side="right")
            born = np.repeat(parents, count)
            wait = exact.exponential(rng.random(len(born))) * (delay * SECOND_NS)
            born = born + wait.astype(np.int64)
            brood.append(born[born < end])
        parents = np.concatenate(brood)
        generations.append(parents)
    return np.sort(np.concatenate(generations))


def arrival_times(
    session: SyntheticSession, expected: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the times of a session's trades, ns UTC, ascending.

    Parameters
    ----------
    session : SyntheticSession
        Which trading hours.
    expected : ndarray of float64, shape (minutes,)
        Expected trades of each minute, descendants included.
    rng : Generator
        Stream of the arrivals.
    """
    roots = immigrants(session, expected * (1.0 - BRANCHING), rng)
    ts = session.t_open + cluster(roots, session.t_close - session.t_open, rng)
    if len(session.spans) == 1:
        return ts
    parts = [np.searchsorted(ts, span) for span in session.spans]
    return np.concatenate([ts[start:end] for start, end in parts])

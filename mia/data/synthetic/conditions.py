"""What distinguishes one day from the next: activity, volatility, and news at fixed hours."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from mia.data.synthetic import arrivals, exact, intraday
from mia.data.synthetic.clock import SECOND_NS, SyntheticSession

Array = NDArray[np.float64]

MEDIAN_VARIANCE = 1.65
"""Variance per trade of the median day against the reference day, which was a quiet one."""

SLOW, FAST = 0.955, 0.30
SLOW_SHARE = 0.62
"""A day's log factors are a slow and a fast AR(1), the slow one with this share of the variance."""

VOLUME_SD = 0.42
VOLATILITY_SD = 0.65
VOLUME_LOADING = 0.5
"""Standard deviations of the log of a day's volume and of its variance per trade, and their
correlation."""

SWING_SD = 0.65
SWING_PERSISTENCE = 0.98
"""Log variance within the day: standard deviation, and correlation from minute to minute."""

VARIANCE_PER_TRADE = 0.0405
"""Variance of the efficient price per trade on the reference day, ticks squared."""

RARE_CHANCE = 0.0012
RARE_FACTOR = 10.0
"""Some trades move the efficient price by a multiple of the usual step."""

NEWS_S = ((52_200, 0.45, 6.0, 1.5), (57_600, 0.35, 5.0, 0.5), (72_000, 0.08, 12.0, 1.0))
"""Seconds from the open (08:30, 10:00, 14:00 New York), chance in a day, standard deviation of
the jump in ticks on the reference day, and additional activity at the release."""

NEWS_DECAY = 0.75
"""What is left of the additional activity a minute later."""


@dataclass(frozen=True, slots=True)
class DayFactors:
    """Factors of each session against the reference day.

    Attributes
    ----------
    volume, variance : ndarray of float64, shape (sessions,)
        Of the number of trades (mean 1) and of the price variance per trade.
    """

    volume: Array
    variance: Array


def day_factors(seed: int, days: int) -> DayFactors:
    """Draw the factors of `days` sessions; a longer market has the same first ones."""
    u = np.array([exact.generator(seed, k, Stream.DAY).random(4) for k in range(days)])
    z = exact.normal(u.reshape(-1)).reshape(-1, 4)
    logs = []
    for slow, fast in ((0, 1), (2, 3)):
        logs.append(
            sqrt(SLOW_SHARE) * exact.autoregressive(z[:, slow], SLOW)
            + sqrt(1.0 - SLOW_SHARE) * exact.autoregressive(z[:, fast], FAST)
        )
    mixed = VOLUME_LOADING * logs[0] + sqrt(1.0 - VOLUME_LOADING * VOLUME_LOADING) * logs[1]
    return DayFactors(
        exact.exp(VOLUME_SD * logs[0] - 0.5 * VOLUME_SD * VOLUME_SD),
        MEDIAN_VARIANCE * exact.exp(VOLATILITY_SD * mixed),
    )


class Stream:
    """Numbers of the random streams of a session."""

    DAY = 1
    ACTIVITY = 2
    ARRIVALS = 3
    SIZES = 4
    PRICE = 5
    SWING = 6
    NEWS = 7
    QUOTE = 8
    BOOK = 9
    FILLS = 10
    PATTERNS = 11
    FAULTS = 12
    GAP = 13


@dataclass(frozen=True, slots=True)
class News:
    """Releases of one session: second after the open, jump in ticks, additional activity."""

    second: tuple[int, ...]
    jump: tuple[float, ...]
    boost: tuple[float, ...]


def draw_news(session: SyntheticSession, rng: np.random.Generator) -> News:
    """Draw which scheduled releases of a session happen, and what they do."""
    u = rng.random((len(NEWS_S), 2))
    z = exact.normal(u[:, 1])
    happens = [
        (second, sd * float(z[k]), boost)
        for k, (second, chance, sd, boost) in enumerate(NEWS_S)
        if u[k, 0] < chance and second < session.seconds
    ]
    return News(
        tuple(item[0] for item in happens),
        tuple(item[1] for item in happens),
        tuple(item[2] for item in happens),
    )


def boosted(expected: Array, news: News) -> Array:
    """Return the expected trades of each minute with the activity that the releases add."""
    out = expected.copy()
    for second, boost in zip(news.second, news.boost, strict=True):
        minute = second // arrivals.MINUTE_S
        extra = boost
        for k in range(minute, min(minute + 20, len(out))):
            out[k] = out[k] * (1.0 + extra)
            extra *= NEWS_DECAY
    return out


def price_steps(
    session: SyntheticSession,
    ts: NDArray[np.int64],
    size: NDArray[np.int32],
    variance: float,
    seed: int,
) -> Array:
    """Return the martingale increments of the efficient price, in ticks, one for each trade.

    Their variance grows with the square root of the trade's size.
    """
    ordinal = session.ordinal
    swing_u = exact.generator(seed, ordinal, Stream.SWING).random(1380)
    swing = exact.autoregressive(exact.normal(swing_u), SWING_PERSISTENCE)
    per_slot = intraday.SLOT_S // arrivals.MINUTE_S
    minute_variance = (
        (VARIANCE_PER_TRADE * variance)
        * np.repeat(intraday.VARIANCE, per_slot)
        * exact.exp(SWING_SD * swing - 0.5 * SWING_SD * SWING_SD)
    )
    scale = np.sqrt(minute_variance)
    minute = (ts - session.t_open) // (arrivals.MINUTE_S * SECOND_NS)
    u = exact.generator(seed, ordinal, Stream.PRICE).random((len(ts), 2))
    z = exact.normal(u[:, 0])
    rare = np.where(u[:, 1] < RARE_CHANCE, RARE_FACTOR, 1.0)
    return np.asarray(scale[minute] * intraday.IMPACT[size] * z * rare)


def price_jumps(
    session: SyntheticSession, ts: NDArray[np.int64], news: News, variance: float
) -> Array:
    """Return the jumps of the releases, each at the first trade after it."""
    out = np.zeros(len(ts))
    for second, jump in zip(news.second, news.jump, strict=True):
        k = int(np.searchsorted(ts, session.t_open + second * SECOND_NS))
        if k < len(out):
            out[k] += jump * sqrt(variance)
    return out

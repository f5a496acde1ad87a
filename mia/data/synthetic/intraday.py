"""How activity, trade size and volatility depend on the time of day, and the mix of sizes.

Knots stand at the start of a five-minute slot in Chicago time; slots between two knots lie on
the straight line between them. They trace the reverse J of the cash session with its closing
spike, and the three regional openings before it.
"""

from math import fsum

import numpy as np
from numpy.typing import NDArray

from mia.data.synthetic import exact

Array = NDArray[np.float64]

SLOT_S = 300
SLOTS = 276

VOLUME_KNOTS = {
    "17:00": 2.0, "17:05": 1.6, "17:30": 1.1, "18:30": 0.95, "19:00": 1.6, "19:30": 1.2,
    "20:00": 0.75, "20:05": 1.0, "21:00": 0.85, "22:30": 0.75, "23:30": 0.6, "00:30": 0.8,
    "01:00": 1.6, "01:55": 1.3, "02:00": 2.7, "02:05": 2.6, "03:00": 2.5, "04:00": 2.2,
    "05:30": 2.0, "06:30": 2.4, "07:00": 3.4, "07:25": 3.3, "07:30": 5.8, "07:35": 5.4,
    "08:00": 5.2, "08:20": 5.0, "08:25": 8.0, "08:30": 37.5, "08:35": 27.8, "08:40": 25.2,
    "08:55": 20.5, "09:00": 23.5, "09:05": 22.0, "09:30": 18.8, "09:55": 15.8, "10:00": 17.1,
    "10:30": 14.6, "11:00": 12.6, "11:30": 11.2, "12:00": 12.3, "12:05": 11.0, "12:55": 11.0,
    "13:00": 14.1, "13:05": 12.2, "13:30": 12.4, "13:55": 12.8, "14:00": 14.7, "14:05": 14.0,
    "14:30": 17.0, "14:45": 19.8, "14:50": 30.0, "14:55": 80.3, "15:00": 32.0, "15:05": 9.6,
    "15:10": 8.6, "15:15": 2.6, "15:25": 1.8, "15:30": 1.7, "15:35": 1.3, "15:55": 1.4,
}  # fmt: skip
"""Thousands of contracts in a slot of an ordinary day."""

TILT_KNOTS = {
    "17:00": -0.9, "00:30": -0.9, "02:00": -0.4, "07:25": -0.3, "08:25": -0.2, "08:30": 0.0,
    "14:25": 0.0, "14:50": 0.3, "15:00": 0.9, "15:05": 0.3, "15:30": -0.3, "15:55": -0.6,
}  # fmt: skip
"""Share of trades drawn from the smaller (negative) or larger (positive) tilt of the size mix."""

VARIANCE_KNOTS = {
    "17:00": 2.4, "19:00": 1.8, "00:30": 1.4, "02:00": 1.4, "08:25": 1.3, "08:30": 1.0,
    "10:30": 1.1, "14:30": 1.1, "14:50": 0.75, "14:55": 0.45, "15:00": 0.6, "15:05": 1.2,
    "15:55": 1.4,
}  # fmt: skip
"""Variance of the efficient price per trade, relative to the middle of the day."""

SIZE_KNOTS = (
    (0.0000, 1.0), (0.4500, 1.0), (0.4501, 2.0), (0.5450, 2.0), (0.6100, 3.0), (0.6900, 4.0),
    (0.7450, 5.0), (0.7950, 7.0), (0.8500, 10.0), (0.8980, 14.0), (0.9500, 25.0), (0.9750, 40.0),
    (0.9900, 64.0), (0.9950, 90.0), (0.9990, 160.0), (0.9999, 300.0), (1.0000, 900.0),
)  # fmt: skip
"""Points of the distribution function of the size of a trade in the cash session."""

SIZE_CELLS = 1 << 16


def slot_of(label: str) -> int:
    """Return the index, from 17:00 Chicago, of the slot that starts at `label` (HH:MM)."""
    minutes = int(label[:2]) * 60 + int(label[3:])
    return (minutes - 17 * 60) % 1440 * 60 // SLOT_S


def by_slot(knots: dict[str, float]) -> Array:
    """Return the piecewise linear table through `knots`, one value for each slot."""
    points = [(slot_of(label), value) for label, value in knots.items()]
    out = np.empty(SLOTS)
    for (left, a), (right, b) in zip(points, [*points[1:], (SLOTS, points[-1][1])], strict=True):
        for k in range(left, right):
            out[k] = a + (b - a) * (k - left) / (right - left)
    return out


def size_table() -> NDArray[np.int32]:
    """Return the size of a trade for each of `SIZE_CELLS` equal steps of a uniform variable."""
    p = np.array([knot[0] for knot in SIZE_KNOTS])
    size = exact.ln([knot[1] for knot in SIZE_KNOTS])
    u = (np.arange(SIZE_CELLS) + 0.5) / SIZE_CELLS
    at = np.searchsorted(p, u, side="right") - 1
    log = size[at] + (size[at + 1] - size[at]) * ((u - p[at]) / (p[at + 1] - p[at]))
    return np.rint(exact.exp(log)).astype(np.int32)


SIZES = size_table()
VOLUME = by_slot(VOLUME_KNOTS)
TILT = by_slot(TILT_KNOTS)
VARIANCE = by_slot(VARIANCE_KNOTS)


def impact_table() -> Array:
    """Return the step of the efficient price by trade size, of mean square 1 over the mix."""
    root = np.sqrt(np.arange(int(SIZES.max()) + 1, dtype=np.float64))
    mean = fsum(root[SIZES].tolist()) / SIZE_CELLS
    return np.asarray(np.sqrt(root / mean))


IMPACT = impact_table()


def draw_sizes(u: Array, choice: Array, tilt: Array) -> NDArray[np.int32]:
    """Return trade sizes in contracts.

    Parameters
    ----------
    u, choice : ndarray of float64, shape (n,)
        Uniforms in [0, 1).
    tilt : ndarray of float64, shape (n,)
        Share of trades drawn from a tilted mix, in [-1, 1].
    """
    tilted = np.where(tilt > 0, np.sqrt(u), u * u)
    v = np.where(choice < np.abs(tilt), tilted, u)
    return SIZES[np.minimum((v * SIZE_CELLS).astype(np.int64), SIZE_CELLS - 1)]


def mean_size() -> Array:
    """Return the expected size of a trade in each slot."""
    u = (np.arange(SIZE_CELLS) + 0.5) / SIZE_CELLS
    cell = [
        np.minimum((v * SIZE_CELLS).astype(np.int64), SIZE_CELLS - 1) for v in (u * u, np.sqrt(u))
    ]
    plain = int(SIZES.sum()) / SIZE_CELLS
    small, large = (int(SIZES[c].sum()) / SIZE_CELLS for c in cell)
    return np.where(
        TILT > 0, plain + TILT * (large - plain), plain - np.abs(TILT) * (plain - small)
    )


TRADES = VOLUME / mean_size()
TRADE_SHARE = TRADES / fsum(TRADES.tolist())
"""Share of a day's trades in each slot."""

"""From single fills to trades: one aggressor order at one price."""

import numpy as np
from numpy.typing import NDArray

from mia.data.raw import TradeFlag


def summary_starts(
    ts_event: NDArray[np.int64],
    price: NDArray[np.int32],
    aggressor_side: NDArray[np.int8],
    flags: NDArray[np.uint16],
) -> NDArray[np.intp]:
    """Return the index of the first fill of each trade.

    With first and last marks, the fills from a first to its last mark belong together; without
    any, consecutive fills of equal time. Either way price and side must be equal, so that a
    sweep through several prices is one trade at each.

    Parameters
    ----------
    ts_event, price, aggressor_side, flags : ndarray, shape (n,)
        Fills in the order of the source.

    Returns
    -------
    ndarray of intp
        Ascending, 0 first; empty without fills.
    """
    if not len(price):
        return np.empty(0, np.intp)
    first = (flags & TradeFlag.UNBUNDLED_FIRST) != 0
    last = (flags & TradeFlag.UNBUNDLED_LAST) != 0
    starts = np.ones(len(price), np.bool_)
    starts[1:] = (price[1:] != price[:-1]) | (aggressor_side[1:] != aggressor_side[:-1])
    if first.any() or last.any():
        index = np.arange(len(price))
        opened = np.maximum.accumulate(np.where(first, index, -1))
        closed = np.maximum.accumulate(np.where(last, index, -1))
        inside = opened[:-1] > closed[:-1]
        starts[1:] |= ~inside | first[1:]
    else:
        starts[1:] |= ts_event[1:] != ts_event[:-1]
    return np.flatnonzero(starts)

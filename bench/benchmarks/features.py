"""The feature vector alone: microseconds of a primary close spent on F1 to F8 and F15 to F18.

F9 to F14 are copied from the options' record at a close and cost nothing here.
"""

import timeit

import numpy as np

from benchmarks.market_state import state_for, tape
from mia._fast import feature_score, market_state, order_flow
from mia.core.kernel_params import kernel_params

TAIL = 21
LARGE = 100


def session_closes():
    """Run a session and return its rows, its trades, and how many were known at each close."""
    columns = tape(1, 200_000)
    state = state_for(columns, rows=4096)
    state.record = True
    state.wake = market_state.CLOSE
    stops, start = [], 0
    while start < len(columns[0]):
        start = state.advance(*columns, start)
        if state.events & market_state.CLOSE:
            stops.append(start)
    return state.take_rows(), columns, np.array(stops)


def thinned(columns, stops):
    """Keep the trades that features look at: the last of each bar, and the large ones."""
    index = np.arange(len(columns[0]))
    nearest = np.searchsorted(stops, index, side="right")
    kept = (columns[2] >= LARGE) | (nearest == len(stops))
    inside = nearest < len(stops)
    kept[inside] |= stops[nearest[inside]] - index[inside] <= TAIL
    return [column[kept] for column in columns], np.cumsum(kept)[stops - 1]


def footprint(columns, start, stop, bar):
    """Return bid and ask volume of a bar by price, lowest first."""
    sides = np.zeros((2, bar["high"] - bar["low"] + 1), np.int64)
    price, size, side = (column[start:stop] for column in columns[1:])
    for k, sign in enumerate((-1, 1)):
        np.add.at(sides[k], price[side == sign] - bar["low"], size[side == sign])
    return sides


class Features:
    timeout = 300

    def setup(self):
        self.rows, columns, stops = session_closes()
        self.bars = self.rows["bar"].copy()
        starts = np.concatenate([[0], stops[:-1]])
        self.prints = [
            footprint(columns, *span, bar)
            for *span, bar in zip(starts, stops, self.bars, strict=True)
        ]
        self.trades, self.stops = thinned(columns, stops)
        self.params = kernel_params()
        self.flow = order_flow.OrderFlow(self.params)
        self.stacked = np.array(
            [order_flow.bar_imbalance(*sides, self.params) for sides in self.prints]
        )
        # One call over all footprints, an empty row between any two: a call for each would
        # measure how the record of parameters crosses the boundary.
        self.joined = np.concatenate([np.pad(sides, ((0, 0), (0, 1))) for sides in self.prints], 1)

    def stack(self):
        order_flow.bar_imbalance(*self.joined, self.params)

    def fill(self):
        self.flow.fill(self.bars, self.rows, self.stacked, *self.trades, self.stops)
        feature_score.score_rows(self.rows, self.params)

    def track_microseconds_per_close(self):
        """All features, their validity, quality and score."""
        stacking = min(timeit.repeat(self.stack, number=1, repeat=7))
        filling = min(timeit.repeat(self.fill, number=1, repeat=7))
        return 1e6 * (stacking + filling) / len(self.bars)

    track_microseconds_per_close.unit = "us"

    def track_microseconds_without_f5(self):
        return 1e6 * min(timeit.repeat(self.fill, number=1, repeat=7)) / len(self.bars)

    track_microseconds_without_f5.unit = "us"

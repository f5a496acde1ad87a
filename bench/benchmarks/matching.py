"""Trades a second through the matching engine, against one pass over the same prices."""

import timeit

import numpy as np

from mia._fast import matching

LIMIT, STOP = 1, 2
TRADES = 1_000_000


def make_tape():
    rng = np.random.default_rng(7)
    price = 24_000 + np.cumsum(rng.choice([-1, 0, 0, 1], TRADES)).astype(np.int32)
    return (
        np.arange(TRADES, dtype=np.int64),
        price.astype(np.int32),
        rng.integers(1, 20, TRADES, dtype=np.int32),
    )


def engine_with(orders, tape):
    """Rest orders beyond the tape's extremes: they are watched and never filled."""
    engine = matching.MatchingEngine()
    low, high = int(tape[1].min()) - 10, int(tape[1].max()) + 10
    for k in range(orders):
        engine.submit(0, 1, *((LIMIT, 1, 0, low - k) if k % 2 else (STOP, 1, high + k)))
    return engine


class Advance:
    """A batch of a million trades that fills nothing."""

    params = [0, 4]
    param_names = ["working"]

    def setup(self, working):
        self.tape = make_tape()
        self.engine = engine_with(working, self.tape)

    def time_trades(self, working):
        self.engine.advance(*self.tape, 0, TRADES)


class OneBracket:
    """A bracket sent, filled and closed: what the Python side pays for a trade of ours."""

    def setup(self):
        self.entry = tuple(column[:1] for column in make_tape())
        self.engine = matching.MatchingEngine()

    def time_round_trip(self):
        engine, price = self.engine, int(self.entry[1][0])
        parent = engine.submit(0, 1, STOP, 1, price)
        engine.submit(0, -1, STOP, 0, price - 8, parent=parent)
        engine.submit(0, -1, LIMIT, 0, 0, price + 16, parent=parent)
        engine.advance(*self.entry, 0, 1)
        engine.submit(0, -1, 0, 0, parent=parent)
        engine.advance(*self.entry, 0, 1)


def track_passes_of_four_working_orders():
    """Time with four orders in units of one running sum over the prices."""
    tape = make_tape()
    engine = engine_with(4, tape)
    out = np.empty(TRADES, np.int64)
    matched = min(timeit.repeat(lambda: engine.advance(*tape, 0, TRADES), number=1, repeat=9))
    passed = min(timeit.repeat(lambda: np.cumsum(tape[1], out=out), number=1, repeat=9))
    return matched / passed


track_passes_of_four_working_orders.unit = "x"

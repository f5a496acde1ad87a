"""Tapes of the matching tests, written as prices or as (open, high, low, close) bars."""

from typing import NamedTuple

import numpy as np
from reference.matching import LIMIT, STOP

from mia._fast import matching, records

WIDTH = 60


class Seen(NamedTuple):
    """What a test looks at of a fill."""

    order_id: int
    ts: int
    quantity: int
    price: int
    reference: int


def trades(*prices, sizes=None, ts=None):
    """One contract each at times 1, 2, 3, ... unless told otherwise."""
    n = len(prices)
    return (
        np.array(ts if ts is not None else range(1, n + 1), np.int64),
        np.array(prices, np.int32),
        np.array(sizes if sizes is not None else [1] * n, np.int32),
    )


def bars(*rows, volume=100):
    """Bars of a minute from time 0 on, each (open, high, low, close)."""
    found = np.zeros(len(rows), records.BAR_DTYPE)
    for k, (first, high, low, close) in enumerate(rows):
        row = found[k]
        row["t_open"], row["t_close"] = k * WIDTH, (k + 1) * WIDTH
        row["open"], row["high"], row["low"], row["close"] = first, high, low, close
        row["volume"] = volume
    return found


def all_fills(engine, tape):
    """Run a whole tape and return every fill record."""
    by_bars = isinstance(tape, np.ndarray)
    length = len(tape) if by_bars else len(tape[0])
    at, found = 0, []
    while at < length:
        at = engine.advance_bars(tape, at, length) if by_bars else engine.advance(*tape, at, length)
        found.extend(engine.fills.copy())
    return found


def run(engine, tape):
    return [
        Seen(
            *(
                int(fill[name])
                for name in ("order_id", "ts", "quantity", "price", "reference_price")
            )
        )
        for fill in all_fills(engine, tape)
    ]


def alone(order_type, side, price, *, quantity=1, sent=0, **setup):
    """An engine with one order, sent at time 0 unless told otherwise."""
    engine = matching.MatchingEngine(**setup)
    engine.submit(sent, side, order_type, quantity, price, price)
    return engine


def bracket(order_type, price, stop, target, *, side=1, sent=0, **setup):
    """An engine with one bracket: 1 is its entry, 2 its protective stop, 3 its target."""
    engine = alone(order_type, side, price, sent=sent, **setup)
    engine.submit(sent, -side, STOP, 0, stop, parent=1)
    engine.submit(sent, -side, LIMIT, 0, 0, target, parent=1)
    return engine

"""The engine against its plain twin, and what must hold for every tape."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.matching import FLAT, LIMIT, MARKET, STOP, STOP_LIMIT, ReferenceEngine

from mia._fast import matching, records

small = st.integers(0, 6)
moves = st.sampled_from([-4, -2, -1, -1, 0, 0, 1, 1, 2, 4])


@st.composite
def tapes(draw):
    steps = draw(st.lists(st.tuples(moves, small, st.integers(-2, 8)), min_size=1, max_size=50))
    price = 100 + np.cumsum([s[0] for s in steps])
    ts = 1000 + np.cumsum([s[2] for s in steps])
    size = [max(0, s[1] - 1) for s in steps]
    return ts.astype(np.int64), price.astype(np.int32), np.array(size, np.int32)


@st.composite
def bar_tapes(draw):
    rows = draw(st.lists(st.tuples(moves, small, small, small, small), min_size=1, max_size=30))
    bars = np.zeros(len(rows), records.BAR_DTYPE)
    close = 100
    for k, (gap, down, up, end, volume) in enumerate(rows):
        first = close + gap
        low, high = first - down, first + up
        close = min(low + end, high)
        t_open = 1000 + 60 * k
        bars[k] = (0, t_open, t_open + 60, first, high, low, close, volume, *[0] * 8)
    return bars


requests = st.lists(
    st.tuples(
        st.integers(0, 49),
        st.sampled_from(["bracket", "bracket", "order", "child", "cancel", "modify", "ahead"]),
        st.integers(0, 3),
        st.sampled_from([-1, 1]),
        st.integers(1, 4),
        st.integers(-6, 6),
        st.integers(0, 5),
    ),
    max_size=10,
).map(lambda found: sorted(found, key=lambda request: request[0]))

setups = st.fixed_dictionaries(
    {"latency_ns": st.integers(0, 20), "slip_ticks": st.integers(0, 2), "queue": st.booleans()}
)


def send(engine, request, ts, price, ids):
    """Make one request; its answer and the ids it created show what the engine thought of it."""
    _, what, kind, side, quantity, offset, extra = request
    at = price + offset
    if what == "bracket":
        entry = engine.submit(ts, side, kind, quantity, at, at + side * extra, queue_ahead=extra)
        stop = engine.submit(ts, -side, STOP, 0, at - side * (1 + extra), parent=entry)
        target = engine.submit(ts, -side, LIMIT, 0, 0, at + side * (1 + extra), parent=entry)
        ids += [entry, stop, target]
        return entry
    if what == "order":
        ids.append(
            engine.submit(ts, side, kind, quantity, at, at, group=extra % 3, queue_ahead=extra)
        )
        return ids[-1]
    if not ids:
        return None
    chosen = ids[(quantity + 7 * extra) % len(ids)]
    try:
        if what == "child":
            ids.append(engine.submit(ts, -side, kind, 0, at, at, parent=chosen))
            return ids[-1]
        if what == "cancel":
            return engine.cancel(chosen, ts)
        if what == "modify":
            return engine.modify(chosen, ts, at, extra)
        return engine.set_queue_ahead(chosen, extra)
    except ValueError:
        return "refused"


def run_kernel(script, length, ts, price, advance, setup, cuts):
    """Run a script of requests; `cuts` are further places to split the tape at."""
    engine = matching.MatchingEngine(capacity=64, **setup)
    ids, fills, answers = [], [], []
    at = 0
    for request in [*script, (length,)]:
        goal = min(request[0], length)
        for stop in sorted({cut for cut in cuts if at < cut < goal} | {goal}):
            while at < stop:
                at = advance(engine, at, stop)
                fills += [tuple(map(int, fill)) for fill in engine.fills.tolist()]
        if len(request) > 1:
            seen = max(at - 1, 0)
            answers.append(send(engine, request, int(ts[seen]), int(price[seen]), ids))
    return fills, answers, engine


def run_reference(script, length, ts, price, step, setup):
    engine = ReferenceEngine(**setup)
    ids, answers = [], []
    at = 0
    for request in [*script, (length,)]:
        while at < min(request[0], length):
            step(engine, at)
            at += 1
        if len(request) > 1:
            seen = max(at - 1, 0)
            answers.append(send(engine, request, int(ts[seen]), int(price[seen]), ids))
    return [tuple(fill) for fill in engine.fills], answers, engine


def on_trades(tape):
    ts, price, size = tape
    return lambda engine, start, stop: engine.advance(ts, price, size, start, stop)


def on_bars(bars):
    return lambda engine, start, stop: engine.advance_bars(bars, start, stop)


cuts = st.sets(st.integers(1, 49))


@settings(max_examples=400, deadline=None)
@given(tapes(), requests, setups, cuts)
def test_fills_of_trades_are_those_of_the_twin_for_any_split(tape, script, setup, splits):
    ts, price, size = tape
    plain = run_reference(
        script,
        len(ts),
        ts,
        price,
        lambda engine, k: engine.on_trade(int(ts[k]), int(price[k]), int(size[k])),
        setup,
    )
    compiled = run_kernel(script, len(ts), ts, price, on_trades(tape), setup, splits)
    assert compiled[:2] == plain[:2]


@settings(max_examples=400, deadline=None)
@given(bar_tapes(), requests, setups, cuts)
def test_fills_of_bars_are_those_of_the_twin_for_any_split(bars, script, setup, splits):
    ts, price = bars["t_close"], bars["close"]
    plain = run_reference(
        script, len(bars), ts, price, lambda engine, k: engine.on_bar(bars[k]), setup
    )
    compiled = run_kernel(script, len(bars), ts, price, on_bars(bars), setup, splits)
    assert compiled[:2] == plain[:2]


@settings(max_examples=200, deadline=None)
@given(tapes(), requests, setups)
def test_what_is_open_is_what_entries_filled_less_what_exits_filled(tape, script, setup):
    ts, price, _ = tape
    fills, _, engine = run_kernel(script, len(ts), ts, price, on_trades(tape), setup, set())
    reference = run_reference(script, 0, ts[:1], price[:1], None, setup)[2]
    del reference
    filled = defaultdict(int)
    for fill in fills:
        filled[fill[0]] += fill[3]
    for order_id, quantity in filled.items():
        leaves, opened = engine.quantities(order_id)
        assert 0 <= opened <= quantity
        assert leaves >= 0

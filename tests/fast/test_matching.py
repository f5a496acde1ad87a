"""The engine against its plain twin, and what must hold for every tape."""

import threading
from collections import Counter
from typing import NamedTuple

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
    steps = draw(st.lists(st.tuples(moves, small, st.integers(-2, 8)), min_size=15, max_size=60))
    price = 100 + np.cumsum([s[0] for s in steps])
    ts = 1000 + np.cumsum([s[2] for s in steps])
    size = [max(0, s[1] - 1) for s in steps]
    return ts.astype(np.int64), price.astype(np.int32), np.array(size, np.int32)


@st.composite
def bar_tapes(draw):
    rows = draw(st.lists(st.tuples(moves, small, small, small, small), min_size=8, max_size=40))
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
        st.integers(0, 30),
        st.sampled_from(
            ["bracket", "bracket", "order", "child", "cancel", "modify", "ahead", "release"]
        ),
        st.integers(0, 3),
        st.sampled_from([-1, 1]),
        st.integers(1, 4),
        st.integers(-3, 3),
        st.integers(0, 5),
    ),
    min_size=2,
    max_size=12,
).map(lambda found: sorted(found, key=lambda request: request[0]))

setups = st.fixed_dictionaries(
    {
        "latency_ns": st.sampled_from([0, 0, 1, 5, 20]),
        "slip_ticks": st.integers(0, 2),
        "queue": st.booleans(),
    }
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
        if what == "release":
            return engine.release(chosen)
        return engine.set_queue_ahead(chosen, extra)
    except ValueError:
        return "refused"


def run_kernel(script, length, ts, price, advance, setup, cuts, wrap=lambda engine: engine):
    """Run a script of requests; `cuts` are further places to split the tape at."""
    engine = wrap(matching.MatchingEngine(capacity=128, **setup))
    ids, fills, answers = [], [], []
    at = 0
    for request in [*script, (length,)]:
        goal = min(request[0], length)
        for stop in sorted({cut for cut in cuts if at < cut < goal} | {goal}):
            while at < stop:
                at = advance(engine, at, stop)
                fills += engine.fills.tolist()
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


@settings(max_examples=100, deadline=None)
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


@settings(max_examples=100, deadline=None)
@given(bar_tapes(), requests, setups, cuts)
def test_fills_of_bars_are_those_of_the_twin_for_any_split(bars, script, setup, splits):
    ts, price = bars["t_close"], bars["close"]
    plain = run_reference(
        script, len(bars), ts, price, lambda engine, k: engine.on_bar(bars[k]), setup
    )
    compiled = run_kernel(script, len(bars), ts, price, on_bars(bars), setup, splits)
    assert compiled[:2] == plain[:2]


class Sent(NamedTuple):
    """A request to place an order, as the recorder below saw it."""

    ts: int
    side: int
    order_type: int
    quantity: int
    stop_price: int
    limit_price: int
    parent: int
    group: int


class Recorder:
    """Passes requests to an engine and remembers the orders that it took."""

    def __init__(self, engine):
        self.engine, self.sent, self.clock = engine, {}, -(2**62)

    def submit(self, ts, side, kind, quantity, stop=0, limit=0, parent=0, group=0, queue_ahead=0):
        order_id = self.engine.submit(
            ts, side, kind, quantity, stop, limit, parent, group, queue_ahead
        )
        self.clock = max(self.clock, ts)
        self.sent[order_id] = Sent(self.clock, side, kind, quantity, stop, limit, parent, group)
        return order_id

    def cancel(self, order_id, ts):
        self.clock = max(self.clock, ts)
        return self.engine.cancel(order_id, ts)

    def set_queue_ahead(self, order_id, queue_ahead):
        self.engine.set_queue_ahead(order_id, queue_ahead)

    def __getattr__(self, name):
        return getattr(self.engine, name)


fixed = requests.map(
    lambda found: [request for request in found if request[1] not in ("modify", "release")]
)


def check_invariants(fills, recorder, latency):
    sent, filled, opened = recorder.sent, Counter(), Counter()
    for order_id, ts, side, quantity, price, reference, flags, high, low in fills:
        order = sent[order_id]
        assert ts >= order.ts + latency
        assert side == order.side
        assert quantity > 0
        if order.order_type in (LIMIT, STOP_LIMIT):
            assert price == order.limit_price
        else:
            assert (price - reference) * side == recorder.slip_ticks
        filled[order_id] += quantity
        if order.parent:
            opened[order.parent] -= quantity
        else:
            opened[order_id] += quantity
            assert filled[order_id] <= order.quantity
        entry = order.parent or order_id
        assert 0 <= opened[entry] <= sent[entry].quantity
        assert bool(flags & FLAT) == (opened[entry] == 0)
        assert low <= high
    for order_id, order in sent.items():
        leaves, open_quantity = recorder.quantities(order_id)
        if not order.parent and any(o.parent == order_id for o in sent.values()):
            assert open_quantity == opened[order_id]
        if not order.parent:
            assert filled[order_id] + leaves <= order.quantity
    for group in {order.group for order in sent.values()} - {0}:
        members = [order_id for order_id, order in sent.items() if order.group == group]
        done = [k for k in members if filled[k] == sent[k].quantity]
        # A member sent after the group had ended is a new order, so ends are counted in time.
        assert len(done) <= 1 or len({sent[k].ts for k in members}) > 1


@settings(max_examples=100, deadline=None)
@given(tapes(), fixed, setups, cuts)
def test_quantities_are_conserved_and_no_fill_is_early_or_better_than_its_limit(
    tape, script, setup, splits
):
    ts, price, _ = tape
    fills, _, recorder = run_kernel(
        script, len(ts), ts, price, on_trades(tape), setup, splits, Recorder
    )
    check_invariants(fills, recorder, setup["latency_ns"])


@settings(max_examples=100, deadline=None)
@given(bar_tapes(), fixed, setups, cuts)
def test_bars_conserve_quantities_and_fill_after_the_request(bars, script, setup, splits):
    fills, _, recorder = run_kernel(
        script,
        len(bars),
        bars["t_close"],
        bars["close"],
        on_bars(bars),
        setup,
        splits,
        Recorder,
    )
    check_invariants(fills, recorder, 0)


@settings(max_examples=100, deadline=None)
@given(tapes(), fixed, setups)
def test_exits_are_never_blocked(tape, script, setup):
    ts, price, _ = tape
    recorder = run_kernel(script, len(ts), ts, price, on_trades(tape), setup, set(), Recorder)[2]
    entries = [k for k, order in recorder.sent.items() if not order.parent]
    now = max(recorder.clock, int(ts.max()))
    for entry in entries:
        recorder.cancel(entry, now)
        if recorder.quantities(entry)[1]:
            side = -recorder.sent[entry].side
            recorder.submit(now, side, MARKET, 0, parent=entry)
    after = np.full(64, now + setup["latency_ns"], np.int64)
    quiet = np.full(64, price[-1], np.int32)
    at = 0
    while at < 64:
        at = recorder.advance(after, quiet, np.ones(64, np.int32), at, 64)
    assert recorder.is_idle


def test_request_during_an_advance_in_another_thread_is_refused():
    n = 1_000_000
    tape = np.zeros(n, np.int64), np.full(n, 100, np.int32), np.ones(n, np.int32)
    engine = matching.MatchingEngine()
    order_id = engine.submit(0, 1, STOP, 1, 200)
    enough = threading.Event()

    def keep_advancing():
        while not enough.is_set():
            engine.advance(*tape, 0, n)

    def keep_asking():
        while worker.is_alive():
            engine.set_queue_ahead(order_id, 0)

    worker = threading.Thread(target=keep_advancing)
    worker.start()
    try:
        with pytest.raises(RuntimeError, match="another thread"):
            keep_asking()
    finally:
        enough.set()
        worker.join()

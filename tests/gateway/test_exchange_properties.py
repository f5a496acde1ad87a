"""What holds for any sequence of requests, and that the exchange is the broker of backtests."""

import os
from collections import Counter
from dataclasses import replace

import numpy as np
from gateway.exchange_samples import (
    CLIENT,
    ES,
    MES,
    SECOND,
    START,
    Market,
    at,
    bracket,
    order,
    tape,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from mia.config.method import Cost
from mia.config.method import Fill as FillRules
from mia.core.base_types import OrderRole, OrderType
from mia.core.trading_types import BracketOrder
from mia.execution.simulated_broker import SimulatedBroker

EXAMPLES = int(os.environ.get("MIA_FAULT_N", "150"))

KINDS = {OrderType.MARKET: "MKT", OrderType.LIMIT: "LMT", OrderType.STOP: "STP"}
DONE = ("Filled", "Cancelled", "Inactive")
MOVES = (-5, -2, -1, 0, 0, 1, 2, 5)

sides = st.sampled_from(["BUY", "SELL"])
offsets = st.integers(-4, 4)
actions = st.one_of(
    st.tuples(
        st.just("order"),
        sides,
        st.integers(1, 3),
        st.sampled_from(["MKT", "LMT", "STP", "STP LMT"]),
        offsets,
        st.sampled_from(["", "", "A", "B"]),
        st.integers(1, 3),
        st.sampled_from(["DAY", "GTC", "GTC", "IOC", "FOK"]),
        st.booleans(),
    ),
    st.tuples(
        st.just("bracket"),
        sides,
        st.integers(1, 3),
        st.sampled_from(["MKT", "LMT", "STP"]),
        offsets,
        st.integers(1, 4),
        st.booleans(),
    ),
    st.tuples(st.just("scale out"), sides, st.integers(1, 4)),
    st.tuples(st.just("flatten"), st.integers(0, 20), st.integers(1, 3), st.booleans()),
    st.tuples(st.just("reprice"), st.integers(0, 20), offsets),
    st.tuples(st.just("quantity"), st.integers(0, 20), st.integers(1, 4)),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
    st.tuples(
        st.just("trade"),
        st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 3)), min_size=1, max_size=6),
    ),
    st.tuples(st.just("wait"), st.sampled_from([0, 0, 1, 30])),
)


class Script:
    """Turns drawn actions into requests."""

    def __init__(self, start, **setup):
        self.market = Market(start, **setup)
        self.price = 400
        self.sent = []
        self.next_id = 1
        self.quantities = {}
        self.mixed_groups = set()

    def run(self, action):
        getattr(self, action[0].replace(" ", "_"))(*action[1:])

    def _place(self, *orders):
        for each in orders:
            self.quantities[each.order_id] = each.quantity
            if each.oca_type != 1 or self._has_filled(each.oca_group):
                self.mixed_groups.add(each.oca_group)
            self.sent.append(each)
            self.next_id = max(self.next_id, each.order_id + 1)
        self.market.place(*orders)

    def _has_filled(self, group):
        members = {each.order_id for each in self.sent if each.oca_group == group}
        return any(e.order_id in members for e in self.market.heard.executions)

    def order(self, side, quantity, kind, offset, group, oca_type, tif, outside):
        self._place(
            order(
                self.next_id,
                side,
                quantity,
                kind,
                self.price + offset,
                tif=tif,
                oca_group=group,
                oca_type=oca_type if group else 0,
                outside_rth=outside,
            )
        )

    def bracket(self, side, quantity, kind, offset, width, outside):
        sign = 1 if side == "BUY" else -1
        entry = self.price + offset
        legs = bracket(
            self.next_id,
            side,
            quantity,
            kind,
            None if kind == "MKT" else entry,
            stop=entry - sign * width,
            target=entry + sign * width,
            outside_rth=outside,
        )
        self._place(*legs)

    def scale_out(self, side, width):
        """An entry for two, a stop for two, and two targets for one each."""
        sign, first = (1, self.next_id) if side == "BUY" else (-1, self.next_id)
        other = "SELL" if side == "BUY" else "BUY"
        child = {"parent_id": first, "transmit": False}
        self._place(
            order(first, side, 2, "LMT", self.price, transmit=False),
            order(first + 1, other, 2, "STP", self.price - sign * width, **child),
            order(first + 2, other, 1, "LMT", self.price + sign * width, **child),
            order(first + 3, other, 1, "LMT", self.price + sign * (width + 1), parent_id=first),
        )

    def flatten(self, which, quantity, whole):
        """A market order in the OCA group of some child."""
        groups = [each for each in self.sent if each.parent_id and each.oca_group]
        if groups:
            child = groups[which % len(groups)]
            size = child.quantity if whole else quantity
            if whole:
                self.market.exchange.cancel(CLIENT, child.parent_id)
            self._place(
                order(self.next_id, child.action, size, oca_group=child.oca_group, oca_type=1)
            )

    def _change(self, which, **changes):
        if self.sent:
            old = self.sent[which % len(self.sent)]
            new = replace(old, transmit=True, **changes)
            self.sent[which % len(self.sent)] = new
            self.market.place(new)

    def reprice(self, which, offset):
        if self.sent:
            old = self.sent[which % len(self.sent)]
            points = (self.price + offset) * 0.25
            limit = None if old.limit_price is None else points
            stop = None if old.aux_price is None else points
            self._change(which, limit_price=limit, aux_price=stop)

    def quantity(self, which, quantity):
        if self.sent:
            changed = self.sent[which % len(self.sent)]
            children = [each for each in self.sent if each.parent_id == changed.order_id]
            self.mixed_groups |= {each.oca_group for each in (changed, *children)}
        self._change(which, quantity=quantity)

    def cancel(self, which):
        if self.sent:
            self.market.exchange.cancel(CLIENT, self.sent[which % len(self.sent)].order_id)

    def trade(self, steps):
        prices, sizes = [], []
        for move, size in steps:
            self.price += move
            prices.append(self.price)
            sizes.append(size)
        self.market.trade(*prices, sizes=sizes)

    def wait(self, seconds):
        self.market.wait(seconds)


def check(script):
    market = script.market
    heard, book = market.heard, market.exchange._book
    ended = Counter(r.perm_id for r in heard.statuses if r.status in DONE)
    assert all(count == 1 for count in ended.values())
    signed = sum(e.quantity if e.side == "BOT" else -e.quantity for e in heard.executions)
    assert signed == market.position()
    filled = Counter()
    for execution in heard.executions:
        filled[execution.order_id] += execution.quantity
        assert execution.cumulative == filled[execution.order_id]
    groups = {}
    for work in book:
        record = work.record
        assert 0 <= record.filled <= record.order.quantity
        assert record.filled == filled[record.order.order_id]
        if work.parent is not None and record.filled:
            assert work.parent.record.filled
            if work.closes_parent:
                closers = [c for c in work.parent.children if c.closes_parent]
                assert sum(c.record.filled for c in closers) <= work.parent.record.filled
        if record.order.oca_group not in script.mixed_groups:
            groups.setdefault(record.order.oca_group, []).append(record)
        if not work.is_done and work.arrived and record.order.tif not in ("IOC", "FOK"):
            floor = market.exchange._floor(work.tape)
            wanted = 0 if work.asleep else work.wanted
            assert floor.leaves(work) == wanted, record
    for members in groups.values():
        largest = max(script.quantities[record.order.order_id] for record in members)
        assert sum(record.filled for record in members) <= largest


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(actions, min_size=3, max_size=25),
    st.sampled_from([0, 20_000_000, 1_500_000_000]),
    st.sampled_from([START, at("2025-11-24 15:14:40"), at("2025-11-24 15:59:40")]),
    st.sampled_from([0, 1]),
)
def test_quantities_positions_and_ends_agree_after_any_requests(script, latency_ns, start, largest):
    played = Script(start, latency_ns=latency_ns, largest_fill=largest)
    for action in script:
        played.run(action)
        check(played)


@st.composite
def requests_of_brackets(draw):
    """Brackets, and what is asked of them later, by the second in which it is asked."""
    count = draw(st.integers(1, 5))
    found = []
    for k in range(count):
        second = draw(st.integers(0, 40))
        side = draw(st.sampled_from([-1, 1]))
        kind = draw(st.sampled_from(sorted(KINDS)))
        entry = 400 + draw(st.integers(-4, 4))
        order_ = BracketOrder(
            bracket_id=f"TRADE_{k}",
            symbol=draw(st.sampled_from(["ES", "MES"])),
            contract="ESZ25",
            side=side,
            quantity=draw(st.integers(1, 3)),
            entry_type=kind,
            entry=entry,
            stop=entry - side * draw(st.integers(2, 5)),
            target=entry + side * draw(st.integers(2, 5)),
            ts=START + second * SECOND,
        )
        found.append((second, "submit", k, order_))
        later = st.tuples(
            st.integers(1, 8), st.sampled_from(["cancel", "move", "flatten"]), st.integers(1, 3)
        )
        found += [
            (second + wait, what, k, value)
            for wait, what, value in draw(st.lists(later, max_size=3))
        ]
    return sorted(found, key=lambda each: each[0])


@st.composite
def whole_second_tapes(draw):
    steps = draw(
        st.lists(
            st.tuples(st.sampled_from(MOVES), st.integers(0, 4), st.sampled_from([0, 0, 1, 2])),
            min_size=30,
            max_size=120,
        )
    )
    prices = (400 + np.cumsum([move for move, _, _ in steps])).tolist()
    seconds = np.cumsum([gap for _, _, gap in steps]).tolist()
    return tape(
        *prices,
        sizes=[size for _, size, _ in steps],
        ts=[START + second * SECOND for second in seconds],
    )


class ThroughBroker:
    """Sends the requests to the broker of backtests."""

    def __init__(self):
        self.broker = SimulatedBroker(Cost(), FillRules())
        self.found = []

    def submit(self, k, order_):
        self.broker.submit(order_)

    def cancel(self, k, ts):
        self.broker.cancel_entry(f"TRADE_{k}", ts)

    def move(self, k, ts, stop):
        self.broker.modify_stop(f"TRADE_{k}", stop, ts)

    def flatten(self, k, ts):
        self.broker.flatten(f"TRADE_{k}", ts)

    def position(self, k):
        return self.broker.position(f"TRADE_{k}")

    def is_working(self, k):
        return self.broker.is_working(f"TRADE_{k}")

    def advance(self, block, start, stop):
        end = self.broker.advance(block, start, stop)
        for f in self.broker.poll():
            self.found.append(
                (f.bracket_id, f.role, f.ts, f.side, f.quantity, f.price, f.commission)
            )
        return end


ROLES = {
    "E": OrderRole.ENTRY,
    "S": OrderRole.STOP,
    "T": OrderRole.TARGET,
    "F": OrderRole.FLATTEN,
}


class ThroughGateway:
    """Sends the same to the exchange as the orders of a client."""

    def __init__(self):
        self.market = Market(START - SECOND)
        self.legs, self.orders, self.next_id = {}, {}, 1

    def submit(self, k, sent):
        exchange, first = self.market.exchange, self.next_id
        kind = KINDS[sent.entry_type]
        side = "BUY" if sent.side > 0 else "SELL"
        price = None if kind == "MKT" else sent.entry
        legs = bracket(first, side, sent.quantity, kind, price, stop=sent.stop, target=sent.target)
        self.orders[k] = sent
        self.legs[k] = [
            replace(leg, order_ref=f"{sent.bracket_id}:{'EST'[n]}", oca_group=leg.oca_group)
            for n, leg in enumerate(legs)
        ]
        self.next_id += 3
        for leg in self.legs[k]:
            exchange.place(CLIENT, leg, self._contract(k))

    def _contract(self, k):
        return ES if self.orders[k].symbol == "ES" else MES

    def cancel(self, k, ts):
        self.market.exchange.cancel(CLIENT, self.legs[k][0].order_id)

    def move(self, k, ts, stop):
        changed = replace(self.legs[k][1], aux_price=stop * 0.25, transmit=True)
        self.market.exchange.place(CLIENT, changed, self._contract(k))

    def flatten(self, k, ts):
        """Cancel the entry, and close what is open in the OCA group of the children."""
        sent, stop = self.orders[k], self.legs[k][1]
        self.cancel(k, ts)
        flat = order(
            self.next_id,
            stop.action,
            abs(self.position(k)),
            order_ref=f"{sent.bracket_id}:F1",
            oca_group=stop.oca_group,
            oca_type=1,
            tif="DAY",
        )
        self.next_id += 1
        self.market.exchange.place(CLIENT, flat, self._contract(k))

    def position(self, k):
        name = f"{self.orders[k].bracket_id}:"
        return sum(
            e.quantity if e.side == "BOT" else -e.quantity
            for e in self.market.heard.executions
            if e.order_ref.startswith(name)
        )

    def advance(self, block, start, stop):
        return self.market.exchange.advance(block, start, stop)

    @property
    def found(self):
        return [
            (
                e.order_ref.split(":")[0],
                ROLES[e.order_ref.split(":")[1][0]],
                e.ts,
                1 if e.side == "BOT" else -1,
                e.quantity,
                round(e.price / 0.25),
                e.commission,
            )
            for e in self.market.heard.executions
        ]


def play(target, script, block, allowed):
    """Ask each request after the trades of its second, as a client in lock-step does.

    Which requests make sense depends on what is open; `allowed` keeps that of the first run.
    """
    index = 0
    for n, (second, what, k, value) in enumerate(script):
        ts = START + second * SECOND
        stop = int(np.searchsorted(block.ts_event, ts, side="right"))
        while index < stop:
            index = target.advance(block, index, stop)
        if isinstance(target, ThroughGateway):
            target.market.exchange.set_time(ts)
        if what == "submit":
            target.submit(k, value)
            continue
        if n not in allowed and not isinstance(target, ThroughGateway):
            position = target.position(k)
            traded = block.price[:index][block.size[:index] > 0]
            if (what == "cancel" and target.is_working(k)) or (position and what == "flatten"):
                allowed[n] = 0
            elif position and what == "move":
                allowed[n] = int(traded[-1]) - (1 if position > 0 else -1) * value
        if n in allowed:
            if what == "move":
                target.move(k, ts, allowed[n])
            else:
                getattr(target, what)(k, ts)
    while index < len(block):
        index = target.advance(block, index, len(block))
    return target.found


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(requests_of_brackets(), whole_second_tapes())
def test_brackets_fill_as_in_the_broker_of_backtests(script, block):
    allowed = {}
    expected = play(ThroughBroker(), script, block, allowed)
    assert play(ThroughGateway(), script, block, allowed) == expected

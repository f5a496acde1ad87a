"""Exits of one OCA group, and that together they close what was opened and nothing more.

Of the broker's own simulation: a group of type 1 ends with its first complete fill, one of type 2
or 3 shrinks by what is filled. Members that have arrived exclude one another; an order outside of
the group is nobody's brake, and what crosses by a fault is named so (`crossed_exit`).
"""

import os
from dataclasses import replace

import pytest
from gateway.exchange_samples import CLIENT, START, Market, bracket, order
from hypothesis import given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("MIA_FAULT_N", "150"))
ENTRY, STOP, TARGET = 1, 2, 3


class Exits:
    """A long bracket for some contracts, and a client that sends exits of what it holds."""

    def __init__(self, quantity, oca_type, **setup):
        self.market = Market(START, **setup)
        self.oca_type = oca_type
        legs = bracket(ENTRY, quantity=quantity, stop=390, target=410)
        self.sent = {
            leg.order_id: replace(leg, oca_type=oca_type if leg.oca_group else 0) for leg in legs
        }
        self.market.place(*self.sent.values())

    @property
    def held(self):
        return sum(side * quantity for _, side, quantity, _ in self.market.heard.fills())

    def live(self, kind):
        records = self.market.exchange.open_orders()
        return [r for r in records if r.order.action == "SELL" and r.order.order_type == kind]

    def exit(self, quantity, kind="MKT", price=None, tif="GTC"):
        """Send one more exit, unless one of its kind is at work."""
        quantity = min(quantity, self.held)
        if quantity > 0 and not self.live(kind):
            number = max(9, *self.sent) + 1
            group = {"oca_group": "B1", "oca_type": self.oca_type}
            self.sent[number] = order(number, "SELL", quantity, kind, price, tif=tif, **group)
            self.market.place(self.sent[number])

    def resize(self, which, quantity):
        work = self.market.exchange.order(CLIENT, which)
        size = work.filled + max(1, min(quantity, self.held))
        self.sent[which] = replace(self.sent[which], quantity=size, transmit=True)
        self.market.place(self.sent[which])

    def cancel(self, which):
        self.market.exchange.cancel(CLIENT, which)

    def play(self, what, *values):
        if what == "trade":
            price, size = values
            self.market.trade(price, sizes=[size])
        else:
            getattr(self, what)(*values)


prices = st.sampled_from([388, 400, 400, 412])
steps = st.one_of(
    st.tuples(st.just("trade"), prices, st.integers(1, 3)),
    st.tuples(
        st.just("exit"),
        st.integers(1, 3),
        st.just("MKT"),
        st.none(),
        st.sampled_from(["GTC", "DAY", "IOC"]),
    ),
    st.tuples(st.just("exit"), st.integers(1, 3), st.just("STP"), st.just(390)),
    st.tuples(st.just("resize"), st.sampled_from([STOP, TARGET]), st.integers(1, 3)),
    st.tuples(st.just("cancel"), st.sampled_from([ENTRY, STOP, TARGET, 10])),
)


@settings(max_examples=EXAMPLES * 2, deadline=None)
@given(
    st.integers(1, 3),
    st.sampled_from([1, 2, 2, 3]),
    st.sampled_from([0, 1_500_000_000]),
    st.sampled_from([0, 1]),
    st.lists(steps, max_size=8),
)
def test_exits_of_a_group_never_close_more_than_was_opened(
    quantity, oca_type, latency_ns, largest, script
):
    exits = Exits(quantity, oca_type, latency_ns=latency_ns, largest_fill=largest)
    # The market reaches the stop and then the target: what is alive by mistake is filled.
    for step in [("trade", 400, 9), *script, ("trade", 388, 9), ("trade", 412, 9)]:
        exits.play(*step)
        assert exits.held >= 0
        assert exits.market.position() == exits.held
        if exits.held == 0 and exits.market.status(ENTRY)[0] == "Filled":
            exits.market.wait(3)
            assert not exits.market.exchange.open_orders()


@pytest.mark.parametrize("tif", ["DAY", "IOC"])
@pytest.mark.parametrize(("quantity", "part"), [(2, 1), (3, 1), (3, 2)])
def test_a_part_that_is_flattened_leaves_the_rest_to_the_stop_or_the_target(quantity, part, tif):
    exits = Exits(quantity, 2)
    exits.market.trade(400)
    exits.exit(part, tif=tif)
    exits.market.trade(400)
    assert [r.remaining for r in exits.market.exchange.open_orders()] == [quantity - part] * 2
    exits.market.trade(388)
    assert exits.market.exchange.open_orders() == []
    exits.market.trade(412)
    assert exits.market.position() == 0


def test_a_second_order_that_flattens_after_a_part_of_the_first_closes_only_the_rest():
    exits = Exits(3, 2)
    exits.market.trade(400)
    exits.exit(1)
    exits.market.trade(400)
    exits.exit(2)
    exits.market.trade(412, sizes=[1])
    exits.market.trade(412, 388, 412)
    assert exits.market.position() == 0

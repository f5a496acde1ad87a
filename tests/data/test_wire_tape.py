"""The wire's view of a tape has whole seconds, standing quotes and inferred sides."""

from dataclasses import replace

import numpy as np
import pytest

from mia.core import sessions
from mia.core.aggressor import Aggressor
from mia.core.base_types import MISSING_PRICE, TradeBlock
from mia.data.tape import synthetic_tape
from mia.data.wire_tape import WireProjection, agreement, as_wire, wire_blocks
from mia.errors import DataError

SECOND = 1_000_000_000
COLUMNS = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")


@pytest.fixture(scope="module")
def tape():
    return synthetic_tape(3, 20250310, 2, 20_000)


def whole(tape) -> dict[str, np.ndarray]:
    blocks = list(tape.blocks())
    return {name: np.concatenate([getattr(b, name) for b in blocks]) for name in COLUMNS}


def block(ts, price, bid, ask, contract="ESH25") -> TradeBlock:
    n = len(ts)
    narrow = [np.array(values, np.int32) for values in (price, bid, ask)]
    return TradeBlock(
        contract,
        np.array(ts, np.int64),
        narrow[0],
        np.ones(n, np.int32),
        np.zeros(n, np.int8),
        *narrow[1:],
    )


def test_times_are_whole_seconds_and_prices_and_sizes_as_they_were(tape) -> None:
    plain, wire = whole(tape), whole(as_wire(tape))
    assert (wire["ts_event"] == plain["ts_event"] // SECOND * SECOND).all()
    assert (plain["ts_event"] % SECOND != 0).any()
    for name in ("price", "size"):
        assert (wire[name] == plain[name]).all()


def test_sides_do_not_depend_on_those_of_the_source(tape) -> None:
    blind = replace(
        tape,
        blocks=lambda: (
            replace(b, aggressor_side=np.zeros_like(b.aggressor_side)) for b in tape.blocks()
        ),
    )
    assert (whole(as_wire(blind))["aggressor_side"] == whole(as_wire(tape))["aggressor_side"]).all()


def test_any_split_of_a_tape_gives_the_same_projection(tape) -> None:
    wanted = whole(as_wire(tape))
    one = next(iter(tape.blocks()))
    projection = WireProjection()
    parts = []
    for start in range(0, len(one), 997):
        cut = {name: getattr(one, name)[start : start + 997] for name in COLUMNS}
        parts.append(projection.project(TradeBlock(one.contract, **cut)))
    for name in COLUMNS:
        found = np.concatenate([getattr(part, name) for part in parts])
        assert (found == wanted[name][: len(one)]).all(), name


def test_a_trade_without_a_quote_has_the_quote_that_stands() -> None:
    none = MISSING_PRICE
    start = sessions.session_open(20250310)
    shown = WireProjection().project(
        block([start, start, start], [101, 100, 101], [none, 100, none], [none, 101, none])
    )
    assert shown.bid_price.tolist() == [none, 100, 100]
    assert shown.ask_price.tolist() == [none, 101, 101]
    assert shown.aggressor_side.tolist() == [0, -1, 1]


def test_a_crossed_quote_does_not_stand() -> None:
    start = sessions.session_open(20250310)
    shown = WireProjection().project(block([start] * 2, [101, 100], [100, 105], [101, 99]))
    assert (shown.bid_price.tolist(), shown.ask_price.tolist()) == ([100, 100], [101, 101])


def test_a_contract_begins_without_a_quote() -> None:
    none = MISSING_PRICE
    first, later = (sessions.session_open(day) for day in (20250310, 20250311))
    projection = WireProjection()
    projection.project(block([first], [101], [100], [101]))
    shown = projection.project(block([later], [101], [none], [none], "ESM25"))
    assert (shown.bid_price.tolist(), shown.aggressor_side.tolist()) == ([none], [0])


@pytest.mark.parametrize("at_once", [True, False], ids=["inside a block", "between blocks"])
def test_a_session_keeps_the_quote_and_forgets_the_trade_before(at_once: bool) -> None:
    none = MISSING_PRICE
    ts = [sessions.session_open(day) for day in (20250310, 20250311)]
    inside = block(ts, [100, 101], [100, none], [103, none])
    projection = WireProjection()
    if at_once:
        shown = projection.project(inside)
    else:
        parts = [block([ts[k]], [100 + k], [(100, none)[k]], [(103, none)[k]]) for k in range(2)]
        shown = [projection.project(part) for part in parts][1]
    assert (shown.bid_price[-1], shown.ask_price[-1]) == (100, 103)
    assert shown.aggressor_side[-1] == 0


def test_name_and_hash_say_that_it_is_the_wire(tape) -> None:
    wire = as_wire(tape)
    assert wire.sha256 != tape.sha256
    assert wire.name.endswith("as wire")
    assert (wire.sessions, wire.first_session) == (tape.sessions, tape.first_session)
    assert as_wire(tape).sha256 == wire.sha256


def test_bars_have_no_wire(tape) -> None:
    with pytest.raises(DataError, match="has bars, and the wire shows trades"):
        as_wire(replace(tape, ready_made=True))


def test_the_inferred_side_is_mostly_the_true_one(tape) -> None:
    found = agreement(tape.blocks())
    print(f"synthetic: {found.right / found.known:.2%} of {found.known:,} trades")
    assert found.known > 0.9 * found.trades
    assert found.right > 0.95 * found.known
    assert found.right_contracts <= found.known_contracts <= found.contracts


def test_agreement_counts_what_differs() -> None:
    start = sessions.session_open(20250310)
    made = block([start] * 3, [101, 100, 101], [100] * 3, [101] * 3)
    true = replace(
        made, aggressor_side=np.array([1, 1, 0], np.int8), size=np.array([2, 3, 4], np.int32)
    )
    found = agreement([true])
    assert (found.trades, found.known, found.right, found.unknown) == (3, 2, 1, 0)
    assert (found.contracts, found.known_contracts, found.right_contracts) == (9, 5, 2)


def test_the_quote_beats_the_tick_rule(tape) -> None:
    none = np.int32(MISSING_PRICE)
    bare = (
        replace(
            b,
            bid_price=np.full_like(b.bid_price, none),
            ask_price=np.full_like(b.ask_price, none),
        )
        for b in tape.blocks()
    )
    assert agreement(bare).right < agreement(tape.blocks()).right


def test_the_live_rule_gives_the_sides_of_the_projection(tape) -> None:
    one = next(wire_blocks(tape.blocks()))
    aggressor = Aggressor()
    columns = (one.price[:5000], one.bid_price[:5000], one.ask_price[:5000])
    sides = [aggressor.infer(*t) for t in zip(*(c.tolist() for c in columns), strict=True)]
    assert sides == one.aggressor_side[:5000].tolist()

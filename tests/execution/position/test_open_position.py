"""Fills that a broker corrects."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_cases import a_decision
from trading_cases import a_context

from mia.core.base_types import OrderRole
from mia.core.trading_types import Fill
from mia.execution.position.open_position import Position

ROLES = (OrderRole.ENTRY, OrderRole.ENTRY, OrderRole.STOP, OrderRole.TARGET)


def a_position() -> Position:
    decision = a_decision(1_741_617_000_000_000_000, 20250310, quantity=4)
    return Position("TRADE_X", decision, a_context(), 12.5, 3)


def a_fill(k: int, role: OrderRole, quantity: int, price: int, side: int) -> Fill:
    sign = side if role is OrderRole.ENTRY else -side
    return Fill("TRADE_X", role, 1000 + k, sign, quantity, price, price - sign, 3.45 * quantity)


def figures(position: Position) -> tuple[object, ...]:
    return (
        position.filled,
        position.closed,
        round(position.costs, 9),
        position.slippage,
        position.open_pnl(17_950),
        position.fills,
        None if position.trade is None else (position.trade.entry, position.trade.quantity),
    )


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(17_900, 17_990)), min_size=4, max_size=4),
    st.integers(0, 3),
    st.integers(1, 3),
    st.integers(17_900, 17_990),
)
def test_a_correction_is_as_if_the_fill_had_been_the_other_one(
    amounts: list[tuple[int, int]], which: int, quantity: int, price: int
) -> None:
    side = a_position().decision.proposal.side
    fills = [
        a_fill(k, role, q, p, side)
        for k, (role, (q, p)) in enumerate(zip(ROLES, amounts, strict=True))
    ]
    changed = replace(fills[which], quantity=quantity, price=price, commission=3.45 * quantity)
    corrected, other = a_position(), a_position()
    for fill in fills:
        corrected.take(fill)
    old = fills[which]
    first = next(
        f for f in fills if (f.role, f.quantity, f.price) == (old.role, old.quantity, old.price)
    )
    for fill in fills:
        other.take(replace(changed, ts=first.ts) if fill is first else fill)
    assert corrected.correct((old.role, old.quantity, old.price), quantity, price)
    # A slippage is measured against what the order aimed at, which a correction leaves alone.
    assert figures(corrected)[:3] == figures(other)[:3]
    assert figures(corrected)[4] == pytest.approx(figures(other)[4])


def test_a_busted_entry_leaves_nothing() -> None:
    position = a_position()
    position.take(a_fill(0, OrderRole.ENTRY, 2, 17_930, position.decision.proposal.side))
    assert position.correct((OrderRole.ENTRY, 2, 17_930), 0, 0)
    assert (position.filled, position.open_quantity, position.costs) == (0, 0, 0.0)
    assert position.trade is None


def test_a_correction_of_a_fill_that_was_never_booked_changes_nothing() -> None:
    position = a_position()
    position.take(a_fill(0, OrderRole.ENTRY, 2, 17_930, position.decision.proposal.side))
    before = figures(position)
    assert not position.correct((OrderRole.STOP, 2, 17_930), 1, 17_931)
    assert figures(position) == before


def test_management_goes_on_where_it_was() -> None:
    position = a_position()
    position.take(a_fill(0, OrderRole.ENTRY, 2, 17_930, position.decision.proposal.side))
    assert position.trade is not None
    position.trade.bars_held, position.trade.stop, position.trade.trailing = 7, 17_925, True
    position.correct((OrderRole.ENTRY, 2, 17_930), 2, 17_931)
    assert (position.trade.bars_held, position.trade.stop, position.trade.trailing) == (
        7,
        17_925,
        True,
    )
    assert position.trade.entry == 17_931


def test_the_risk_of_a_position_is_that_of_its_whole_order_down_to_its_stop() -> None:
    position = a_position()
    proposal = position.decision.proposal
    side, stop = proposal.side, proposal.stop
    assert position.open_risk(stop + 10 * side) == 10 * 4 * 12.5
    position.take(a_fill(0, OrderRole.ENTRY, 2, stop + 10 * side, side))
    assert position.open_risk(stop + 10 * side) == 10 * 4 * 12.5, "two more may still fill"
    assert position.trade is not None
    position.trade.stop = stop + 4 * side
    assert position.open_risk(stop + 10 * side) == 6 * 4 * 12.5
    assert position.open_risk(stop) == 0.0, "beyond its stop nothing more is counted"

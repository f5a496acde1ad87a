"""Round trips whose exits cross."""

from dataclasses import replace

import pytest
from run_cases import a_decision
from trading_cases import SESSION, a_context, at

from mia.core.base_types import OrderRole
from mia.core.trading_types import Fill
from mia.execution.position.open_position import Position


def fill(role: OrderRole, side: int, price: int) -> Fill:
    return Fill("TRADE", role, at("10:31"), side, 1, price, price, 0.5)


@pytest.mark.parametrize("side", [1, -1])
def test_a_second_exit_and_the_order_that_undoes_it_cost_what_they_cost(side: int) -> None:
    decision = a_decision(at("10:30"), SESSION)
    decision = replace(decision, proposal=replace(decision.proposal, side=side))
    position = Position("TRADE", decision, a_context(), 1.25, 5)
    position.take(fill(OrderRole.ENTRY, side, 1000))
    position.take(fill(OrderRole.TARGET, -side, 1000 + 8 * side))
    # A market order was on its way when the target filled: one contract the other way round.
    position.take(fill(OrderRole.FLATTEN, -side, 1000 + 7 * side))
    assert position.open_quantity == -1
    position.take(fill(OrderRole.FLATTEN, side, 1000 + 9 * side))
    assert position.open_quantity == 0
    trade = position.closed_trade(8, 0)
    assert trade.quantity == 1
    assert trade.net_pnl == pytest.approx((8 - 2) * 1.25 - 4 * 0.5)

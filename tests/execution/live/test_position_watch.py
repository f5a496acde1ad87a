"""A position that our fills do not explain is noticed while the trader runs."""

from mia.core.broker_types import PositionReport
from mia.execution.live.position_watch import PositionWatch
from mia.execution.orders.ledger import OrderLedger


def held(quantity: int, contract: str = "ESZ25") -> list[PositionReport]:
    return [PositionReport("DU1", 1, contract, "ES", quantity, 0.0)]


def test_a_difference_counts_once_it_has_lasted() -> None:
    watch = PositionWatch(OrderLedger())
    assert not watch.disagrees(held(3), 0.0)
    assert not watch.disagrees(held(3), 2.9)
    assert watch.disagrees(held(3), 3.0)
    # Asked: only a difference that stays is asked about again.
    assert not watch.disagrees(held(3), 3.1)
    assert watch.disagrees(held(3), 6.5)


def test_a_position_told_before_its_execution_is_no_difference() -> None:
    watch = PositionWatch(OrderLedger())
    assert not watch.disagrees(held(1), 0.0)
    assert not watch.disagrees(held(0), 1.0)
    assert not watch.disagrees(held(1), 3.5)


def test_what_is_quarantined_is_explained() -> None:
    ledger = OrderLedger()
    ledger.quarantine["ESZ25"] = 3
    watch = PositionWatch(ledger)
    assert not any(watch.disagrees(held(3), now) for now in (0.0, 5.0))
    assert not watch.disagrees(held(2), 6.0)
    assert watch.disagrees(held(2), 9.0)

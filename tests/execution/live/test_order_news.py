"""What late fills of a finished bracket cost is booked once they are flat, commissions included."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from mia.core.base_types import OrderRole, TradingState
from mia.core.trading_types import Fill
from mia.execution.live.order_news import OrderNews

NOW = 1_763_478_000_000_000_000


class World:
    """A cycle, a broker and a bus as far as late fills touch them."""

    def __init__(self, symbol: str) -> None:
        self.late: list[Fill] = []
        self.booked: list[float] = []
        self.halts: list[TradingState] = []
        self.told: list[tuple[str, object]] = []
        brackets = {"A": SimpleNamespace(order=SimpleNamespace(symbol=symbol))}
        manager = SimpleNamespace(
            take_corrections=list,
            take_alarms=list,
            ledger=SimpleNamespace(brackets=brackets),
        )
        broker = SimpleNamespace(manager=manager, take_orphans=self.take)
        switch = SimpleNamespace(record_trouble=lambda now, state: self.halts.append(state))
        trader = SimpleNamespace(
            collect=lambda: None,
            kill_switch=switch,
            risk=SimpleNamespace(adjust=self.booked.append),
        )
        bus = SimpleNamespace(publish=lambda topic, event: self.told.append((topic, event)))
        self.news = OrderNews(*cast("tuple[Any, Any, Any]", (trader, broker, bus)))

    def take(self) -> list[Fill]:
        found, self.late = self.late, []
        return found

    def fill(self, side: int, quantity: int, price: int, commission: float) -> None:
        self.late.append(Fill("A", OrderRole.TARGET, NOW, side, quantity, price, price, commission))
        self.news.collect(NOW)


@pytest.mark.parametrize(("symbol", "tick_usd"), [("ES", 12.5), ("MES", 1.25)])
def test_a_late_fill_is_booked_with_its_commissions_when_it_is_flat_again(symbol, tick_usd) -> None:
    world = World(symbol)
    world.fill(1, 2, 24_000, 7.0)
    assert world.booked == []
    world.fill(-1, 1, 24_004, 3.5)
    assert world.booked == []
    world.fill(-1, 1, 23_990, 3.5)
    assert world.booked == [pytest.approx((4 - 10) * tick_usd - 14.0)]
    assert world.halts == [TradingState.HALT_ENTRIES] * 3
    assert [topic for topic, _ in world.told] == ["orphan_fill"] * 3


def test_a_second_late_pair_is_booked_by_itself() -> None:
    world = World("ES")
    for entry, exit_ in ((24_000, 24_001), (24_000, 24_003)):
        world.fill(-1, 1, entry, 0.0)
        world.fill(1, 1, exit_, 0.0)
    assert world.booked == [-12.5, -37.5]

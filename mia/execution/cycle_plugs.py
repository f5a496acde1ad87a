"""What a trading cycle is plugged into beside the market: a broker that follows it, and VIX."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mia.core.base_types import TradeBlock
from mia.core.protocols import Broker


class SimulatedMatching(Broker, Protocol):
    """A broker that is shown the tape."""

    def advance(self, block: TradeBlock | NDArray[np.void], start: int, stop: int) -> int:
        """Match working orders with trades or bars to the next fill; return where it stopped."""
        ...

    def is_open(self, bracket_id: str) -> bool:
        """Whether a bracket has a position or an entry that may still fill."""
        ...

    def excursions(self, bracket_id: str) -> tuple[int, int]:
        """Return the best and the worst open profit of a bracket in ticks."""
        ...

    def close_out(self, bracket_id: str, ts: int, price: int) -> None:
        """End a bracket for good, what is open at a price that was traded, without slippage."""
        ...


class VixSource(Protocol):
    """VIX as it was known."""

    def at(self, ts: int) -> float:
        """Return the last value known at `ts` (ns UTC), nan without one."""
        ...


class NoVix:
    """A session without VIX says so: nan."""

    def at(self, ts: int) -> float:
        """Return nan."""
        return float("nan")

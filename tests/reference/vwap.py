"""Session VWAP with bands, exact in thirds of a tick (section 3)."""

import math

from reference.bars import Bar


class Vwap:
    """Accumulators of one anchor; make a new one at its start."""

    def __init__(self) -> None:
        self._reference: int | None = None
        self._s1 = 0
        self._s2 = 0
        self.weight = 0

    def add_trade(self, price: int, size: int) -> None:
        """Add one trade."""
        if self._reference is None:
            self._reference = price
        self._add(3 * (price - self._reference), size)

    def add_bar(self, bar: Bar) -> None:
        """Add a bar, by its sums if it has them, else by its typical price."""
        if self._reference is None:
            self._reference = bar.open
        r = self._reference
        if bar.ready_made:
            self._add(bar.high + bar.low + bar.close - 3 * r, bar.volume)
            return
        self._s1 += 3 * (bar.pv - r * bar.volume)
        self._s2 += 9 * (bar.p2v - 2 * r * bar.pv + r * r * bar.volume)
        self.weight += bar.volume

    def _add(self, y: int, size: int) -> None:
        self._s1 += size * y
        self._s2 += size * y * y
        self.weight += size

    @property
    def valid(self) -> bool:
        return self.weight > 0

    @property
    def value(self) -> float:
        """VWAP in ticks, nan while invalid."""
        if not self.valid:
            return math.nan
        return self._reference + self._s1 / (3 * self.weight)

    @property
    def sd(self) -> float:
        """Volume-weighted standard deviation in ticks, nan while invalid."""
        if not self.valid:
            return math.nan
        m = self._s1 / (3 * self.weight)
        return math.sqrt(max(0.0, self._s2 / (9 * self.weight) - m * m))

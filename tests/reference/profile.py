"""Volume at price, point of control, value area and nodes (section 5)."""

from types import SimpleNamespace

from reference.bars import Bar
from reference.conventions import ge, le

UNITS = 2**20
"""Row volume of one lot."""


class Profile:
    """Volume by price of one session or of its regular hours."""

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}

    @property
    def valid(self) -> bool:
        return bool(self.rows)

    @property
    def low(self) -> int:
        return min(self.rows)

    @property
    def high(self) -> int:
        return max(self.rows)

    def add_trade(self, price: int, size: int) -> None:
        """Add one trade."""
        self._add(price, size * UNITS)

    def add_range(self, low: int, high: int, volume: int) -> None:
        """Spread a ready-made bar's volume over its rows."""
        share = volume * UNITS // (high - low + 1)
        for price in range(low, high + 1):
            self._add(price, share)

    def add_bar(self, bar: Bar) -> None:
        """Add a bar, by its footprint if it has one."""
        if bar.footprint is None:
            self.add_range(bar.low, bar.high, bar.volume)
            return
        for price, row in bar.footprint.items():
            self.add_trade(price, row[2])

    def _add(self, price: int, units: int) -> None:
        self.rows[price] = self.rows.get(price, 0) + units

    def volumes(self) -> list[int]:
        """Return the rows from the lowest touched to the highest."""
        return [self.rows.get(price, 0) for price in range(self.low, self.high + 1)]

    def poc(self) -> int:
        """Return the row with the largest volume; ties go to the middle, then down."""
        low, high = self.low, self.high
        best = max(self.rows.values())
        tied = [price for price, units in self.rows.items() if units == best]
        return min(tied, key=lambda price: (abs(2 * price - low - high), price))

    def value_area(self, pct: int) -> tuple[int, int]:
        """Return (VAL, VAH)."""
        low, high = self.low, self.high
        total = sum(self.rows.values())
        bottom = top = self.poc()
        held = self.rows[bottom]
        while held * 100 < pct * total:
            up = self._pair(top + 1, top + 2) if top < high else None
            down = self._pair(bottom - 1, bottom - 2) if bottom > low else None
            take_up = up is not None and (down is None or up >= down)
            take_down = down is not None and (up is None or down >= up)
            if take_up:
                held += up
                top = min(top + 2, high)
            if take_down:
                held += down
                bottom = max(bottom - 2, low)
        return bottom, top

    def _pair(self, near: int, far: int) -> int:
        return self.rows.get(near, 0) + self.rows.get(far, 0)

    def nodes(self, p: SimpleNamespace) -> tuple[list[float], list[float]]:
        """Return the prices of high and low volume nodes, ascending."""
        rows = self.volumes()
        n, m, w = len(rows), p.profile_smooth, p.profile_node_window
        if n < 2 * w + 1:
            return [], []
        smooth = [sum(rows[max(0, k - m) : k + m + 1]) for k in range(n)]
        total = sum(smooth)
        near = [smooth[max(0, k - w) : k + w + 1] for k in range(n)]
        hvn = [
            k
            for k in range(n)
            if ge(smooth[k] * n, p.profile_hvn_ratio * total) and smooth[k] >= max(near[k])
        ]
        lvn = [
            k
            for k in range(w, n - w)
            if le(smooth[k] * n, p.profile_lvn_ratio * total) and smooth[k] <= min(near[k])
        ]
        return self._centres(hvn, smooth), self._centres(lvn, smooth)

    def _centres(self, found: list[int], smooth: list[int]) -> list[float]:
        runs: list[list[int]] = []
        for k in found:
            if runs and k == runs[-1][-1] + 1 and smooth[k] == smooth[k - 1]:
                runs[-1].append(k)
            else:
                runs.append([k])
        return [self.low + (run[0] + run[-1]) / 2 for run in runs]

"""Book imbalance F6 and the spread statistics of section 12.1 (sections 8.2, 12.1)."""

from collections import deque
from collections.abc import Sequence
from types import SimpleNamespace

from reference.conventions import SECOND, gt, mean, std


class BookImbalance:
    """F6 over the sampled snapshots of one session."""

    def __init__(self, p: SimpleNamespace) -> None:
        self._p = p
        self._ema: float | None = None
        self._depth = 0.0
        self._spreads: deque[int] = deque(maxlen=20)
        self._raw = 0.0
        self.spread = 0

    def update(self, bids: Sequence[int], asks: Sequence[int], spread: int) -> None:
        """Add the last state of one second: sizes from the best level down, spread in ticks."""
        p = self._p
        if not bids or not asks or bids[0] <= 0 or asks[0] <= 0 or spread <= 0:
            return
        levels = range(p.feat_f6_levels)
        b = [bids[j] if j < len(bids) else 0 for j in levels]
        a = [asks[j] if j < len(asks) else 0 for j in levels]
        w = [p.feat_f6_decay**j for j in levels]
        deep = sum(w[j] * (b[j] - a[j]) for j in levels) / sum(w[j] * (b[j] + a[j]) for j in levels)
        self._raw = 0.6 * (b[0] - a[0]) / (b[0] + a[0]) + 0.4 * deep
        alpha = 2 / (p.feat_f6_ema + 1)
        self._ema = self._raw if self._ema is None else alpha * self._raw + (1 - alpha) * self._ema
        self._depth = 0.5 * (sum(b) + sum(a))
        self._spreads.append(spread)
        self.spread = spread

    def feature(self) -> tuple[float, bool]:
        """Return F6 and its validity."""
        p = self._p
        if self._ema is None:
            return 0.0, False
        value = self._ema * min(self._depth / p.feat_f6_depth_ref, 1.0)
        return (value / 2 if self.spread > p.feat_f6_max_spread else value), True

    def anomaly(self) -> float:
        """Return the larger of the spread and imbalance terms of `micro_anomaly`."""
        found = 0.0
        if len(self._spreads) == 20:
            spread = std(self._spreads)
            z = (self.spread - mean(self._spreads)) / spread if spread > 0 else 0.0
            if gt(z, 2.0):
                found = min(z / 4, 1.0)
        if self._ema is not None and gt(abs(self._raw), 0.8):
            found = max(found, (abs(self._raw) - 0.5) / 0.5)
        return found


class BookSampler:
    """Keeps the last state of each second until it takes effect.

    A second is sampled once: what arrives after its sample took effect, or after the update of a
    later second, is late and ignored.
    """

    def __init__(self) -> None:
        self._pending: dict[int, tuple[tuple[int, ...], tuple[int, ...], int]] = {}
        self._newest = -1
        self._released = -1

    def on_book(self, ts: int, bids: Sequence[int], asks: Sequence[int], spread: int) -> None:
        """Note a state of the book."""
        second = ts // SECOND
        if second < self._newest or second <= self._released:
            return
        self._newest = second
        self._pending[second] = (tuple(bids), tuple(asks), spread)

    def drop_before(self, ts: int) -> None:
        """Forget the seconds of an earlier session."""
        self._pending = {k: v for k, v in self._pending.items() if k * SECOND >= ts}
        self._released = max(self._released, ts // SECOND - 1)

    def release(self, t_close: int, into: BookImbalance) -> None:
        """Hand over, in order, the seconds that are complete at a close."""
        for second in sorted(self._pending):
            if (second + 1) * SECOND <= t_close:
                into.update(*self._pending.pop(second))
                self._released = second

"""Checks of ready-made bars, and resampling to wider bars (section 2.4)."""

from reference.bars import READY_MADE, Bar
from reference.conventions import SECOND, Sessions, le


def checked(bar: Bar) -> Bar | None:
    """Apply the bar checks of section 2.4 to a ready-made bar; None if it is refused."""
    in_order = bar.low <= min(bar.open, bar.close) and bar.high >= max(bar.open, bar.close)
    if not in_order or bar.volume <= 0 or bar.bid_volume < 0 or bar.ask_volume < 0:
        return None
    excess = bar.bid_volume + bar.ask_volume - bar.volume
    if excess > 0:
        if not le(excess, 0.001 * bar.volume + 1):
            return None
        bar.volume += excess
    return bar


class Resampler:
    """Groups bars into wider time bars."""

    def __init__(self, width: int, sessions: Sessions) -> None:
        self._width = width * SECOND
        self._sessions = sessions
        self._group: Bar | None = None

    def before(self, bar: Bar) -> list[Bar]:
        """Close the group if `bar` belongs to a later slot."""
        group = self._group
        if group is None:
            return []
        other = bar.session_id != group.session_id
        if not other and bar.t_open < group.t_close:
            return []
        return self.end()

    def end(self) -> list[Bar]:
        """Close the group because its session is over."""
        group, self._group = self._group, None
        return [] if group is None else [group]

    def add(self, bar: Bar) -> list[Bar]:
        """Add a bar; return the group if the bar reaches its end."""
        if self._group is None:
            self._group = self._start(bar)
        else:
            _merge(self._group, bar)
        if bar.t_close < self._group.t_close:
            return []
        return self.end()

    def _start(self, bar: Bar) -> Bar:
        origin = self._sessions.of(bar.t_open).t_open
        start = origin + (bar.t_open - origin) // self._width * self._width
        group = Bar(**vars(bar))
        group.t_open, group.t_close = start, start + self._width
        group.direction = 0
        group.flags = bar.flags & READY_MADE
        if bar.footprint is not None:
            group.footprint = {price: list(row) for price, row in bar.footprint.items()}
        return group


def _merge(group: Bar, bar: Bar) -> None:
    group.high = max(group.high, bar.high)
    group.low = min(group.low, bar.low)
    group.close = bar.close
    group.volume += bar.volume
    group.bid_volume += bar.bid_volume
    group.ask_volume += bar.ask_volume
    group.trades += bar.trades
    if group.ready_made or bar.ready_made:
        group.flags |= READY_MADE
        group.pv = group.p2v = group.large_volume = 0
        group.footprint = None
        return
    group.pv += bar.pv
    group.p2v += bar.p2v
    group.large_volume += bar.large_volume
    for price, row in bar.footprint.items():
        merged = group.footprint.setdefault(price, [0, 0, 0])
        for k in range(3):
            merged[k] += row[k]

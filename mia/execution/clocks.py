"""Sources of time: the wall's, and the market's own where a simulation moves it."""

import time


class WallClock:
    """The computer's clock."""

    def now(self) -> int:
        """Return the time, ns UTC."""
        return time.time_ns()


class MarketClock:
    """Time as the gateway and the ticks tell it; it never goes back."""

    def __init__(self, now: int = 0) -> None:
        self._now = now

    def now(self) -> int:
        """Return the latest time heard of, ns UTC."""
        return self._now

    def hear(self, ts: int) -> None:
        """Take note of a time."""
        self._now = max(self._now, ts)

from typing import final

import numpy as np
from numpy.typing import NDArray

from mia._fast.orders import OrderTable

@final
class MatchingEngine(OrderTable):
    last_price: int
    def __new__(
        cls, capacity: int = 64, latency_ns: int = 0, slip_ticks: int = 1, queue: bool = False
    ) -> MatchingEngine: ...
    def advance(
        self,
        ts: NDArray[np.int64],
        price: NDArray[np.int32],
        size: NDArray[np.int32],
        start: int,
        stop: int,
    ) -> int: ...
    def advance_bars(self, bars: NDArray[np.void], start: int, stop: int) -> int: ...

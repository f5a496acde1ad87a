from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from mia._fast.book_imbalance import BookImbalance
from mia._fast.large_trades import LargeTrades

@final
class OrderFlow:
    def __new__(cls, params: NDArray[np.void]) -> Self: ...
    @property
    def large_trades(self) -> LargeTrades: ...
    @property
    def book(self) -> BookImbalance: ...
    def fill(
        self,
        bars: NDArray[np.void],
        rows: NDArray[np.void],
        stacked: NDArray[np.float64],
        ts: NDArray[np.int64],
        price: NDArray[np.int32],
        size: NDArray[np.int32],
        side: NDArray[np.int8],
        stops: NDArray[np.int64],
    ) -> None: ...

def bar_imbalance(
    bid: NDArray[np.int64], ask: NDArray[np.int64], params: NDArray[np.void]
) -> float: ...

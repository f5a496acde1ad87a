"""Trades gathered one by one into columns that are allocated beforehand."""

import numpy as np

from mia.core.base_types import TradeBlock


class TradeColumns:
    """Columns of trades; they double when they are full, so no trade is ever lost.

    Parameters
    ----------
    capacity : int
        Trades for which there is room at the start, at least 1.

    Raises
    ------
    ValueError
        If there is no room at all.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, was {capacity}")
        self._n = 0
        self._room(capacity)

    def __len__(self) -> int:
        """Count the trades held."""
        return self._n

    def append(self, ts: int, price: int, size: int, side: int, bid: int, ask: int) -> None:
        """Add one trade; the values are those of a `TradeBlock`."""
        k = self._n
        if k == self._capacity:
            self._grow()
        self._ts[k] = ts
        self._price[k] = price
        self._size[k] = size
        self._side[k] = side
        self._bid[k] = bid
        self._ask[k] = ask
        self._n = k + 1

    def take(self, contract: str) -> TradeBlock | None:
        """Hand out what was added since the last call as arrays of their own, None if nothing."""
        n = self._n
        if n == 0:
            return None
        self._n = 0
        ts, price, size, side, bid, ask = self._columns
        return TradeBlock(
            contract,
            ts[:n].copy(),
            price[:n].copy(),
            size[:n].copy(),
            side[:n].copy(),
            bid[:n].copy(),
            ask[:n].copy(),
        )

    def _room(self, capacity: int) -> None:
        self._capacity = capacity
        self._columns = (
            np.zeros(capacity, np.int64),
            np.zeros(capacity, np.int32),
            np.zeros(capacity, np.int32),
            np.zeros(capacity, np.int8),
            np.zeros(capacity, np.int32),
            np.zeros(capacity, np.int32),
        )
        # Storing through a memoryview takes half the time of storing into the array.
        self._ts, self._price, self._size = (column.data for column in self._columns[:3])
        self._side, self._bid, self._ask = (column.data for column in self._columns[3:])

    def _grow(self) -> None:
        n, full = self._n, self._columns
        self._room(2 * self._capacity)
        self._columns[0][:n] = full[0]
        self._columns[1][:n] = full[1]
        self._columns[2][:n] = full[2]
        self._columns[3][:n] = full[3]
        self._columns[4][:n] = full[4]
        self._columns[5][:n] = full[5]

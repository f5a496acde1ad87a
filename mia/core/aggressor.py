"""Who crossed the spread, where a feed does not say: the preceding quote, then the tick rule.

A trade at or above the ask was bought, one at or below the bid was sold. Inside the spread, or
where the quote says nothing or both, the price decides: up bought, down sold, unchanged the side
of the trade before. Nothing is known of the first trade of a session without a quote: 0.
"""

import numpy as np
from numpy.typing import NDArray

from mia.core.base_types import MISSING_PRICE


class Aggressor:
    """Infers sides trade by trade or column by column; any split of a tape gives the same sides.

    Attributes
    ----------
    price : int, optional
        Price of the trade before in ticks, None before the first.
    side : int
        Side of the trade before, 0 if unknown.
    """

    __slots__ = ("price", "side")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the trade before, as a new session or contract does."""
        self.price: int | None = None
        self.side = 0

    def infer(self, price: int, bid: int, ask: int) -> int:
        """Return the side of one trade.

        Parameters
        ----------
        price : int
            Ticks.
        bid, ask : int
            Quote before the trade in ticks, `MISSING_PRICE` where unknown.

        Returns
        -------
        int
            +1 bought, -1 sold, 0 unknown.
        """
        bought = price >= ask != MISSING_PRICE
        if bought != (price <= bid != MISSING_PRICE):
            side = 1 if bought else -1
        else:
            before = price if self.price is None else self.price
            side = (price > before) - (price < before) or self.side
        self.price = price
        self.side = side
        return side

    def infer_block(
        self, price: NDArray[np.int32], bid: NDArray[np.int32], ask: NDArray[np.int32]
    ) -> NDArray[np.int8]:
        """Return the sides of trades that follow one another, as `infer` would one by one.

        Parameters
        ----------
        price, bid, ask : ndarray of int32, shape (n,)
            As those of `infer`.

        Returns
        -------
        ndarray of int8, shape (n,)
        """
        n = len(price)
        if n == 0:
            return np.zeros(0, np.int8)
        bought = (price >= ask) & (ask != MISSING_PRICE)
        sold = (price <= bid) & (bid != MISSING_PRICE)
        side = bought.astype(np.int8) - sold.astype(np.int8)
        before = np.empty(n, np.int64)
        before[0] = price[0] if self.price is None else self.price
        before[1:] = price[:-1]
        side = np.where(side == 0, np.sign(price - before), side).astype(np.int8)
        if side[0] == 0:
            side[0] = self.side
        known = np.where(side != 0, np.arange(n), 0)
        filled: NDArray[np.int8] = side[np.maximum.accumulate(known)]
        self.price = int(price[-1])
        self.side = int(filled[-1])
        return filled

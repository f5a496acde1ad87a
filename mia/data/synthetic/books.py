"""The order book at each full second: ten levels around the quote of the tape."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mia.core.base_types import TradeBlock
from mia.data.synthetic import exact, intraday
from mia.data.synthetic.clock import SECOND_NS, SyntheticSession

LEVELS = 10
SHAPE = (1.0, 1.5, 1.8, 2.0, 2.2, 2.3, 2.4, 2.4, 2.5, 2.5)
"""Mean size of a level against the best one."""

TOP_SIZE = 30.0
"""Mean size of the best level in the cash session of the reference day, contracts."""

NIGHT_DEPTH = 0.45
TILT = 0.6
"""How far the sizes lean when the efficient price leaves the middle of the quote by one tick."""

MEMORY_S = 4
"""Seconds over which the noise of the sizes is averaged."""


@dataclass(frozen=True, slots=True)
class BookBlock:
    """Book of one contract at full seconds.

    Attributes
    ----------
    contract : str
        As in ``ESZ25``.
    ts_event : ndarray of int64, shape (n,)
        ns UTC.
    bid_price, ask_price : ndarray of int32, shape (n,)
        Best prices in ticks; level j is j ticks away from them.
    bid_size, ask_size : ndarray of int32, shape (n, 10)
        Contracts at each level, best first, all positive.
    """

    contract: str
    ts_event: NDArray[np.int64]
    bid_price: NDArray[np.int32]
    ask_price: NDArray[np.int32]
    bid_size: NDArray[np.int32]
    ask_size: NDArray[np.int32]

    def __len__(self) -> int:
        """Count the snapshots."""
        return len(self.ts_event)


def book_at_seconds(
    session: SyntheticSession,
    block: TradeBlock,
    latent: NDArray[np.float64],
    depth: float,
    rng: np.random.Generator,
) -> BookBlock:
    """Return the snapshots of a session, from the second after the first trade on.

    Parameters
    ----------
    session : SyntheticSession
        Which trading hours.
    block : TradeBlock
        Its trades.
    latent : ndarray of float64, shape (len(block),)
        Efficient price at each trade, ticks.
    depth : float
        Factor of all sizes on this day.
    rng : Generator
        Stream of the book.
    """
    second = np.arange(1, session.seconds + 1, dtype=np.int64)
    noise = exact.exponential(rng.random((session.seconds + MEMORY_S, 2 * LEVELS)))
    smooth = noise[: session.seconds].copy()
    for k in range(1, MEMORY_S):
        smooth += noise[k : k + session.seconds]
    smooth /= MEMORY_S
    ts = session.t_open + second * SECOND_NS
    at = np.searchsorted(block.ts_event, ts, side="right") - 1
    known = at >= 0
    at, ts, second, smooth = at[known], ts[known], second[known], smooth[known]
    bid, ask = block.bid_price[at], block.ask_price[at]
    lean = np.clip(latent[at] - (bid + ask) / 2, -1.0, 1.0) * TILT
    slot = np.minimum(second // intraday.SLOT_S, intraday.SLOTS - 1)
    day = (slot >= intraday.slot_of("08:30")) & (slot < intraday.slot_of("15:00"))
    scale = TOP_SIZE * depth * np.where(day, 1.0, NIGHT_DEPTH)
    fade = 1.0 / np.arange(1, LEVELS + 1)
    mean = scale[:, None] * np.array(SHAPE)
    sizes = [
        np.maximum(np.rint(mean * part * (1.0 + way * lean[:, None] * fade)), 1.0).astype(np.int32)
        for way, part in ((1.0, smooth[:, :LEVELS]), (-1.0, smooth[:, LEVELS:]))
    ]
    return BookBlock(block.contract, ts, bid, ask, sizes[0], sizes[1])

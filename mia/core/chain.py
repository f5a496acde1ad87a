"""An option chain as arrays, and what is known about where it came from."""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Root(IntEnum):
    """Trading class of SPX options; it decides when a series settles."""

    SPX = 0
    """Settles on the opening quotation of its expiry (AM)."""
    SPXW = 1
    """Settles on the close of its expiry (PM)."""


@dataclass(frozen=True, slots=True)
class ChainMeta:
    """Provenance of a chain.

    Attributes
    ----------
    source : str
        Adapter, as in ``cboe-csv``.
    underlying : str
        As in ``SPX``.
    quotes_asof : int
        Exchange time of the quotes (not of the download), ns UTC.
    oi_session : int
        Session whose close the open interest reflects, yyyymmdd; 0 if unknown.
    received_at : int
        When the payload was received, ns UTC; a backtest knows the chain from then on.
    index_print : float
        Last index level in the payload, nan without one.
    delayed_s : int
        Delay of the quotes that the source states, seconds; 0 for real time.
    complete : bool
        Whole chain, or a selection of contracts.
    captured_share : float
        Share of the last whole chain's gross gamma that a selection holds; 1 if complete.
    provenance : tuple of (str, str)
        Column and source, for columns that are not of `source` alone.
    """

    source: str
    underlying: str
    quotes_asof: int
    oi_session: int
    received_at: int
    index_print: float = float("nan")
    delayed_s: int = 0
    complete: bool = True
    captured_share: float = 1.0
    provenance: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ChainIssue:
    """A row that was left out or changed: file, row, and why."""

    source: str
    row: int
    reason: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Chain:
    """Contracts as equally long columns, ordered by (root, settlement, strike, right).

    Attributes
    ----------
    meta : ChainMeta
    root : ndarray of int8
        `Root`.
    settle_ns : ndarray of int64
        Settlement instant, ns UTC: 09:30 New York for AM, 16:00 (or an early close) for PM.
    expiry : ndarray of int32
        Date of expiry, yyyymmdd.
    strike : ndarray of float64
        Index points.
    right : ndarray of int8
        +1 call, -1 put.
    bid, ask : ndarray of float64
        Index points; 0 is a quote of zero, nan unknown.
    open_interest, volume : ndarray of float64
        Contracts; nan unknown.
    vendor_iv, vendor_delta, vendor_gamma : ndarray of float64
        As delivered, nan without; for checks only.
    issues : tuple of ChainIssue
        Rows that the adapter set aside.
    """

    meta: ChainMeta
    root: NDArray[np.int8]
    settle_ns: NDArray[np.int64]
    expiry: NDArray[np.int32]
    strike: NDArray[np.float64]
    right: NDArray[np.int8]
    bid: NDArray[np.float64]
    ask: NDArray[np.float64]
    open_interest: NDArray[np.float64]
    volume: NDArray[np.float64]
    vendor_iv: NDArray[np.float64]
    vendor_delta: NDArray[np.float64]
    vendor_gamma: NDArray[np.float64]
    issues: tuple[ChainIssue, ...] = field(default=())

    def __len__(self) -> int:
        """Count the contracts."""
        return len(self.strike)

"""Columns as an importer hands them to the store, before validation.

An importer yields one or more `RawTrades` or `RawBars` in the order of its source and says with
an `ImportSource` where they came from. Prices are still those of the source; the store checks
the rows, converts them to ticks and quarantines what is wrong.
"""

import hashlib
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mia.errors import DataError

READ_BYTES = 1 << 20


class SourceFormat(IntEnum):
    """Format of a source; the number is stored with each trade."""

    UNKNOWN = 0
    SCID = 1
    SIERRA_CSV = 2
    SIERRA_DOM = 3
    DBN = 4
    IQFEED = 5
    IBKR = 6
    CME_TIMESALES = 7
    LEAN = 8
    PARQUET = 9
    NINJATRADER = 10
    CSV = 11
    SYNTHETIC = 12
    COLLECTED = 13


class TradeFlag(IntFlag):
    """Marks on a trade."""

    NONE = 0
    UNBUNDLED_FIRST = 1
    UNBUNDLED_LAST = 2
    INDICATIVE = 4
    SOURCE_GAP = 8
    INFERRED_SIDE = 16


@dataclass(frozen=True, slots=True)
class ImportSource:
    """Where an import comes from.

    Attributes
    ----------
    name : str
        File name, or another name by which the user knows it.
    sha256 : str
        Hash of the content in hex; the same content is imported once.
    format : SourceFormat
        How it was encoded.
    """

    name: str
    sha256: str
    format: SourceFormat

    @classmethod
    def of_file(cls, path: Path, source_format: SourceFormat) -> "ImportSource":
        """Hash a file.

        Raises
        ------
        DataError
            If the file cannot be read.
        """
        digest = hashlib.sha256()
        try:
            with path.open("rb") as file:
                while chunk := file.read(READ_BYTES):
                    digest.update(chunk)
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from None
        return cls(path.name, digest.hexdigest(), source_format)


@dataclass(frozen=True, slots=True)
class RawTrades:
    """Trades of one contract in the order of the source, as equally long columns.

    Attributes
    ----------
    contract : str
        As in ``ESZ25``.
    ts_event : ndarray of int64
        Exchange time, ns UTC.
    price : ndarray of float64
        Price of the source; times `price_scale` it is in points.
    size : ndarray of int64
        Contracts.
    aggressor_side : ndarray of int8
        +1 buyer, -1 seller, 0 unknown.
    bid_price, ask_price : ndarray of float64, optional
        Quote at the trade in the unit of `price`, nan where unknown; None: unknown throughout.
    bid_size, ask_size : ndarray of int64, optional
        Contracts at that quote, negative where unknown; None: unknown throughout.
    ts_recv : ndarray of int64, optional
        Time of receipt, ns UTC.
    seq : ndarray of int64, optional
        Order among trades of equal time; None: the order of the rows.
    seq_unique : bool
        Whether two trades of equal `ts_event` and `seq` are the same trade.
    flags : ndarray of uint16, optional
        `TradeFlag` bits.
    kind : str
        ``summary`` (one aggressor order at one price) or ``fill``.
    price_scale : float
        Points per unit of `price`, as 0.01 for a feed in cents.
    row : ndarray of int64, optional
        Line or record number in the source, for messages; None: counted from `first_row`.
    first_row : int
        Number of the first row when `row` is None.
    """

    contract: str
    ts_event: NDArray[np.int64]
    price: NDArray[np.float64]
    size: NDArray[np.int64]
    aggressor_side: NDArray[np.int8]
    bid_price: NDArray[np.float64] | None = None
    ask_price: NDArray[np.float64] | None = None
    bid_size: NDArray[np.int64] | None = None
    ask_size: NDArray[np.int64] | None = None
    ts_recv: NDArray[np.int64] | None = None
    seq: NDArray[np.int64] | None = None
    seq_unique: bool = False
    flags: NDArray[np.uint16] | None = None
    kind: str = "summary"
    price_scale: float = 1.0
    row: NDArray[np.int64] | None = None
    first_row: int = 0

    def __len__(self) -> int:
        """Count the trades."""
        return len(self.ts_event)


@dataclass(frozen=True, slots=True)
class RawBars:
    """Ready-made bars of one contract in the order of the source.

    Attributes
    ----------
    contract : str
        As in ``ESZ25``.
    width_s : int
        Width of the slot in seconds.
    t_open : ndarray of int64
        **Start** of the slot, ns UTC.
    open, high, low, close : ndarray of float64
        Prices of the source; times `price_scale` they are in points.
    volume : ndarray of int64
        Contracts.
    bid_volume, ask_volume, trades : ndarray of int64, optional
        Contracts traded at bid and at ask, count of trades; None: the source has none.
    front : ndarray of bool, optional
        Whether the contract led by volume; None: the source does not say.
    price_scale : float
        Points per unit of the prices.
    row : ndarray of int64, optional
        Line or record number in the source, for messages; None: counted from `first_row`.
    first_row : int
        Number of the first row when `row` is None.
    """

    contract: str
    width_s: int
    t_open: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.int64]
    bid_volume: NDArray[np.int64] | None = None
    ask_volume: NDArray[np.int64] | None = None
    trades: NDArray[np.int64] | None = None
    front: NDArray[np.bool_] | None = None
    price_scale: float = 1.0
    row: NDArray[np.int64] | None = None
    first_row: int = 0

    def __len__(self) -> int:
        """Count the bars."""
        return len(self.t_open)


def source_rows(block: RawTrades | RawBars) -> NDArray[np.int64]:
    """Return the number of each row in its source."""
    if block.row is not None:
        return block.row
    return np.arange(block.first_row, block.first_row + len(block), dtype=np.int64)

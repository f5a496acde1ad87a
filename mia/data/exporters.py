"""Write the formats that importers read, so that synthetic markets pass through them."""

from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mia.config.instruments import TICK
from mia.core.base_types import MISSING_PRICE, BarBlock, TradeBlock
from mia.core.sierra.scid_records import (
    EPOCH_US,
    FIRST_BITS,
    HEADER,
    LAST_BITS,
    MAGIC,
    RECORD_BYTES,
    RECORD_DTYPE,
    VERSION,
)
from mia.data.files import replace_file
from mia.data.importers.reading import NS_PER_S, zone
from mia.errors import DataError

SIERRA_HEADER = "Date, Time, Open, High, Low, Last, Volume, NumberOfTrades, BidVolume, AskVolume\n"
NS_PER_MS = 1_000_000
SCID_HEAD = HEADER.pack(MAGIC, HEADER.size, RECORD_BYTES, VERSION, 0, 0, bytes(36))
"""What a `.scid` file begins with."""


def write_scid(
    path: Path,
    block: TradeBlock,
    *,
    fill_size: int | None = None,
    points_per_unit: float = 1.0,
) -> int:
    """Write trades as a Sierra Chart intraday file.

    Times lose what is below a millisecond; a counter keeps the order. Should a millisecond hold
    more than 1,000 records, the rest run into the next.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    block : TradeBlock
        Trades in time order.
    fill_size : int, optional
        Larger trades are written as fills of at most this size, the first and the last marked;
        None: a record for each trade.
    points_per_unit : float
        0.01 writes prices in hundredths of a point, as some feeds give them.

    Returns
    -------
    int
        Number of records written.

    Raises
    ------
    ValueError
        If `fill_size` is less than 1.
    DataError
        If the trades are out of order or the file cannot be written.
    """
    records = scid_records(block, fill_size=fill_size, points_per_unit=points_per_unit)
    _write(path, SCID_HEAD + records.tobytes())
    return len(records)


def scid_records(
    block: TradeBlock, *, fill_size: int | None = None, points_per_unit: float = 1.0
) -> NDArray[np.void]:
    """Return trades as the records of a Sierra Chart intraday file; see `write_scid`."""
    if fill_size is not None and fill_size < 1:
        raise ValueError(f"fill_size must be at least 1, was {fill_size}")
    size = block.size.astype(np.int64)
    parts = np.ones(len(block), np.int64)
    if fill_size is not None:
        parts = np.maximum(1, -(-size // fill_size))
    of = np.repeat(np.arange(len(block)), parts)
    nth = np.arange(len(of)) - np.repeat(np.cumsum(parts) - parts, parts)

    records = np.zeros(len(of), RECORD_DTYPE)
    records["time"] = _counted_times(block.ts_event[of]) + EPOCH_US
    marks = np.zeros(len(of), "<u4")
    split = parts[of] > 1
    marks[split & (nth == 0)] = FIRST_BITS
    marks[split & (nth == parts[of] - 1)] = LAST_BITS
    records["open"] = marks.view("<f4")
    unit = TICK / points_per_unit
    for field, ticks in (
        ("high", block.ask_price),
        ("low", block.bid_price),
        ("close", block.price),
    ):
        records[field] = np.where(ticks[of] == MISSING_PRICE, 0.0, ticks[of] * unit)
    records["trades"] = 1
    filled = size[of]
    if fill_size is not None:
        filled = np.minimum(fill_size, filled - nth * fill_size)
    records["volume"] = filled
    side = block.aggressor_side[of]
    records["bid_volume"] = np.where(side < 0, filled, 0)
    records["ask_volume"] = np.where(side > 0, filled, 0)
    return records


def write_sierra_csv(path: Path, bars: BarBlock, time_zone: str = "America/Chicago") -> int:
    """Write bars as the text export of Sierra Chart, ``BarData``.

    Parameters
    ----------
    path : Path
        Replaced if it exists; an importer takes the contract from its name, as in
        ``ESH20-CME.scid_BarData__5m.txt``.
    bars : BarBlock
        Bars in time order.
    time_zone : str
        Zone of the wall-clock times in the file.

    Returns
    -------
    int
        Number of bars written.

    Raises
    ------
    ConfigError
        If there is no such zone.
    DataError
        If the file cannot be written.
    """
    tz = zone(time_zone)
    lines = [SIERRA_HEADER]
    columns = (
        bars.t_open,
        bars.open,
        bars.high,
        bars.low,
        bars.close,
        bars.volume,
        bars.trades,
        bars.bid_volume,
        bars.ask_volume,
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for t_open, *prices, volume, trades, bid_volume, ask_volume in rows:
        at = datetime.fromtimestamp(t_open // NS_PER_S, tz)
        points = ", ".join(f"{ticks * TICK:.2f}" for ticks in prices)
        lines.append(
            f"{at.year}/{at.month}/{at.day}, {at:%H:%M:%S}, {points}, "
            f"{volume}, {trades}, {bid_volume}, {ask_volume}\n"
        )
    _write(path, "".join(lines).encode("ascii"))
    return len(bars)


def _counted_times(ts_event: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return microseconds that rise by at least one from record to record."""
    milliseconds = ts_event // NS_PER_MS
    if (np.diff(milliseconds) < 0).any():
        raise DataError("trades must be in time order to be written as .scid")
    count = np.arange(len(ts_event))
    return np.maximum.accumulate(milliseconds * 1000 - count) + count


def _write(path: Path, data: bytes) -> None:
    with replace_file(path) as temporary:
        temporary.write_bytes(data)

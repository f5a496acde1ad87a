"""A writer that treats a `.scid` file as Sierra Chart does: in bursts, and not always kindly."""

from pathlib import Path

import numpy as np

from mia.core.base_types import TradeBlock
from mia.core.sierra.scid_records import HEADER, MAGIC, RECORD_BYTES, VERSION
from mia.data.exporters import scid_records
from mia.data.synthetic import SyntheticMarket

HEAD = HEADER.pack(MAGIC, HEADER.size, RECORD_BYTES, VERSION, 0, 0, bytes(36))
COLUMNS = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")


class SetClock:
    """A clock that shows what it is set to."""

    def __init__(self, now: int) -> None:
        self.time = now

    def now(self) -> int:
        return self.time


def market_block(seed: int = 5, trades: int = 2000, day: int = 20250310) -> TradeBlock:
    return next(SyntheticMarket(seed, day, 1, trades_per_day=trades).blocks())


def part(block: TradeBlock, which: slice) -> TradeBlock:
    columns = {name: getattr(block, name)[which].copy() for name in COLUMNS}
    return TradeBlock(block.contract, kind=block.kind, **columns)


class SierraWriter:
    """Writes a tape to a file, of which the file is always a beginning.

    Sizes are counted in bytes, so that a record may be there in part.
    """

    def __init__(self, path: Path, block: TradeBlock, **options) -> None:
        self.path = path
        self.block = block
        self.records = scid_records(block, **options)
        self.stream = HEAD + self.records.tobytes()
        self.size = 0

    def append(self, count: int) -> None:
        """Append bytes, as at the end of a flush interval."""
        end = min(len(self.stream), self.size + max(0, count))
        with self.path.open("ab") as file:
            file.write(self.stream[self.size : end])
        self.size = end

    def append_records(self, count: int) -> None:
        whole = max(0, self.size - HEADER.size) // RECORD_BYTES
        self.append(HEADER.size + (whole + count) * RECORD_BYTES - self.size)

    def finish(self) -> None:
        self.append(len(self.stream))

    def shorten(self, count: int) -> None:
        """Cut bytes off the end, if the file is there."""
        if self.path.exists():
            self.size = max(0, self.size - max(0, count))
            with self.path.open("r+b") as file:
                file.truncate(self.size)

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)
        self.size = 0

    def overwrite(self, count: int) -> None:
        """Empty the file and begin to write it anew, keeping its inode."""
        self.path.write_bytes(self.stream[:count])
        self.size = min(count, len(self.stream))

    def replace(self, count: int) -> None:
        """Put another file with a beginning of the tape in its place at once."""
        other = self.path.with_suffix(".new")
        other.write_bytes(self.stream[:count])
        other.replace(self.path)
        self.size = min(count, len(self.stream))

    def renumber(self, by: int) -> None:
        """Give the records other counters within the millisecond, as a server may have them."""
        self.records["time"] += np.minimum(by, 999 - self.records["time"] % 1000)
        self.stream = HEAD + self.records.tobytes()

    def download(self, count: int) -> None:
        """Delete the file and begin to write history that counts in another way."""
        self.delete()
        self.renumber(1 + count % 7)
        self.append(count)


def collected(batches) -> dict[str, np.ndarray]:
    """Join the columns of batches."""
    batches = list(batches)
    if not batches:
        return {name: np.empty(0, np.int64) for name in COLUMNS}
    return {
        name: np.concatenate([getattr(batch.block, name) for batch in batches]) for name in COLUMNS
    }


def drain(source) -> list:
    """Poll until nothing comes."""
    batches = []
    while (batch := source.poll()) is not None:
        batches.append(batch)
    return batches


def assert_same_trades(batches, block: TradeBlock) -> None:
    """Compare trade by trade; the file keeps milliseconds."""
    found = collected(batches)
    for name in COLUMNS:
        expected = getattr(block, name)
        if name == "ts_event":
            expected = expected // 1_000_000 * 1_000_000
        np.testing.assert_array_equal(found[name], expected, err_msg=name)

"""The synthetic market as Sierra Chart's intraday files, appended while the market runs.

``python -m mia.data.synthetic.sierra_file FOLDER SEED START DAYS TRADES_PER_DAY FLUSH_MS`` appends
for each time (ns UTC) on its standard input what was traded up to it and has been flushed, and
answers with that time.
"""

import sys
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from mia.core.sierra.scid_records import EPOCH_US, RECORD_DTYPE
from mia.data.exporters import SCID_HEAD, scid_records
from mia.data.synthetic.market import SyntheticMarket

SECOND = 1_000_000_000
FILL_SIZE = 25
"""Larger orders come as marked fills, which the reader has to sum."""


class SierraFiles:
    """One file for each contract; each is always a beginning of the contract's tape.

    Parameters
    ----------
    folder : Path
        Must exist; files of the same names are replaced.
    market : SyntheticMarket
    flush_ms : int
        Records wait for the next multiple of this in market time, then all are appended at once.
    """

    def __init__(self, folder: Path, market: SyntheticMarket, flush_ms: int) -> None:
        self._folder = folder
        self._blocks = market.blocks()
        self._flush_ns = flush_ms * 1_000_000
        self._path = folder
        self._records: NDArray[np.void] = np.empty(0, RECORD_DTYPE)
        self._written = 0
        self._started: set[Path] = set()
        self._more = self._next()

    def advance(self, ts: int) -> int:
        """Append what was traded up to the end of the second of `ts` and is flushed.

        Returns
        -------
        int
            Number of records appended.
        """
        flushed = (ts // SECOND + 1) * SECOND // self._flush_ns * self._flush_ns
        count = 0
        while self._more:
            before = flushed // 1000 + EPOCH_US
            stop = int(np.searchsorted(self._records["time"], before))
            if stop > self._written:
                with self._path.open("ab") as file:
                    file.write(self._records[self._written : stop].tobytes())
                count += stop - self._written
                self._written = stop
            if self._written < len(self._records):
                break
            self._more = self._next()
        return count

    def _next(self) -> bool:
        """Go on to the next session; false after the last."""
        block = next(self._blocks, None)
        if block is None:
            return False
        self._records = scid_records(block, fill_size=FILL_SIZE)
        self._written = 0
        self._path = self._folder / f"{block.contract}-CME.scid"
        if self._path not in self._started:
            self._path.write_bytes(SCID_HEAD)
            self._started.add(self._path)
        return True


def serve(files: SierraFiles, asked: TextIO, answers: TextIO) -> None:
    """Append for each time asked until there is no more question."""
    print("ready", file=answers, flush=True)
    for line in asked:
        files.advance(int(line))
        print(line.strip(), file=answers, flush=True)


def main(arguments: list[str]) -> None:
    """Read the arguments as in the description of the module, and serve."""
    folder = Path(arguments[0])
    seed, start, days, trades_per_day, flush_ms = map(int, arguments[1:])
    market = SyntheticMarket(seed, start, days, trades_per_day=trades_per_day)
    serve(SierraFiles(folder, market, flush_ms), sys.stdin, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])

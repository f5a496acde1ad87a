"""Reading a file whole, and finding the real ones."""

import os
from pathlib import Path

import numpy as np
import pytest

from mia.data.importers.detect import read_file
from mia.data.importers.reading import ImportLog, ReadOptions
from mia.data.raw import RawBars, RawTrades


class Import:
    """Everything a read gives, its blocks joined by contract."""

    def __init__(self, path, **options):
        self.log = ImportLog()
        self.steps = []
        reader = read_file(
            path, ReadOptions(**options), self.log, lambda *step: self.steps.append(step)
        )
        self.blocks = list(reader)

    @property
    def contracts(self):
        return list(dict.fromkeys(block.contract for block in self.blocks))

    def joined(self, name, contract=None):
        """Return one column of all blocks, prices in points."""
        parts = []
        for block in self.blocks:
            if contract in (None, block.contract):
                column = getattr(block, name)
                is_price = column is not None and column.dtype == np.float64
                parts.append(column * block.price_scale if is_price else column)
        assert len({part is None for part in parts}) == 1
        return None if parts[0] is None else np.concatenate(parts)

    @property
    def reasons(self):
        return {entry.row: entry.reason for entry in self.log.rejected}

    def total(self, name):
        return int(self.joined(name).sum())

    def __len__(self):
        return sum(map(len, self.blocks))


@pytest.fixture
def read():
    return Import


@pytest.fixture
def real():
    """Return a real file, or skip."""

    def find(name):
        folder = os.environ.get("MIA_REAL_DATA")
        if folder is None or not (Path(folder) / name).exists():
            pytest.skip(f"{name} is not here: set MIA_REAL_DATA")
        return Path(folder) / name

    return find


@pytest.fixture
def same():
    """Compare two blocks column by column."""

    def compare(left: RawTrades | RawBars, right: RawTrades | RawBars, *but: str):
        assert type(left) is type(right)
        for name in left.__slots__:
            if name not in but:
                np.testing.assert_array_equal(getattr(left, name), getattr(right, name), name)

    return compare


def utc_ns(text):
    """Return ns of a UTC time with up to nine decimals."""
    return int(np.datetime64(text, "ns").astype(np.int64))


@pytest.fixture(name="ns")
def ns_fixture():
    return utc_ns

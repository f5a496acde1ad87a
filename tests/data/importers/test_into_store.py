"""What importers read, the store takes."""

import numpy as np
import pytest

from mia.core.base_types import BarBlock, TradeBlock
from mia.data.exporters import write_scid, write_sierra_csv
from mia.data.importers.detect import READERS, detect
from mia.data.raw import ImportSource
from mia.data.store import Store

OPEN = 1_689_946_200_000_000_000  # 2023-07-21 13:30 UTC, a Friday


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path / "store")


def source_of(path):
    return ImportSource.of_file(path, READERS[detect(path)].source)


def test_trades_written_as_fills_are_stored_as_the_trades_they_were(tmp_path, store, read):
    path = tmp_path / "ESU23-CME.scid"
    price = np.array([18000, 18001, 18000, 18002], np.int32)
    trades = TradeBlock(
        "ESU23",
        OPEN + np.arange(4) * 1_000_000,
        price,
        np.array([5, 1, 12, 3], np.int32),
        np.array([1, -1, 1, -1], np.int8),
        price - 1,
        price,
    )
    write_scid(path, trades, fill_size=2)
    report = store.write_trades(read(path).blocks, source_of(path))
    assert (report.rows, report.rejected, report.kind) == (4, 0, "summary")
    (back,) = store.read("ESU23")
    for name in trades.__slots__[1:7]:
        np.testing.assert_array_equal(getattr(back, name), getattr(trades, name), name)


def test_bars_written_as_text_are_stored_as_they_were(tmp_path, store, read):
    path = tmp_path / "ESU23-CME.scid_BarData__5m.txt"
    price = np.array([18000, 18004, 18002], np.int32)
    volume = np.array([10, 20, 30])
    bars = BarBlock(
        "ESU23",
        300,
        OPEN + np.arange(3) * 300_000_000_000,
        price,
        price + 4,
        price - 4,
        price + 1,
        volume,
        volume // 3,
        volume - volume // 3,
        volume // 2,
    )
    write_sierra_csv(path, bars)
    report = store.write_bars(read(path).blocks, source_of(path))
    assert (report.rows, report.rejected) == (3, 0)
    (back,) = store.read("ESU23", kind="bars")
    for name in bars.__slots__[1:]:
        np.testing.assert_array_equal(getattr(back, name), getattr(bars, name), name)

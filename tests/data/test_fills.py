from pathlib import Path

import numpy as np
import pytest
from data.samples import source, trades
from hypothesis import given, settings
from hypothesis import strategies as st

from mia.data.fills import summary_starts
from mia.data.raw import TradeFlag
from mia.data.store import Store

FIRST, LAST = int(TradeFlag.UNBUNDLED_FIRST), int(TradeFlag.UNBUNDLED_LAST)


def starts(rows: list[tuple[int, int, int, int]]) -> list[int]:
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    kinds = (np.int64, np.int32, np.int8, np.uint16)
    arrays = [np.array(c, kind) for c, kind in zip(columns, kinds, strict=True)]
    return summary_starts(*arrays).tolist()


def test_marks_hold_fills_together_and_unmarked_fills_stand_alone() -> None:
    rows = [
        (1, 100, 1, 0),
        (1, 100, 1, 0),
        (2, 100, 1, FIRST),
        (3, 100, 1, 0),
        (4, 100, 1, LAST),
        (4, 100, 1, 0),
        (5, 100, 1, FIRST),
        (5, 100, 1, FIRST | LAST),
    ]
    assert starts(rows) == [0, 1, 2, 5, 6, 7]


def test_a_sweep_is_one_trade_at_each_price() -> None:
    rows = [(1, 100, 1, FIRST), (1, 100, 1, 0), (1, 101, 1, 0), (1, 101, 1, LAST)]
    assert starts(rows) == [0, 2]


def test_without_marks_equal_time_price_and_side_hold_together() -> None:
    rows = [(1, 100, 1, 0), (1, 100, 1, 0), (2, 100, 1, 0), (2, 100, -1, 0), (2, 101, -1, 0)]
    assert starts(rows) == [0, 2, 3, 4]
    assert starts([]) == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([7, 64, 1000]))
def test_reading_in_any_blocks_merges_the_same_trades(
    tmp_path_factory: pytest.TempPathFactory, seed: int, rows: int
) -> None:
    rng = np.random.default_rng(seed)
    count = 120
    raw = trades(
        count=count,
        kind="fill",
        ts_event=np.sort(trades(count=20).ts_event[rng.integers(0, 20, count)]),
        price=(11700 + rng.integers(0, 2, count)) * 0.25,
        bid_price=None,
        ask_price=None,
    )
    store = Store.create(tmp_path_factory.mktemp("store"))
    store.write_trades(raw, source())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mia.data.reader.ROW_GROUP", rows)
        blocks = list(store.read("ESU19", merge_fills=True))
    expected: list[list[int]] = []
    for ts, price, side, size in zip(
        raw.ts_event.tolist(),
        (raw.price * 4).astype(int).tolist(),
        raw.aggressor_side.tolist(),
        raw.size.tolist(),
        strict=True,
    ):
        if expected and expected[-1][:3] == [ts, price, side]:
            expected[-1][3] += size
        else:
            expected.append([ts, price, side, size])
    merged = [
        [int(getattr(b, n)[k]) for n in ("ts_event", "price", "aggressor_side", "size")]
        for b in blocks
        for k in range(len(b))
    ]
    assert merged == expected
    assert {block.kind for block in blocks} == {"summary"}


def test_summary_trades_are_left_as_they_are(tmp_path: Path) -> None:
    store = Store.create(tmp_path)
    store.write_trades(trades(count=50, ts_event=np.repeat(trades(count=1).ts_event, 50)), source())
    assert sum(len(block) for block in store.read("ESU19", merge_fills=True)) == 50

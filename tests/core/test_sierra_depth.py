"""`.depth` files made from the published description; no real one was at hand."""

import struct
from datetime import date
from pathlib import Path

import pytest
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st

from mia.core.market_feed import FeedNoticeKind
from mia.core.sierra.depth import DepthBook, DepthTail, depth_path
from mia.core.sierra.scid_records import EPOCH_US
from mia.data.synthetic import SyntheticMarket
from mia.errors import FormatError

HEAD = struct.pack("<4sIII48s", b"SCDD", 64, 24, 1, bytes(48))
START_US = 1_741_000_000_000_000
BID, ASK = 0, 1


def record(k, command, price=0.0, size=0, orders=0, end=False):
    time = START_US + EPOCH_US + k
    return struct.pack("<qBBHfII", time, command, end, orders, price, size, 0)


def tail_of(tmp_path: Path, *records: bytes, **options) -> DepthTail:
    path = tmp_path / "ESH25.2025-03-10.depth"
    path.write_bytes(HEAD + b"".join(records))
    return DepthTail(path, "ESH25", **options)


SNAPSHOT = (
    record(0, 1),
    record(0, 2, 4000.0, 10, 3),
    record(0, 2, 3999.75, 20, 5),
    record(0, 3, 4000.25, 7, 2),
    record(0, 3, 4000.5, 9, 4, end=True),
)


def test_a_snapshot_fills_the_book(tmp_path):
    tail = tail_of(tmp_path, *SNAPSHOT)
    (batch,) = tail.batches()
    assert (len(batch), batch.ts_event) == (5, START_US * 1000)
    assert tail.book.bids == {16000: (10, 3), 15999: (20, 5)}
    assert tail.book.asks == {16001: (7, 2), 16002: (9, 4)}
    assert (tail.book.best_bid, tail.book.best_ask, tail.book.valid) == (16000, 16001, True)
    assert tail.book.sizes(2) == ([10, 20], [7, 9])
    assert not tail.book.crossed


def test_commands_add_change_and_delete(tmp_path):
    tail = tail_of(
        tmp_path,
        *SNAPSHOT,
        record(1, 4, 4000.0, 11, 3),
        record(1, 6, 3999.75, end=True),
        record(2, 5, 4000.25, 0, end=True),
        record(3, 4, 3999.5, 8, 1, end=True),
        record(4, 7, 4005.0, end=True),
        record(5, 0, end=True),
    )
    assert len(list(tail.batches())) == 6
    assert tail.book.bids == {16000: (11, 3), 15998: (8, 1)}
    assert tail.book.asks == {16002: (9, 4)}
    assert tail.book.missing_deletes == 1


def test_half_a_batch_changes_nothing(tmp_path):
    change = record(1, 2, 4000.25, 5) + record(1, 7, 4000.25, end=True)
    tail = tail_of(tmp_path, *SNAPSHOT)
    list(tail.batches())
    with tail.path.open("ab") as file:
        for k in range(len(change)):
            file.write(change[k : k + 1])
            file.flush()
            got = list(tail.batches())
            assert len(got) == (k == len(change) - 1)
            assert tail.book.crossed is False
    assert tail.book.bids[16001] == (5, 0)


def test_a_book_counts_only_from_a_snapshot_on(tmp_path):
    tail = tail_of(tmp_path, record(0, 2, 4000.0, 5, end=True), *SNAPSHOT)
    valid = [tail.book.valid for _ in tail.batches()]
    assert valid == [False, True]


@pytest.mark.parametrize(
    "bad",
    [
        record(1, 8, 4000.0, 1, end=True),
        record(1, 2, 4000.1, 1, end=True),
        record(1, 2, float("nan"), 1, end=True),
        record(1, 2, -4000.0, 1, end=True),
        record(1, 2, 9e9, 1, end=True),
        record(-START_US - EPOCH_US, 2, 4000.0, 1, end=True),
    ],
)
def test_what_cannot_be_read_voids_the_book_until_the_next_snapshot(tmp_path, bad):
    notices = []
    tail = tail_of(tmp_path, *SNAPSHOT, bad, *SNAPSHOT, notify=notices.append)
    assert [tail.book.valid for _ in tail.batches()] == [True, False, True]
    assert [notice.kind for notice in notices] == [FeedNoticeKind.REFUSED]


def test_prices_in_hundredths_are_found(tmp_path):
    tail = tail_of(tmp_path, record(0, 1), record(0, 2, 400_025.0, 3, end=True))
    list(tail.batches())
    assert tail.book.bids == {16001: (3, 0)}
    tail = tail_of(tmp_path, record(0, 1), record(0, 2, 8000.5, 3, end=True), points_per_unit=0.5)
    list(tail.batches())
    assert tail.book.bids == {16001: (3, 0)}


def test_a_rewritten_file_gives_the_book_anew_and_no_batch_twice(tmp_path):
    notices = []
    first = [record(k, 4, 4000.0, k, end=True) for k in range(1, 10)]
    tail = tail_of(tmp_path, *SNAPSHOT, *first, notify=notices.append)
    assert len(list(tail.batches())) == 10
    other = [record(k, 4, 4000.0, 2 * k, end=True) for k in range(1, 13)]
    tail.path.write_bytes(HEAD + b"".join([*SNAPSHOT, *other]))
    assert [batch.size.tolist() for batch in tail.batches()] == [[20], [22], [24]]
    assert tail.book.bids[16000] == (24, 0)
    assert tail.current
    tail.path.write_bytes(HEAD + b"".join(SNAPSHOT))
    assert list(tail.batches()) == []
    assert tail.book.bids[16000] == (10, 3)
    assert not tail.current
    assert [notice.kind for notice in notices] == [FeedNoticeKind.REWRITTEN] * 2


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "x.depth"
    for content, message in (
        (b"SCID" + HEAD[4:], "is no .depth file"),
        (HEAD[:8] + struct.pack("<I", 32) + HEAD[12:], "records of 32"),
    ):
        path.write_bytes(content)
        with pytest.raises(FormatError, match=message):
            list(DepthTail(path, "ESH25").batches())


def test_a_file_without_ends_of_batches_is_refused(tmp_path):
    tail = tail_of(tmp_path, record(0, 2, 4000.0, 5) * 70_000)
    with pytest.raises(FormatError, match="without the end of a batch"):
        list(tail.batches())


def test_a_file_that_is_not_there_yet_has_no_batches(tmp_path):
    path = depth_path(tmp_path, "ESH25_FUT_CME", date(2025, 3, 10))
    assert path.name == "ESH25_FUT_CME.2025-03-10.depth"
    assert list(DepthTail(path, "ESH25").batches()) == []


def commands_between(old: dict, new: dict, side: int, k: int) -> list[bytes]:
    out = []
    for price in sorted(old.keys() | new.keys()):
        if price not in new:
            out.append(record(k, 6 + side, price / 4))
        elif old.get(price) != new[price]:
            command = (4 if price in old else 2) + side
            out.append(record(k, command, price / 4, *new[price]))
    return out


def ended(records: list[bytes]) -> bytes:
    if not records:
        return b""
    last = bytearray(records[-1])
    last[9] = 1
    return b"".join(records[:-1]) + bytes(last)


levels = st.dictionaries(
    st.integers(15990, 16010), st.tuples(st.integers(1, 99), st.integers(0, 9)), max_size=8
)


@fuzz(100)
@given(st.lists(st.tuples(levels, levels), max_size=12), st.lists(st.integers(1, 400), max_size=9))
def test_after_each_batch_the_book_is_one_that_stood(tmp_path, books, bursts):
    data, old = record(0, 1, end=True), ({}, {})
    expected = [({}, {})]
    for k, book in enumerate(books, 1):
        change = [
            part for side in (BID, ASK) for part in commands_between(old[side], book[side], side, k)
        ]
        data += ended(change)
        expected += [book] if change else []
        old = book
    path = tmp_path / "ESH25.2025-03-10.depth"
    path.write_bytes(HEAD)
    tail, found = DepthTail(path, "ESH25"), []
    for size in [*bursts, len(data)]:
        with path.open("ab") as file:
            file.write(data[:size])
        data = data[size:]
        found += [(dict(tail.book.bids), dict(tail.book.asks)) for _ in tail.batches()]
    assert found == expected
    assert tail.book.missing_deletes == 0


@fuzz(100)
@given(st.binary(max_size=400), st.integers(0, 64))
def test_no_bytes_make_a_tail_crash(tmp_path, data, cut):
    path = tmp_path / "ESH25.2025-03-10.depth"
    path.write_bytes(HEAD[:cut] + data)
    tail = DepthTail(path, "ESH25")
    try:
        list(tail.batches())
    except FormatError:
        return
    assert all(
        size > 0 for levels in (tail.book.bids, tail.book.asks) for size, _ in levels.values()
    )


def test_the_synthetic_market_comes_through(tmp_path):
    market = next(SyntheticMarket(5, 20250310, 1, trades_per_day=300).books())
    path = tmp_path / "ESH25.2025-03-10.depth"
    data, old, states = [record(0, 1, end=True)], ({}, {}), []
    for i in range(0, len(market), 97):
        bids = {int(market.bid_price[i]) - j: (int(market.bid_size[i, j]), 0) for j in range(10)}
        asks = {int(market.ask_price[i]) + j: (int(market.ask_size[i, j]), 0) for j in range(10)}
        changes = [*commands_between(old[0], bids, BID, i), *commands_between(old[1], asks, ASK, i)]
        data.append(ended(changes))
        if changes:
            states.append((bids, asks))
        old = (bids, asks)
    path.write_bytes(HEAD + b"".join(data))
    tail = DepthTail(path, market.contract)
    found = [(dict(tail.book.bids), dict(tail.book.asks)) for _ in tail.batches()]
    assert found[1:] == states
    assert isinstance(tail.book, DepthBook)
    assert len(states) > 500

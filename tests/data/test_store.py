import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data.samples import SECOND, bars, source, trades

from mia.core import sessions
from mia.core.base_types import BarBlock, TradeBlock
from mia.data import schema, writer
from mia.data.raw import RawTrades
from mia.data.store import Store
from mia.errors import DataError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store")


def joined(blocks: Iterator, name: str) -> np.ndarray:
    return np.concatenate([getattr(block, name) for block in blocks])


def content(path: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name != ".lock"
    }


def test_trades_come_back_as_they_went_in(store: Store) -> None:
    raw = trades()
    report = store.write_trades(raw, source())
    assert (report.read, report.rows, report.rejected) == (500, 500, 0)
    (block,) = store.read("ESU19")
    assert isinstance(block, TradeBlock)
    assert block.contract == "ESU19"
    assert block.kind == "summary"
    assert (block.ts_event == raw.ts_event).all()
    for name in ("price", "bid_price", "ask_price"):
        assert (getattr(block, name) * 0.25 == getattr(raw, name)).all()
    assert (block.size == raw.size).all()
    assert (block.aggressor_side == raw.aggressor_side).all()


def test_bars_come_back_as_they_went_in(store: Store) -> None:
    raw = bars()
    store.write_bars(raw, source())
    (block,) = store.read("ES", kind="bars")
    assert isinstance(block, BarBlock)
    assert block.width_s == 300
    for name in ("t_open", "volume", "bid_volume", "ask_volume", "trades"):
        assert (getattr(block, name) == getattr(raw, name)).all()
    for name in ("open", "high", "low", "close"):
        assert (getattr(block, name) * 0.25 == getattr(raw, name)).all()


def test_a_file_names_its_day_and_describes_itself(store: Store) -> None:
    store.write_trades(trades(), source())
    path = store.path / "ticks/root=ES/contract=ESU19/date=2019-08-09.parquet"
    footer = pq.read_metadata(path)
    assert footer.metadata[b"tick_size"] == b"0.25"
    assert footer.metadata[b"multiplier"] == b"50.0"
    columns = {footer.schema.column(k).name: k for k in range(footer.num_columns)}
    assert list(columns) == [field.name for field in schema.TICKS.schema]
    group = footer.row_group(0)
    assert "DELTA_BINARY_PACKED" in group.column(columns["ts_event"]).encodings
    assert group.column(columns["price"]).compression == "ZSTD"
    ((fact,),) = store.coverage().values()
    assert (fact.rows, fact.session_id, fact.sources) == (500, 20190809, ("a.scid",))


def test_sessions_are_split_at_the_evening_not_at_midnight(store: Store) -> None:
    store.write_trades([trades(20190808, 200), trades(20190809, 300)], source())
    assert [(f.session_id, f.rows) for f in store.coverage()["ticks"]] == [
        (20190808, 200),
        (20190809, 300),
    ]


def test_importing_the_same_content_again_adds_nothing_and_says_so(store: Store) -> None:
    store.write_trades(trades(), source())
    before = content(store.path)
    report = Store(store.path).write_trades(trades(), source("renamed.scid"))
    assert report.already
    assert "already imported" in report.summary()
    assert content(store.path) == before


def test_content_whose_files_were_deleted_is_imported_again(store: Store) -> None:
    store.write_trades(trades(), source())
    next(store.path.glob("ticks/*/*/*.parquet")).unlink()
    report = store.write_trades(trades(), source())
    assert not report.already
    assert report.rows == 500


def test_two_halves_of_a_day_join(store: Store) -> None:
    whole = trades(count=500)
    store.write_trades(trades(count=200), source("first", "1"))
    store.write_trades(trades(count=300, start_s=200 * 30, seed=2), source("second", "2"))
    assert (joined(store.read("ESU19"), "ts_event") == whole.ts_event).all()
    ((fact,),) = store.coverage().values()
    assert fact.sources == ("first", "second")
    assert fact.volume == joined(store.read("ESU19"), "size").sum()


def test_overlapping_rows_give_way_and_the_others_stay(store: Store) -> None:
    old, new = trades(count=300, seed=1), trades(count=100, start_s=100 * 30, seed=2)
    store.write_trades(old, source("old", "1"))
    store.write_trades(new, source("new", "2"))
    prices = joined(store.read("ESU19"), "price") * 0.25
    assert (prices == [*old.price[:100], *new.price, *old.price[200:]]).all()


def test_summary_trades_and_fills_of_a_day_are_never_added_up(store: Store) -> None:
    store.write_trades(trades(20190808, 100, kind="summary"), source("a", "1"))
    fills = [trades(20190808, 250, kind="fill"), trades(20190809, 250, kind="fill")]
    report = store.write_trades(fills, source("b", "2"))
    assert report.kept_days == {"ESU19": [20190808]}
    assert report.days == {"ESU19": [20190809]}
    assert report.rows == 250
    assert "kept" in report.summary()
    assert [block.kind for block in store.read("ESU19")] == ["summary", "fill"]
    store.write_trades(fills, source("b", "2"), replace=True)
    assert [(block.kind, len(block)) for block in store.read("ESU19")] == [("fill", 250)] * 2


def test_one_source_of_two_kinds_is_refused_and_leaves_nothing(store: Store) -> None:
    before = content(store.path)
    with pytest.raises(DataError, match="mixes summary trades and fills"):
        store.write_trades([trades(), trades(20190812, kind="fill")], source())
    assert content(store.path) == before


def test_late_rows_are_sorted_in_even_across_days(store: Store) -> None:
    first, second = trades(20190808, 100), trades(20190809, 100)
    late = trades(20190808, 50, start_s=15, seed=3)
    report = store.write_trades([first, second, late], source())
    assert report.late == 50
    assert report.rows == 250
    ts = joined(store.read("ESU19"), "ts_event")
    assert (np.diff(ts) >= 0).all()
    assert len(ts) == 250


def test_repeated_sequence_numbers_are_kept_once_and_quarantined(store: Store) -> None:
    raw = trades(count=100, seq=np.arange(100), seq_unique=True)
    again = trades(20190809, 30, seq=np.arange(30), seq_unique=True, first_row=100, seed=9)
    report = store.write_trades([raw, again], source())
    assert (report.read, report.rows, report.duplicates, report.rejected) == (130, 100, 30, 0)
    assert report.quarantine is not None
    lines = report.quarantine.read_text().splitlines()
    assert lines[0] == "row,contract,action,reason,values"
    assert [line.split(",")[:4] for line in lines[1:3]] == [
        ["0", "ESU19", "repeated", "duplicate"],
        ["1", "ESU19", "repeated", "duplicate"],
    ]
    newest = joined(store.read("ESU19"), "price")[:30] * 0.25
    assert (newest == again.price).all()


def test_rejected_rows_are_written_with_reason_and_raw_values(store: Store) -> None:
    raw = trades(count=20)
    raw.price[5] = 2900.1
    raw.size[7] = 0
    report = store.write_trades(raw, source("dir/odd name.scid"))
    assert report.reasons == {"price_off_grid": 1, "zero_size": 1}
    path = store.path / "quarantine" / "dir_odd_name.scid.ticks.csv"
    assert report.quarantine == path
    lines = path.read_text().splitlines()
    assert lines[1].startswith("5,ESU19,rejected,price_off_grid,ts_event=")
    assert "price=2900.1 " in lines[1]
    (entry,) = json.loads((store.path / "manifest.json").read_text())["imports"]
    assert (entry["rows"], entry["rejected"], entry["format"]) == (18, 2, "scid")


def test_an_import_without_a_usable_row_is_an_error_that_names_the_reason(store: Store) -> None:
    raw = trades(count=20, price=np.full(20, 290000.0))
    with pytest.raises(DataError, match=r"20 of 20 rows are unusable, most for price_implausible"):
        store.write_trades(raw, source())
    assert Store(store.path).manifest.imports == ()
    with pytest.raises(DataError, match="has no rows"):
        store.write_trades([], source())
    with pytest.raises(DataError, match="has no bars"):
        store.write_bars([], source())


def test_an_import_that_fails_midway_leaves_the_store_as_it_was(store: Store) -> None:
    store.write_trades(trades(count=100), source("a", "1"))
    before = content(store.path)

    def broken() -> Iterator[RawTrades]:
        yield trades(count=300, seed=2)
        yield trades(20190812)
        raise DataError("b.scid, record 800: truncated")

    with pytest.raises(DataError, match="truncated"):
        store.write_trades(broken(), source("b", "2"))
    assert content(store.path) == before


def test_a_crash_between_renames_leaves_whole_days_and_the_import_can_be_repeated(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [trades(day, 100, seed=1) for day in (20190807, 20190808, 20190809)]
    new = [trades(day, 100, seed=2) for day in (20190807, 20190808, 20190809)]
    store.write_trades(old, source("old", "1"))
    moved: list[Path] = []
    genuine = Path.replace

    def fail_on_the_second(self: Path, target: Path) -> Path:
        if target.suffix == ".parquet":
            moved.append(target)
            if len(moved) == 2:
                raise OSError(28, "No space left on device")
        return genuine(self, target)

    monkeypatch.setattr(Path, "replace", fail_on_the_second)
    with pytest.raises(DataError, match="No space left on device"):
        store.write_trades(new, source("new", "2"))
    prices = [block.price * 0.25 for block in Store(store.path).read("ESU19")]
    assert [(p == w.price).all() for p, w in zip(prices, [new[0], *old[1:]], strict=True)] == [
        True,
        True,
        True,
    ]
    monkeypatch.undo()
    assert not store.write_trades(new, source("new", "2")).already
    assert (
        joined(store.read("ESU19"), "price") * 0.25 == np.concatenate([r.price for r in new])
    ).all()


def test_leftovers_of_a_killed_import_are_swept_away(store: Store) -> None:
    orphan = store.path / writer.STAGING / "ticks" / "x.parquet"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"half")
    store.write_trades(trades(), source())
    assert not orphan.exists()
    assert store.tables() == ["ticks"]


def test_a_second_import_at_the_same_time_is_refused(store: Store) -> None:
    def nested() -> Iterator[RawTrades]:
        with pytest.raises(DataError, match="another import is writing"):
            store.write_trades(trades(), source("b", "2"))
        yield trades()

    assert store.write_trades(nested(), source()).rows == 500


def test_a_store_that_cannot_be_written_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot write") as caught:
        Store.create(tmp_path / "file" / "store")
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_manifest_and_a_damaged_manifest_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no store"):
        Store(tmp_path)
    for text in ("{", '{"version": 99, "imports": []}', '{"version": 1, "imports": [{"a": 1}]}'):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(DataError, match=r"no manifest|version 99"):
            Store(tmp_path)


@pytest.mark.parametrize("junk", [b"", b"PAR1", b"x" * 1000])
def test_a_damaged_day_is_a_data_error_that_names_the_file(store: Store, junk: bytes) -> None:
    store.write_trades(trades(), source())
    path = next(store.path.glob("ticks/*/*/*.parquet"))
    path.write_bytes(junk)
    with pytest.raises(DataError, match=r"cannot read .*date=2019-08-09"):
        list(store.read("ESU19"))
    with pytest.raises(DataError, match=r"cannot read .*date=2019-08-09"):
        store.coverage()


def test_a_time_range_includes_its_start_and_excludes_its_end(store: Store) -> None:
    raw = [trades(20190808, 100), trades(20190809, 100)]
    store.write_trades(raw, source())
    start, end = int(raw[0].ts_event[40]), int(raw[1].ts_event[60])
    ts = joined(store.read("ESU19", start, end), "ts_event")
    assert (ts[0], ts[-1]) == (start, raw[1].ts_event[59])
    assert len(ts) == 120


def test_a_time_without_data_is_an_error_that_says_what_there_is(store: Store) -> None:
    store.write_trades(trades(), source())
    with pytest.raises(DataError, match="it has from 20190809 to 20190809"):
        store.read("ESU19", sessions.session_open(20190901))
    with pytest.raises(DataError, match="it has nothing"):
        store.read("ESZ19")
    with pytest.raises(DataError, match=r"bars in .*: say which width; it has none"):
        store.read("ES", kind="bars")
    with pytest.raises(DataError, match=r"must be ticks or bars"):
        store.read("ES", kind="quotes")


def test_several_bar_widths_need_a_choice(store: Store) -> None:
    store.write_bars(bars(width_s=300), source("a", "1"))
    store.write_bars(bars(width_s=60), source("b", "2"))
    with pytest.raises(DataError, match="say which width; it has 60 s, 300 s"):
        store.read("ES", kind="bars")
    with pytest.raises(DataError, match="none of 900 s"):
        store.read("ES", kind="bars", width_s=900)
    (block,) = store.read("ES", kind="bars", width_s=60)
    assert len(block) == 1365


def test_blocks_are_bounded_and_cut_without_loss(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "ROW_GROUP", 64)
    monkeypatch.setattr("mia.data.reader.ROW_GROUP", 64)
    raw = trades(count=500)
    store.write_trades(raw, source())
    blocks = list(store.read("ESU19", int(raw.ts_event[100]), int(raw.ts_event[401])))
    assert max(len(block) for block in blocks) <= 64
    assert (joined(iter(blocks), "ts_event") == raw.ts_event[100:401]).all()


def test_reading_holds_one_row_group_at_a_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, group = 80_000, 8_000
    monkeypatch.setattr(schema, "ROW_GROUP", group)
    monkeypatch.setattr("mia.data.reader.ROW_GROUP", group)
    sid = 20190809
    ts = sessions.session_open(sid) + np.arange(rows) * SECOND
    store.write_trades(trades(sid, rows, ts_event=ts), source())
    before = pa.total_allocated_bytes()
    peak = max(pa.total_allocated_bytes() - before for _ in store.read("ESU19"))
    assert 0 < peak < rows * 25 // 2


def test_arrays_show_the_memory_of_the_file_and_cannot_be_changed(store: Store) -> None:
    store.write_trades(trades(), source())
    (block,) = store.read("ESU19")
    for name in ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price"):
        column = getattr(block, name)
        assert not column.flags.owndata
        assert not column.flags.writeable
        assert column.flags.c_contiguous


def test_optional_columns_survive_a_merge(store: Store) -> None:
    recv = trades(count=100).ts_event + 5
    sizes = np.where(np.arange(100) % 2, 7, -1)
    store.write_trades(trades(count=100, ts_recv=recv, bid_size=sizes), source("a", "1"))
    store.write_trades(trades(count=50, start_s=60 * 30), source("b", "2"))
    path = next(store.path.glob("ticks/*/*/*.parquet"))
    table = pq.read_table(path, partitioning=None)
    assert table["ts_recv"].to_pylist() == [*recv[:60].tolist(), *[None] * 50]
    assert table["bid_size"].to_pylist()[:4] == [None, 7, None, 7]


def test_rows_not_of_the_leading_contract_can_be_left_out(store: Store) -> None:
    front = np.arange(273) % 3 > 0
    store.write_bars(bars(front=front), source("a", "1"))
    store.write_bars(bars(20190812), source("b", "2"))
    lengths = [len(b) for b in store.read("ES", kind="bars", front_only=True)]
    assert lengths == [int(front.sum()), 273]
    assert [len(b) for b in store.read("ES", kind="bars")] == [273, 273]


def test_a_root_reads_the_leading_contract_of_each_session(store: Store) -> None:
    days = (20190911, 20190912, 20190913, 20190916)
    lots = {"ESU19": (100, 100, 40, 30), "ESZ19": (10, 60, 90, 20)}
    for name, volumes in lots.items():
        blocks = [
            bars(day, contract=name, lots=count) for day, count in zip(days, volumes, strict=True)
        ]
        store.write_bars(blocks, source(name, name[2]))
    chosen = [block.contract for block in store.read("ES", kind="bars")]
    assert chosen == ["ESU19", "ESU19", "ESU19", "ESZ19"]
    assert store.front("ES", "bars_300s") == dict(zip(days, chosen, strict=True))


def test_gaps_are_found_while_writing(store: Store) -> None:
    raw = bars()
    keep = np.ones(273, np.bool_)
    keep[190:193] = False
    columns = {
        n: getattr(raw, n)[keep] for n in raw.__slots__ if isinstance(getattr(raw, n), np.ndarray)
    }
    report = store.write_bars(bars(**columns), source())
    assert report.gaps == 1
    ((fact,),) = store.coverage().values()
    start = int(raw.t_open[190])
    assert fact.gaps == ((start, start + 900 * SECOND),)

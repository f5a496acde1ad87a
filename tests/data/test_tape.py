"""A tape is the same market whether it comes from a store, a file or the generator."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data.samples import bars, source, trades

from mia.core.base_types import BarBlock, TradeBlock
from mia.data.digest import digest
from mia.data.importers.reading import ImportLog, ReadOptions
from mia.data.store import Store
from mia.data.synthetic.export import export_market
from mia.data.tape import Selection, count_rows, import_file, open_tape, synthetic_tape
from mia.errors import DataError

SEED, START, DAYS, TRADES = 3, 20250310, 2, 20_000


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of the synthetic market, with files of the same trades beside it."""
    folder = tmp_path_factory.mktemp("tape") / "store"
    plan = {"seed": SEED, "start": START, "days": DAYS, "trades_per_day": TRADES}
    list(export_market(folder, **plan, scid=True, csv=True))
    return folder


@pytest.fixture
def three_days(tmp_path: Path) -> Path:
    """Return a store with trades of two contracts on three sessions."""
    store = Store.create(tmp_path / "store")
    for k, day in enumerate((20190807, 20190808, 20190809)):
        store.write_trades(trades(day), source(f"{day}.scid", str(k)))
    store.write_trades(trades(20190809, contract="ESZ19", count=20), source("far.scid", "9"))
    return store.path


def whole(tape, name: str) -> np.ndarray:
    return np.concatenate([getattr(block, name) for block in tape.blocks()])


def test_the_store_gives_back_the_generators_trades(exported: Path) -> None:
    made = synthetic_tape(SEED, START, DAYS, TRADES)
    with open_tape(exported, Selection()) as tape:
        assert not tape.ready_made
        assert tape.width_s == 0
        assert (tape.first_session, tape.last_session, tape.sessions) == (20250310, 20250311, 2)
        for name in ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price"):
            assert (whole(tape, name) == whole(made, name)).all(), name


def test_a_scid_file_gives_the_same_trades_to_the_millisecond(exported: Path) -> None:
    with (
        open_tape(exported, Selection()) as stored,
        open_tape(exported / "ESH25-CME.scid", Selection()) as read,
    ):
        assert (whole(read, "price") == whole(stored, "price")).all()
        assert (whole(read, "size") == whole(stored, "size")).all()
        apart = np.abs(whole(read, "ts_event") - whole(stored, "ts_event"))
        assert apart.max() < 2_000_000


def test_a_text_file_of_bars_is_a_tape_of_bars(exported: Path) -> None:
    with open_tape(exported / "ESH25-CME.scid_BarData__1m.txt", Selection()) as tape:
        assert (tape.ready_made, tape.width_s, tape.kind) == (True, 60, "bars")
        assert all(isinstance(block, BarBlock) for block in tape.blocks())
        traded = whole(synthetic_tape(SEED, START, DAYS, TRADES), "size").sum()
        assert whole(tape, "volume").sum() == traded


def test_each_pass_over_a_tape_gives_the_same_rows(exported: Path) -> None:
    with open_tape(exported, Selection()) as tape:
        first = [(block.contract, block.price.tobytes()) for block in tape.blocks()]
        assert first == [(block.contract, block.price.tobytes()) for block in tape.blocks()]


def test_the_temporary_store_of_a_file_goes_with_the_tape(exported, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with open_tape(exported / "ESH25-CME.scid", Selection()) as tape:
        assert list(tmp_path.iterdir())
        assert tape.name.endswith("ESH25-CME.scid")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("selection", "first", "last", "sessions"),
    [
        (Selection(), 20190807, 20190809, 3),
        (Selection(days=2), 20190808, 20190809, 2),
        (Selection(days=9), 20190807, 20190809, 3),
        (Selection(first=20190808), 20190808, 20190809, 2),
        (Selection(last=20190808), 20190807, 20190808, 2),
        (Selection(first=20190101, last=20190808, days=1), 20190808, 20190808, 1),
        (Selection("ESU19"), 20190807, 20190809, 3),
        (Selection("ESZ19"), 20190809, 20190809, 1),
    ],
)
def test_a_selection_is_by_session_and_symbol(
    three_days: Path, selection: Selection, first: int, last: int, sessions: int
) -> None:
    with open_tape(three_days, selection) as tape:
        assert (tape.first_session, tape.last_session, tape.sessions) == (first, last, sessions)
        contracts = {block.contract for block in tape.blocks()}
        assert contracts == {"ESZ19" if selection.symbol == "ESZ19" else "ESU19"}
        assert sum(len(block) for block in tape.blocks()) == (
            20 if selection.symbol == "ESZ19" else 500 * sessions
        )


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection("NQ"), "has nothing of NQ: it has ESU19, ESZ19"),
        (Selection("ESH20"), "has nothing of ESH20"),
        (Selection(first=20200101), "no session of ES in that range: it has 20190807 to 20190809"),
        (Selection(last=20190101), "no session of ES in that range"),
        (Selection(width_s=60), "has no bars of 60 s: it has ticks"),
    ],
)
def test_a_selection_of_nothing_says_what_there_is(three_days, selection, message) -> None:
    with pytest.raises(DataError, match=message), open_tape(three_days, selection):
        pass


def test_a_store_with_bars_of_two_widths_wants_to_know_which(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    store.write_bars(bars(), source("a", "1"))
    store.write_bars(bars(width_s=60), source("b", "2"))
    with pytest.raises(DataError, match=r"bars_300s, bars_60s: choose one with --width"):
        open_tape(store.path, Selection()).__enter__()
    with open_tape(store.path, Selection(width_s=60)) as tape:
        assert tape.width_s == 60


def test_a_day_that_the_store_has_lost_is_named(three_days: Path) -> None:
    lost = three_days / "ticks/root=ES/contract=ESU19/date=2019-08-08.parquet"
    kept = lost.rename(lost.with_suffix(".away"))
    message = r"has lost ESU19 on 20190808, once imported from 20190808\.scid: import it again"
    for selection in (Selection(), Selection("ESU19"), Selection(days=2)):
        with pytest.raises(DataError, match=message):
            open_tape(three_days, selection).__enter__()
    for selection in (Selection(first=20190809), Selection("ESZ19"), Selection(last=20190807)):
        with open_tape(three_days, selection):
            pass
    kept.rename(lost)
    with open_tape(three_days, Selection()) as tape:
        assert tape.sessions == 3


def test_the_hash_tells_selections_and_sources_apart(three_days: Path, tmp_path: Path) -> None:
    hashes = []
    for selection in (
        Selection(),
        Selection(days=1),
        Selection("ESU19"),
        Selection(front_only=True),
    ):
        with open_tape(three_days, selection) as tape:
            hashes.append(tape.sha256)
    moved = shutil.copytree(three_days, tmp_path / "moved")
    with open_tape(moved, Selection()) as tape:
        assert tape.sha256 == hashes[0]
    Store(moved).write_trades(trades(20190806), source("more.scid", "7"))
    with open_tape(moved, Selection()) as tape:
        hashes.append(tape.sha256)
    assert len(set(hashes)) == len(hashes)


def test_the_generators_hash_is_that_of_its_arguments() -> None:
    plan = {"seed": 1, "start": START, "days": 1, "trades_per_day": 500}
    other = [{"seed": 2}, {"start": 20250311}, {"days": 2}, {"trades_per_day": 600}, {"null": True}]
    hashes = [synthetic_tape(**(plan | change)).sha256 for change in [{}, *other]]
    assert len(set(hashes)) == len(hashes)
    assert synthetic_tape(**plan).sha256 == hashes[0]
    assert digest(1, "a") == digest(1, "a") != digest("1a")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nothing.scid", None, "does not exist: name a store or a file"),
        ("ESH25.scid", b"", "is empty"),
        ("ESH25.scid", b"SCID", "header"),
        ("ESH25.scid", b"hello world", "which no format known here does"),
        ("levels.csv", b"DATE,OPEN,HIGH,LOW,CLOSE\n03/10/2025,1,2,0,1\n", "levels of an index"),
    ],
)
def test_a_file_that_is_no_tape_is_refused(tmp_path, name, content, message) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_tape(tmp_path / name, Selection()).__enter__()


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no store: it has no manifest\.json"):
        open_tape(tmp_path, Selection()).__enter__()


def scaled(path: Path, target: Path, factor: float) -> Path:
    """Copy a text export with its prices in another unit."""
    first, *rows = path.read_text().splitlines(keepends=True)
    lines = [first]
    for row in rows:
        fields = row.split(", ")
        fields[2:6] = [f"{float(price) * factor:.5f}" for price in fields[2:6]]
        lines.append(", ".join(fields))
    target.write_text("".join(lines))
    return target


def test_prices_in_an_unknown_unit_are_refused_and_hundredths_are_noted(exported, tmp_path) -> None:
    path = exported / "ESH25-CME.scid_BarData__1m.txt"
    tiny = scaled(path, tmp_path / "ESH25-tiny.txt", 0.001)
    message = r"unusable, most for open_off_grid .*prices in another unit.* `mia data import`"
    with pytest.raises(DataError, match=message) as caught:
        open_tape(tiny, Selection()).__enter__()
    assert "/mia-" not in str(caught.value)
    store = Store.create(tmp_path / "store")
    report = import_file(store, tiny, ReadOptions(price_scale=1000.0), ImportLog())
    assert report.rejected == 0
    hundredths = scaled(path, tmp_path / "ESH25-hundredths.txt", 100)
    with open_tape(hundredths, Selection()) as tape, open_tape(path, Selection()) as plain:
        assert any("divided by 100" in note for note in tape.notes)
        assert (whole(tape, "close") == whole(plain, "close")).all()


def test_rows_out_of_order_are_sorted_in(exported: Path, tmp_path: Path) -> None:
    path = exported / "ESH25-CME.scid_BarData__1m.txt"
    first, *rows = path.read_text().splitlines(keepends=True)
    mixed = tmp_path / "ESH25-mixed.txt"
    rows.append(rows.pop(len(rows) // 2))
    mixed.write_text("".join([first, *rows]))
    with open_tape(mixed, Selection()) as tape, open_tape(path, Selection()) as plain:
        assert (whole(tape, "t_open") == whole(plain, "t_open")).all()
        assert (whole(tape, "close") == whole(plain, "close")).all()


def test_another_instrument_than_asked_for_is_refused(exported: Path, tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    path = exported / "ESH25-CME.scid"
    with pytest.raises(DataError, match="holds ESH25, not NQ: check --symbol"):
        import_file(store, path, ReadOptions(), ImportLog(), root="NQ")
    with pytest.raises(DataError, match=r"the name ESH25-CME\.scid says ESH25, not ESM25"):
        import_file(store, path, ReadOptions(contract="ESM25"), ImportLog())
    assert store.tables() == []


def test_a_nameless_file_is_read_as_the_contract_asked_for(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "trades.scid"
    shutil.copy(exported / "ESH25-CME.scid", path)
    with pytest.raises(DataError, match="give it with --symbol"):
        open_tape(path, Selection()).__enter__()
    with open_tape(path, Selection("ESH25")) as tape:
        assert {block.contract for block in tape.blocks()} == {"ESH25"}


def test_importing_a_file_again_adds_nothing(exported: Path, tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    path = exported / "ESH25-CME.scid"
    first = import_file(store, path, ReadOptions(), ImportLog())
    files = {p: p.read_bytes() for p in store.path.rglob("*.parquet")}
    again = import_file(store, path, ReadOptions(), ImportLog())
    assert (first.already, again.already, again.rows) == (False, True, 0)
    assert {p: p.read_bytes() for p in store.path.rglob("*.parquet")} == files


def test_rows_of_bars_are_no_ticks() -> None:
    tape = synthetic_tape(1, START, 1, 500)
    (block,) = tape.blocks()
    assert isinstance(block, TradeBlock)
    assert count_rows(block) == (len(block), len(block))
    width = {"width_s": 60, "t_open": block.ts_event, "volume": block.ts_event}
    prices = dict.fromkeys(("open", "high", "low", "close"), block.price)
    sizes = dict.fromkeys(("bid_volume", "ask_volume", "trades"), block.ts_event)
    assert count_rows(BarBlock(block.contract, **width, **prices, **sizes)) == (len(block), 0)
    assert count_rows(replace(block, ts_event=block.ts_event)) == (len(block), len(block))

"""The synthetic market on disk: the same bytes again, and nothing lost on the way back."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mia.core import sessions
from mia.data.store import Store
from mia.data.synthetic.export import export_market, joined, minute_bars
from mia.data.synthetic.market import SyntheticMarket
from mia.data.tape import Selection, open_tape
from mia.errors import DataError

PLAN = {"seed": 3, "start": 20250310, "days": 2, "trades_per_day": 2_000}


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    more = {"scid": True, "csv": True, "truth": True, "faults": True}
    for name in ("a", "b"):
        list(export_market(tmp_path / name, **PLAN, **more))
    assert content(tmp_path / "a") == content(tmp_path / "b")
    names = set(content(tmp_path / "a"))
    assert {"truth.parquet", "faults.parquet", "manifest.json"} < names
    assert any(name.endswith(".scid") for name in names)
    assert any(name.endswith("__1m.txt") for name in names)


def test_another_seed_gives_other_bytes(tmp_path: Path) -> None:
    list(export_market(tmp_path / "a", **PLAN))
    list(export_market(tmp_path / "b", **(PLAN | {"seed": 4})))
    assert content(tmp_path / "a") != content(tmp_path / "b")


def test_exporting_again_adds_nothing_and_more_days_add_those_days(tmp_path: Path) -> None:
    list(export_market(tmp_path / "a", **PLAN))
    before = content(tmp_path / "a")
    lines = list(export_market(tmp_path / "a", **PLAN))
    assert all("already imported" in line for line in lines)
    assert content(tmp_path / "a") == before
    lines = list(export_market(tmp_path / "a", **(PLAN | {"days": 3})))
    assert ["already imported" in line for line in lines] == [True, True, False]
    after = content(tmp_path / "a")
    assert len(after) == len(before) + 1
    assert {name: after[name] for name in before if name != "manifest.json"} == {
        name: data for name, data in before.items() if name != "manifest.json"
    }


def test_days_of_other_markets_do_not_pass_for_one_another(tmp_path: Path) -> None:
    list(export_market(tmp_path / "a", **PLAN))
    for change in ({"null": True}, {"trades_per_day": 3_000}, {"faults": True}):
        lines = list(export_market(tmp_path / "a", **(PLAN | change)))
        assert not any("already imported" in line for line in lines)


def test_damage_reaches_the_store_and_not_the_files(tmp_path: Path) -> None:
    list(export_market(tmp_path / "clean", **PLAN, scid=True))
    list(export_market(tmp_path / "bad", **PLAN, scid=True, truth=True, faults=True))
    scid = "ESH25-CME.scid"
    assert (tmp_path / "clean" / scid).read_bytes() == (tmp_path / "bad" / scid).read_bytes()
    imports = json.loads((tmp_path / "bad" / "manifest.json").read_text())["imports"]
    assert sum(entry["rejected"] for entry in imports) > 0
    assert list((tmp_path / "bad" / "quarantine").iterdir())
    assert pq.read_table(tmp_path / "bad" / "faults.parquet").num_rows > 0


def test_what_was_planted_is_told_by_name(tmp_path: Path) -> None:
    list(export_market(tmp_path / "a", **(PLAN | {"days": 6, "trades_per_day": 500}), truth=True))
    truth = pq.read_table(tmp_path / "a" / "truth.parquet")
    assert truth.num_rows > 0
    assert all(kind.isupper() for kind in truth["kind"].to_pylist())


def test_minute_bars_are_the_trades_they_are_made_of() -> None:
    block = next(iter(SyntheticMarket(3, 20250310, 1, trades_per_day=2_000).blocks()))
    bars = minute_bars(block)
    assert bars.contract == block.contract
    assert bars.volume.sum() == block.size.sum()
    assert (bars.trades > 0).all()
    assert bars.trades.sum() == len(block)
    assert (bars.bid_volume + bars.ask_volume <= bars.volume).all()
    minute = np.searchsorted(bars.t_open, block.ts_event, side="right") - 1
    assert (block.ts_event - bars.t_open[minute] < 60 * 1_000_000_000).all()
    for k in (0, len(bars) // 2, len(bars) - 1):
        own = block.price[minute == k]
        expected = (own[0], own.max(), own.min(), own[-1])
        found = (bars.open[k], bars.high[k], bars.low[k], bars.close[k])
        assert found == expected


def test_joined_blocks_keep_every_row_in_order() -> None:
    blocks = list(SyntheticMarket(3, 20250310, 2, trades_per_day=500).blocks())
    whole = joined(blocks)
    assert len(whole) == sum(len(block) for block in blocks)
    assert (np.diff(whole.ts_event) >= 0).all()


def test_a_market_over_a_roll_has_a_file_for_each_contract(tmp_path: Path) -> None:
    plan = {"seed": 3, "start": 20250313, "days": 6, "trades_per_day": 300}
    list(export_market(tmp_path / "a", **plan, scid=True))
    files = sorted(path.name for path in (tmp_path / "a").glob("*.scid"))
    assert files == ["ESH25-CME.scid", "ESM25-CME.scid"]
    with open_tape(tmp_path / "a", Selection()) as tape:
        contracts = [block.contract for block in tape.blocks()]
    assert contracts == sorted(contracts)
    assert set(contracts) == {"ESH25", "ESM25"}


def test_progress_ends_at_the_last_session(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    list(export_market(tmp_path / "a", **PLAN, faults=True, progress=lambda *a: seen.append(a)))
    assert seen[-1] == (2, 2)
    assert all(done <= total for done, total in seen)
    days = {day.session_id for day in Store(tmp_path / "a").coverage("ticks")["ticks"]}
    assert set(sessions.trading_days(20250310, 20250311)) == days


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="file is no folder"):
        list(export_market(tmp_path / "file", **PLAN))

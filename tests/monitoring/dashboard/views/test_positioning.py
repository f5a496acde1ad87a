from functools import cache

import pytest
from chain_samples import at

from mia.data.chains import chain_file
from mia.data.synthetic.chains import SyntheticChains
from mia.features.options_exposure import positioning
from mia.features.options_summary import appraise, summary
from mia.monitoring.dashboard.views.positioning import Positionings
from mia.trader.screen.shown_files import note_positioning

NOON = at(12 * 60 + 2)


@cache
def whole_chain(minutes=12 * 60):
    return SyntheticChains(lambda ts: 4700.0, seed=3).chain(at(minutes))


@pytest.fixture(scope="module")
def found():
    return positioning(whole_chain())


def test_the_trader_s_chain_is_shown_with_its_curves(tmp_path, found):
    note_positioning(tmp_path, found, NOON)
    live = Positionings(tmp_path).read(NOON)["live"]
    plain = summary(found, appraise(found, NOON))
    assert {name: live[name] for name in plain} == plain
    assert live["usable"]
    assert len(live["profile"]) == len(found.levels)
    assert live["profile"][0] == [found.levels[0], found.profile[0]]
    assert sum(gex for _, gex in live["by_expiry"]) == pytest.approx(found.gex_usd_per_pct)
    assert all(abs(row[0] / found.spot - 1) <= 0.1 for row in live["strikes"])
    assert live["es_per_spx"] == pytest.approx(1.0, abs=0.05)


def test_a_chain_on_disk_is_shown(tmp_path, found):
    path = tmp_path / "chain.parquet"
    chain_file.save_chain(path, whole_chain())
    shown = Positionings(tmp_path, path).read(NOON)
    assert shown["live"] is None
    assert shown["file"]["name"] == "chain.parquet"
    assert shown["file"]["flips"][0]["level"] == pytest.approx(found.flips[0].level)


def test_a_chain_is_computed_once_until_it_changes(tmp_path):
    path = tmp_path / "chain.parquet"
    chain_file.save_chain(path, whole_chain())
    reader = Positionings(tmp_path, path)
    first = reader.read(NOON)["file"]
    assert reader.read(NOON)["file"] is first
    chain_file.save_chain(path, whole_chain(minutes=13 * 60))
    assert reader.read(NOON)["file"]["asof_ns"] > first["asof_ns"]


def test_what_cannot_be_read_is_told(tmp_path):
    (tmp_path / "positioning.json").write_text("{")
    assert "cannot be read" in Positionings(tmp_path).read(NOON)["fault"]
    path = tmp_path / "chain.csv"
    path.write_text("nothing")
    assert Positionings(tmp_path, path).read(NOON)["fault"]
    assert Positionings(tmp_path / "no", tmp_path / "absent").read(NOON)["fault"]


def test_an_archive_without_a_chain_by_then_shows_none(tmp_path):
    empty = tmp_path / "archive"
    empty.mkdir()
    assert Positionings(tmp_path, empty).read(NOON) == {"live": None, "file": None, "fault": ""}

"""Levels of an index are looked up as they were known, and never lost half-way."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mia.data.importers.vix import IndexLevels
from mia.data.index_levels import INDICES, MAX_AGE_NS, LevelSeries, load_levels, save_levels
from mia.errors import DataError

HOUR = 3_600_000_000_000


def levels(*pairs: tuple[int, float]) -> IndexLevels:
    times, values = zip(*pairs, strict=True)
    return IndexLevels(np.array(times, np.int64), np.array(values, np.float64))


def test_a_level_counts_from_the_moment_it_is_known() -> None:
    series = LevelSeries(levels((10 * HOUR, 18.0), (20 * HOUR, 25.0)))
    assert len(series) == 2
    assert math.isnan(series.at(10 * HOUR - 1))
    assert series.at(10 * HOUR) == 18.0
    assert series.at(20 * HOUR - 1) == 18.0
    assert series.at(20 * HOUR) == 25.0


def test_a_level_older_than_a_long_weekend_is_not_known_any_more() -> None:
    series = LevelSeries(levels((0, 18.0)))
    assert series.at(MAX_AGE_NS) == 18.0
    assert math.isnan(series.at(MAX_AGE_NS + 1))
    assert MAX_AGE_NS > 4 * 24 * HOUR


@given(st.dictionaries(st.integers(0, 100), st.floats(9, 90), min_size=1), st.integers(-5, 110))
def test_the_level_is_the_newest_at_or_before(pairs: dict[int, float], at: int) -> None:
    series = LevelSeries(levels(*sorted(pairs.items())))
    before = [ts for ts in pairs if ts <= at]
    found = series.at(at)
    assert math.isnan(found) if not before else found == pairs[max(before)]


def test_levels_are_merged_and_newer_imports_win(tmp_path: Path) -> None:
    assert save_levels(tmp_path, "VIX", levels((1, 10.0), (3, 30.0))) == 2
    assert save_levels(tmp_path, "VIX", levels((2, 20.0), (3, 33.0))) == 3
    held = load_levels(tmp_path, "VIX")
    assert held is not None
    assert [held.at(ts) for ts in (1, 2, 3)] == [10.0, 20.0, 33.0]


def test_saving_the_same_levels_again_changes_no_byte(tmp_path: Path) -> None:
    for _ in range(2):
        assert save_levels(tmp_path, "VIX", levels((1, 10.0), (3, 30.0))) == 2
        content = (tmp_path / "vix.parquet").read_bytes()
    assert (tmp_path / "vix.parquet").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["vix.parquet"]


def test_indices_do_not_mix(tmp_path: Path) -> None:
    for k, index in enumerate(INDICES):
        save_levels(tmp_path, index, levels((1, 10.0 + k)))
    found = [load_levels(tmp_path, index) for index in INDICES]
    assert [series.at(1) for series in found if series is not None] == [10.0, 11.0]


def test_a_store_without_levels_has_none(tmp_path: Path) -> None:
    assert load_levels(tmp_path, "VIX") is None


@pytest.mark.parametrize("content", [b"", b"PAR1", b"text"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vix.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"vix\.parquet is damaged: remove it"):
        load_levels(tmp_path, "VIX")


def test_a_file_with_other_columns_is_damaged(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "vix.parquet")
    with pytest.raises(DataError, match="is damaged"):
        load_levels(tmp_path, "VIX")


def test_levels_that_cannot_be_written_leave_what_there_was(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot write"):
        save_levels(tmp_path / "file" / "deeper", "VIX", levels((1, 10.0)))
    assert (tmp_path / "file").read_text() == "x"

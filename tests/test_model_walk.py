"""A walk of rules and model: nothing of a year decides in it, and without a model both are one."""

from pathlib import Path

import pytest
from labelled import labelled
from run_samples import easy
from typer.testing import CliRunner

from mia.cli.app import app
from mia.cli.model_walk import moved_blocks, table, walk
from mia.errors import DataError
from mia.ml.inputs import INPUTS
from mia.ml.registry import Registry


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walk") / "store"
    words = ["data", "synth", "--days", "8", "--trades-per-day", "20000", "--seed", "7"]
    done = CliRunner().invoke(app, [*words, "--from", "2024-12-26", "--out", str(folder)])
    assert done.exit_code == 0, done.output
    return folder


def test_labels_of_a_year_are_known_in_the_next_and_decide_nothing_before(store, tmp_path) -> None:
    done = walk(store, "ES", range(2024, 2026), easy("ml.min_trades=5"), tmp_path)
    first, second = done.years
    assert (first.stage, first.labelled) == ("collect", 0)
    assert len(first.rules.trades) >= 5
    assert (second.stage, second.labelled) == ("shadow", len(first.rules.trades))
    for year in done.years:
        assert {trade.session_id // 10_000 for trade in year.rules.trades} == {year.year}
        # A shadow is asked and decides nothing.
        assert year.filtered.trades == year.rules.trades
    assert done.changes[0].event == "TRAINED"
    assert Registry(tmp_path).current().stage == "shadow"


def test_the_figures_of_all_years_are_those_of_their_trades(store) -> None:
    found = table(walk(store, "ES", range(2024, 2026), easy()))
    years = [row["rules"] for row in found["years"]]
    assert found["rules"]["trades"] == sum(row["trades"] for row in years)
    assert found["rules"]["net_usd"] == pytest.approx(sum(row["net_usd"] for row in years))
    low, high = found["rules"]["mean_r_95"]
    assert low < found["rules"]["mean_r"] < high
    assert found["rules"]["sessions"] == sum(row["sessions"] for row in years) == 8


def test_a_year_without_data_is_refused(store) -> None:
    with pytest.raises(DataError, match="no session of ES in that range"):
        walk(store, "ES", range(2019, 2020), easy())


def test_the_block_whose_input_moved_is_counted_and_named() -> None:
    data = labelled(300, seed=5)
    found = moved_blocks(data, trained=100)
    assert (found["blocks"], found["moved"], found["by_input"]) == (3, 0, {})
    data.x[250:, 6] += 3.0
    assert moved_blocks(data, trained=100)["by_input"] == {INPUTS[6]: 1}
    assert moved_blocks(data.take(slice(0, 199)), trained=100)["blocks"] == 0

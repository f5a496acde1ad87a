"""``mia ml`` from a stored run to a model in use, and the report as a browser shows it."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from browser import Browser
from labelled import labelled
from typer.testing import CliRunner

from mia.cli import model_honesty
from mia.cli.app import app
from mia.data.tape import synthetic_tape
from mia.errors import MiaError
from mia.ml import life
from mia.ml.registry import Current, Registry
from mia.ml.report import model_report, page

runner = CliRunner()


def mia(*arguments):
    """Run a command; an error of ours has its exit code, as `mia.cli.main` gives it."""
    found = runner.invoke(app, [str(a) for a in arguments])
    if isinstance(found.exception, MiaError):
        found.exit_code = found.exception.exit_code
    return found


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """Return a folder of models and the trades that they lived through."""
    root = tmp_path_factory.mktemp("state")
    data = labelled(300, 0.8, seed=2)
    registry = Registry(root)
    life.live_through(registry, data, 100)
    assert registry.current().gate
    return root, data


def test_a_run_with_few_trades_says_how_many_training_needs(tmp_path):
    out = tmp_path / "run"
    made = mia("backtest", "--synthetic", "--days", "1", "--out", out, "--quiet", "--json")
    assert made.exit_code == 0, made.output
    found = mia("ml", "train", "--run", out, "--quiet")
    assert found.exit_code == 0, found.output
    assert "of the 100 (ml.min_trades) that training needs" in found.output
    assert "stage: collect" in found.output
    report = mia("ml", "report", "--run", out)
    assert report.exit_code == 0, report.output
    assert "Nothing is validated below 50" in (out / "model_report.html").read_text()


@pytest.mark.parametrize("wanted", [True, False])
def test_training_obeys_the_setting_about_moved_inputs(tmp_path, monkeypatch, wanted):
    data = labelled(260, 1.5, seed=2)
    registry = Registry(tmp_path)
    life.live_through(registry, data.take(slice(0, 150)), 100)
    name = registry.current().shadow
    fitted = registry.load(name).model.fitted
    data.x[200:, int(np.asarray(fitted.columns)[np.argmin(np.abs(fitted.weight))])] += 2.0
    gate = Current(gate=name, gate_since=int(data.ends[149]), trained_trades=250)
    registry.activate(gate, "PROMOTED", 1)
    # Trades of this kind are in no run: they have one input moved on purpose.
    monkeypatch.setattr("mia.cli.ml._trades", lambda state, run: data)
    setting = f"ml.demote_on_moved_inputs={str(wanted).lower()}"
    found = mia("ml", "train", "--models", tmp_path, "--set", setting, "--json", "--quiet")
    assert found.exit_code == 0, found.output
    assert (registry.current().gate == name) != wanted


def test_status_names_the_models_and_rollback_puts_them_back(lived, tmp_path):
    root, _ = lived
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    found = json.loads(mia("ml", "status", "--models", tmp_path, "--json").output)
    assert found["stage"] == "gate"
    assert found["models"][found["gate"]]["promotion"]["passed"]
    assert mia("ml", "status", "--models", tmp_path).output.startswith("stage: gate\ngate: ")
    assert mia("ml", "rollback", "--models", tmp_path).output == "no model decides\n"
    assert Registry(tmp_path).current().gate == ""
    again = mia("ml", "rollback", "--models", tmp_path)
    assert again.exit_code == 5


def test_a_retired_family_is_allowed_again_by_name(lived, tmp_path):
    registry = Registry(tmp_path)
    registry.activate(Current(retired=("logistic",), demotions={"logistic": 2}), "DEMOTED", 1)
    assert "mia ml promote --enable logistic" in mia("ml", "status", "--models", tmp_path).output
    assert mia("ml", "promote", "--models", tmp_path, "--enable", "logistic").exit_code == 0
    assert registry.current().retired == ()
    assert mia("ml", "promote", "--models", tmp_path, "--enable", "logistic").exit_code == 5


def test_nothing_is_promoted_around_the_test(tmp_path, monkeypatch):
    data = labelled(150, 0.0, seed=1)
    life.live_through(Registry(tmp_path), data, 100)
    monkeypatch.setattr("mia.cli.ml._trades", lambda state, run: data)
    found = mia("ml", "promote", "--run", tmp_path)
    assert found.exit_code == 5
    assert Registry(tmp_path).current().gate == ""


@pytest.mark.parametrize(
    "arguments", [("train",), ("status",), ("report", "--run", "a", "--state-dir", "b")]
)
def test_a_source_must_be_named_once(arguments):
    assert mia("ml", *arguments).exit_code == 2


def test_the_report_has_intervals_and_no_promise(lived):
    root, data = lived
    found = model_report(data, Registry(root))
    text = json.dumps(found, allow_nan=False)
    assert "logistic" in text
    facts = found["families"]["logistic"]
    assert facts["taken"]["low"] < facts["taken"]["mean_r"] < facts["taken"]["high"]
    assert sum(point[2] for point in facts["reliability"]) == len(data)
    shown = page(found)
    assert "<script" not in shown
    assert "http" not in shown


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium on PATH")
@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_the_page_shows_everything_without_errors_or_requests(lived, tmp_path, look):
    root, data = lived
    path = tmp_path / "report.html"
    path.write_text(page(model_report(data, Registry(root))), encoding="utf-8")
    shape = {"width": 390, "height": 844} if look == "phone" else {}
    scheme = "dark" if look == "dark" else "light"
    with Browser(path, prefers_color_scheme=scheme, **shape) as browser:
        box = "document.querySelector('.curve polyline').getBBox()"
        assert browser.evaluate(f"{box}.width * {box}.height") > 1000
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(15, 20, 25)") == (look == "dark")
        assert browser.errors == []
        assert browser.requests == [path.resolve().as_uri()]


def test_a_planted_drift_follows_flow_and_never_precedes_it():
    tape = synthetic_tape(3, model_honesty.FIRST, 1, 3000, null=True)
    plain, moved = (next(t.blocks()) for t in (tape, model_honesty.planted(tape, 20.0)))
    shift = moved.price - plain.price
    assert np.abs(shift).max() > 5
    assert np.array_equal(moved.bid_price - plain.bid_price, shift)
    half = len(plain) // 2
    other = replace(
        plain, aggressor_side=np.where(np.arange(len(plain)) < half, 1, -1) * plain.aggressor_side
    )
    drift = model_honesty._drift(plain, 20.0)
    again = model_honesty._drift(other, 20.0)
    known = int((plain.ts_event[half] - plain.ts_event[0]) // model_honesty.MINUTE_NS)
    assert np.array_equal(drift[: known + 1], again[: known + 1])
    assert not np.array_equal(drift, again)
    assert np.array_equal(model_honesty._drift(plain, 0.0), np.zeros(len(drift)))


@pytest.mark.slow
def test_markets_go_on_where_they_were_left_and_promote_nothing_without_an_edge(tmp_path):
    import os

    seeds = int(os.environ.get("MIA_HONESTY_SEEDS", "2"))
    out = tmp_path / "trials.ndjson"
    run = model_honesty.run
    stopped = iter([False, True])
    run(out, range(1, 3), (0.0,), 100, 20_000, until=lambda: next(stopped))
    assert len(out.read_text().splitlines()) == 1
    found = run(out, range(1, 1 + seeds), (0.0,), 100, 20_000)[0]
    assert found["markets_with_300_trades"] == seeds
    assert found["promoted"] <= max(0.05 * seeds, 0)
    assert len(out.read_text().splitlines()) == seeds

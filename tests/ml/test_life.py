"""The stages of a model, and the registry that keeps them."""

import json
import os

import numpy as np
import pytest
from labelled import labelled

from mia.errors import DataError, FormatError
from mia.ml import life
from mia.ml.registry import CURRENT, GOLDEN_ROWS, Current, Registry


def lived(tmp_path, data, least=100):
    registry = Registry(tmp_path)
    return registry, life.live_through(registry, data, least)


def events(changes):
    return [(change.event, change.facts["trades"]) for change in changes]


def test_nothing_is_trained_below_a_hundred_trades(tmp_path):
    registry, changes = lived(tmp_path, labelled(99, 0.8))
    assert changes == []
    assert registry.current().stage == "collect"


def test_a_world_without_an_edge_never_gets_a_gate(tmp_path):
    registry, changes = lived(tmp_path, labelled(400, 0.0, seed=1))
    assert events(changes) == [("TRAINED", n) for n in range(100, 401, 50)]
    assert registry.current().stage == "shadow"


def test_a_model_that_passes_decides_after_fifty_trades_in_the_shadow(tmp_path):
    registry, changes = lived(tmp_path, labelled(300, 0.8, seed=2))
    found = events(changes)
    assert found[0] == ("TRAINED", 100)
    promoted = [n for event, n in found if event == "PROMOTED"]
    assert promoted
    assert promoted[0] >= 150
    current = registry.current()
    assert current.stage == "gate"
    manifest = registry.load(current.gate).manifest
    assert manifest["promotion"]["passed"]
    assert manifest["trades"] <= promoted[-1] - 50


def test_no_step_sees_a_trade_that_had_not_closed(tmp_path):
    data = labelled(220, 0.8, seed=2)
    _, whole = lived(tmp_path / "whole", data)
    turned = data.take(slice(None))
    turned.r[200:] = -turned.r[200:]
    turned.x[200:] = 0.0
    _, other = lived(tmp_path / "other", turned)
    upto = [change for change in whole if change.facts["trades"] <= 200]
    assert upto == [change for change in other if change.facts["trades"] <= 200]


def test_going_on_later_is_the_same_as_at_once(tmp_path):
    data = labelled(300, 0.8, seed=2)
    at_once, _ = lived(tmp_path / "once", data)
    piecewise = Registry(tmp_path / "pieces")
    for n in (100, 150, 200, 250, 300):
        life.live_through(piecewise, data.take(slice(0, n)), 100)
    assert piecewise.current() == at_once.current()


def test_a_world_that_turns_round_demotes_by_itself_and_twice_retires(tmp_path):
    registry, changes = lived(tmp_path, labelled(450, 1.0, seed=3, flip_at=300))
    found = events(changes)
    demotions = [n for event, n in found if event == "DEMOTED"]
    assert demotions
    assert demotions[0] > 300
    assert not registry.current().gate or len(demotions) < 2
    once = life.demoted(Current(gate="a" * 64), "logistic")
    assert (once.gate, once.retired, once.demotions) == ("", (), {"logistic": 1})
    twice = life.demoted(once, "logistic")
    assert twice.retired == ("logistic",)
    back = life.enabled(twice, "logistic")
    assert (back.retired, back.demotions) == ((), {})
    with pytest.raises(DataError, match="not retired"):
        life.enabled(back, "logistic")


def test_a_retired_family_is_not_trained(tmp_path):
    registry = Registry(tmp_path)
    registry.activate(Current(retired=("logistic",), demotions={"logistic": 2}), "DEMOTED", 1)
    assert life.live_through(registry, labelled(200, 0.8), 100) == []


def test_a_challenger_must_beat_the_model_that_decides(tmp_path):
    data = labelled(300, 0.8, seed=2)
    registry, _ = lived(tmp_path, data)
    gate = registry.current().gate
    assert gate
    known = data.take(np.argsort(data.ends))
    same = Current(gate=gate, shadow=gate)
    obstacle, _ = life.promotion_obstacle(same, registry, known)
    assert obstacle == "the model that decides was better on the same trades"


@pytest.fixture
def kept(tmp_path):
    data = labelled(150, 0.8, seed=4)
    registry, _ = lived(tmp_path, data)
    return registry, registry.current().shadow


def test_the_same_trades_give_the_same_model(tmp_path, kept):
    again, _ = lived(tmp_path / "again", labelled(150, 0.8, seed=4))
    assert again.current().shadow == kept[1]


def test_a_model_is_verified_whenever_it_is_loaded(kept):
    registry, name = kept
    stored = registry.load(name)
    assert stored.manifest["inputs"][0] == "cvd_trend"
    with np.load(registry.folder / name / "golden.npz") as golden:
        assert golden["x"].shape == (GOLDEN_ROWS, 22)
        assert np.isnan(golden["x"]).any()


@pytest.mark.parametrize("file", ["model.npz", "golden.npz", "manifest.json"])
def test_a_flipped_bit_is_found(kept, file):
    registry, name = kept
    path = registry.folder / name / file
    data = bytearray(path.read_bytes())
    for place in np.random.default_rng(0).integers(0, len(data), 20):
        data[place] ^= 4
        path.write_bytes(data)
        with pytest.raises(FormatError):
            registry.load(name)
        data[place] ^= 4
    path.write_bytes(data)
    registry.load(name)


def rewritten(registry, name, change):
    """Write a model whose hashes are right and whose content is not."""
    import hashlib

    folder = registry.folder / name
    facts = json.loads((folder / "manifest.json").read_text())
    files = {n: (folder / n).read_bytes() for n in ("model.npz", "golden.npz")}
    change(facts, files)
    facts["files"] = {n: hashlib.sha256(data).hexdigest() for n, data in files.items()}
    text = json.dumps(facts).encode()
    new = hashlib.sha256(text).hexdigest()
    target = registry.folder / new
    target.mkdir()
    for n, data in {**files, "manifest.json": text}.items():
        (target / n).write_bytes(data)
    return new


def other_inputs(facts, files):
    facts["inputs_sha256"] = "0" * 64


def pickled(facts, files):
    import io

    buffer = io.BytesIO()
    np.savez(buffer, family=np.array([{"a": 1}], dtype=object))
    files["model.npz"] = buffer.getvalue()


def other_weights(facts, files):
    import io

    with np.load(io.BytesIO(files["model.npz"])) as held:
        arrays = {n: held[n] for n in held.files}
    arrays["model_weight"] = arrays["model_weight"] * 1.0001
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    files["model.npz"] = buffer.getvalue()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_inputs, "other inputs"),
        (pickled, "holds no arrays"),
        (other_weights, "other probabilities"),
    ],
)
def test_what_hashes_well_and_is_no_model_of_ours_is_refused(kept, change, words):
    registry, name = kept
    with pytest.raises(FormatError, match=words):
        registry.load(rewritten(registry, name, change))


def test_names_that_lead_elsewhere_are_refused(kept):
    for name in ("../x", "a" * 63, "A" * 64, ""):
        with pytest.raises(FormatError, match="names no model"):
            kept[0].load(name)


def test_rollback_brings_back_the_model_before_and_then_none(kept):
    registry, name = kept
    registry.activate(Current(gate=name, previous=(name,)), "PROMOTED", 1)
    assert registry.rollback(2).gate == name
    assert registry.rollback(3).gate == ""
    with pytest.raises(DataError, match="nothing to roll back"):
        registry.rollback(4)
    assert [change["event"] for change in registry.history()][-2:] == ["ROLLED_BACK"] * 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', "null"])
def test_a_damaged_pointer_is_named_and_rolled_back_to_no_model(kept, text):
    registry, _ = kept
    (registry.folder / CURRENT).write_text(text)
    with pytest.raises(FormatError, match="mia ml rollback"):
        registry.current()
    assert registry.rollback(5).stage == "collect"
    assert registry.current() == Current()


def test_a_pointer_that_cannot_be_written_stays_as_it_was(kept, monkeypatch):
    registry, name = kept
    before = (registry.folder / CURRENT).read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left"):
        registry.activate(Current(gate=name), "PROMOTED", 1)
    assert (registry.folder / CURRENT).read_bytes() == before

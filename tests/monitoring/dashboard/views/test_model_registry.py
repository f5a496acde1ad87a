import json

from mia.monitoring.dashboard.views.model_registry import models


def test_manifests_are_listed_and_the_one_in_use_is_named(tmp_path):
    for name, drift in (("aa", 0.1), ("bb", 0.2)):
        folder = tmp_path / "models" / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"drift": drift}))
    (tmp_path / "models" / "current").write_text("aa\n")
    (tmp_path / "models" / "cc").mkdir()
    found = models(tmp_path)
    assert found["current"] == "aa"
    assert {m["name"]: m["manifest"] for m in found["models"]} == {
        "aa": {"drift": 0.1},
        "bb": {"drift": 0.2},
    }


def test_a_damaged_manifest_is_told_and_costs_no_other(tmp_path):
    for name, text in (("aa", "{"), ("bb", "[]"), ("cc", "{}")):
        folder = tmp_path / "models" / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(text)
    faults = {m["name"]: m["fault"] for m in models(tmp_path)["models"]}
    assert faults["cc"] == ""
    assert "cannot be read" in faults["aa"]
    assert "no object" in faults["bb"]


def test_no_registry_is_no_error(tmp_path):
    assert models(tmp_path) == {"current": "", "models": []}

"""What a model tells in a live run reaches the journal and the bus."""

import pytest
from labelled import labelled

from mia.core.event_bus import EventBus
from mia.ml import life
from mia.ml.registry import CURRENT, Current, Registry
from mia.trader.model_watch import KIND, live_model


@pytest.fixture
def heard():
    bus, kept, told = EventBus(), [], []
    bus.subscribe(KIND, lambda topic, event: told.append(event), "test")
    return bus, kept, told


def deciding(folder):
    """Return a registry with a model that decides, and the model's name."""
    registry = Registry(folder)
    life.live_through(registry, labelled(100, 0.8, seed=4), 100)
    name = registry.current().shadow
    registry.activate(Current(gate=name), "PROMOTED", 1)
    return registry, name


def test_a_first_run_has_no_model_and_says_nothing(tmp_path, heard):
    bus, kept, told = heard
    model = live_model(tmp_path, bus, kept.append)
    assert (model.stage, kept, told) == ("collect", [], [])


def test_a_model_that_decides_is_told_and_kept_and_a_damaged_pointer_too(tmp_path, heard):
    bus, kept, told = heard
    registry = Registry(tmp_path)
    life.live_through(registry, labelled(100, 0.8, seed=4), 100)
    name = registry.current().shadow
    live_model(tmp_path, bus, kept.append)
    assert told == [], "a shadow concerns nobody"
    registry.activate(Current(gate=name), "PROMOTED", 1)
    model = live_model(tmp_path, bus, kept.append)
    assert model.stage == "gate"
    assert [what for what, _ in told] == ["promoted"]
    assert kept[-1] == {
        "event": "MODEL_LOADED",
        "stage": "gate",
        "model": name,
        "text": "model stage gate",
    }
    (tmp_path / "models" / CURRENT).write_text("{")
    bus.publish("session", 20240102)
    assert model.stage == "collect"
    assert told[-1][0] == "refused"
    assert "trading goes on without a model" in told[-1][1]
    assert kept[-1]["event"] == "MODEL_REFUSED"


def test_a_demotion_by_the_training_is_told_and_kept_at_the_next_session_break(tmp_path, heard):
    bus, kept, told = heard
    registry, name = deciding(tmp_path)
    model = live_model(tmp_path, bus, kept.append)
    reason = "drift: the input f18 moved"
    registry.activate(
        life.demoted(registry.current(), "logistic"), "DEMOTED", 2, model=name, reason=reason
    )
    assert model.stage == "gate"
    bus.publish("session", 20240102)
    assert model.stage == "collect"
    assert told[-1] == ("demoted", f"model {name[:12]} was demoted: {reason}")
    assert {"event": "MODEL_DEMOTED", "stage": "collect", "model": name} == {
        key: kept[-2][key] for key in ("event", "stage", "model")
    }


def test_a_rollback_by_a_person_is_told_at_the_next_session_break(tmp_path, heard):
    bus, kept, told = heard
    registry, name = deciding(tmp_path)
    live_model(tmp_path, bus, kept.append)
    registry.rollback(2)
    bus.publish("session", 20240102)
    assert told[-1] == ("rolled back", f"model {name[:12]} was rolled back: none decides")
    assert kept[-2]["event"] == "MODEL_ROLLED_BACK"

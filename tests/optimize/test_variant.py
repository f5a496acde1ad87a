"""Settings reach a worker as they were, and two that come to the same are one trial."""

import json
from dataclasses import fields

from mia.config.limits import EffectiveLimits
from mia.config.settings import load_settings
from mia.optimize.variant import Base, pack, unpack

BASE = Base("paper", (), 60)


def test_what_a_worker_unpacks_are_the_settings_and_limits_that_were_packed() -> None:
    loaded = load_settings("paper", ["trend.target_r=2.5", "limits.max_size=1"], environ={})
    found = unpack(json.loads(json.dumps(pack(loaded))))
    assert found.settings == loaded.settings
    assert found.origin == loaded.origin
    names = [field.name for field in fields(EffectiveLimits) if field.name != "sources"]
    assert len(names) > 5
    for name in names:
        assert getattr(found.limits, name) == getattr(loaded.limits, name), name


def test_another_value_or_limit_is_another_trial_and_the_default_said_aloud_is_not() -> None:
    plain = BASE.load({})
    default = plain.settings.trend.target_r
    assert BASE.effect(BASE.load({"trend.target_r": default})) == BASE.effect(plain)
    assert BASE.effect(BASE.load({"trend.target_r": default + 0.5})) != BASE.effect(plain)
    assert BASE.effect(BASE.load({"risk_level": "aggressive"})) != BASE.effect(plain)

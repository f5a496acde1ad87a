"""Inputs that have moved: how often chance says so, which moves are found, and what follows."""

import numpy as np
import pytest
from labelled import labelled

from mia.ml import life
from mia.ml.demotion import judge_gate
from mia.ml.drift import BLOCK, FALSE_ALARM, MOVED, largest_move
from mia.ml.inputs import INPUTS
from mia.ml.registry import Current, Registry
from mia.ml.scores import population_stability

NAMES = list(INPUTS[:8])


def world(seed, trained, shift=0.0, *, per_session=4):
    """Return inputs half of whose variance is their session's; the later 50 are shifted in one."""
    rng = np.random.default_rng(seed)
    sessions = np.arange(trained + BLOCK) // per_session
    shared = rng.normal(size=(sessions.max() + 1, 22))
    x = np.sqrt(0.5) * (shared[sessions] + rng.normal(size=(len(sessions), 22)))
    x[rng.random(x.shape) < 0.05] = np.nan
    x[trained:, 3] += shift
    return x[:trained], sessions[:trained], x[trained:], sessions[trained:]


def test_inputs_that_did_not_move_are_seldom_taken_for_moved():
    found = [largest_move(*world(seed, 100), NAMES) for seed in range(40)]
    naive = sum(move.index > MOVED for move in found)
    assert naive >= 25, "0.25 alone fires where nothing has moved"
    # Three or more of 40 at a rate of 0.5 % have a probability of 0.1 %.
    assert sum(move.moved for move in found) <= 2


def test_an_input_that_moved_by_two_deviations_is_found_and_named():
    found = [largest_move(*world(seed, 300, 2.0), NAMES) for seed in range(12)]
    assert sum(move.moved and move.name == NAMES[3] for move in found) >= 11


def test_the_limit_is_that_of_sessions_dealt_out_one_deal_after_the_other():
    reference, before, current, after = world(3, 100, per_session=3)
    found = largest_move(reference, before, current, after, NAMES, deals=399, seed=5)
    joined, sessions = np.concatenate((reference, current)), np.concatenate((before, after))
    ids = np.unique(sessions)
    generator = np.random.Generator(np.random.PCG64(5))
    largest = []
    for ranks in np.concatenate(
        [generator.random((250, len(ids))), generator.random((149, len(ids)))]
    ):
        order = np.concatenate([np.flatnonzero(sessions == ids[k]) for k in np.argsort(ranks)])
        dealt = joined[order]
        columns = [INPUTS.index(name) for name in NAMES]
        largest.append(
            max(population_stability(dealt[:100, k], dealt[100:, k], 5) for k in columns)
        )
    allowed = int(FALSE_ALARM * 400)
    assert found.limit == pytest.approx(sorted(largest)[-allowed], abs=1e-12)
    assert found.index == max(
        population_stability(reference[:, k], current[:, k], 5) for k in range(8)
    )


def test_trades_of_two_sessions_cannot_tell_a_move_from_chance():
    reference, before, current, after = world(1, 100, 9.0)
    found = largest_move(reference, before // 25, current, after * 0 + 99, NAMES)
    assert found.index > 1.0
    assert not found.moved


def test_the_index_does_not_change_when_both_sides_are_exchanged():
    rng = np.random.default_rng(2)
    one, other = rng.normal(size=80), rng.normal(size=50) + 0.3
    assert population_stability(one, other, 5) == pytest.approx(population_stability(other, one, 5))
    assert population_stability(one, one, 5) == pytest.approx(0.0, abs=1e-12)


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """Return a model, trades of which one input moved at 200, and the name of that input."""
    registry = Registry(tmp_path_factory.mktemp("moved"))
    data = labelled(260, 1.5, seed=2)
    life.live_through(registry, data.take(slice(0, 150)), 100)
    name = registry.current().shadow
    stored = registry.load(name)
    fitted = stored.model.fitted
    # The input that weighs least: what the model says of the trades stays right.
    column = int(np.asarray(fitted.columns)[np.argmin(np.abs(fitted.weight))])
    data.x[200:, column] += 2.0
    return stored, data, INPUTS[column]


def test_a_moved_input_demotes_a_model_that_is_still_right(moved):
    stored, data, name = moved
    trained, later = data.take(slice(0, 150)), data.take(slice(150, None))
    assert judge_gate(stored, later) is None
    assert judge_gate(stored, later.take(slice(0, 99)), trained) is None, "no whole block after it"
    reason = judge_gate(stored, later, trained)
    assert reason.startswith(f"drift: the input {name} moved")
    assert judge_gate(stored, later.take(slice(0, 100)), trained) == reason, "its block is whole"
    assert judge_gate(stored, later, trained.take(slice(0, 99))) is None, "too few to compare with"


@pytest.mark.parametrize("wanted", [True, False])
def test_the_setting_decides_whether_a_moved_input_demotes(moved, tmp_path, wanted):
    stored, data, name = moved
    registry = Registry(tmp_path)
    registry.save(stored.model, {**stored.manifest}, data.x[:150])
    kept = next(path.name for path in registry.folder.iterdir() if len(path.name) == 64)
    since = int(data.ends[149])
    registry.activate(Current(gate=kept, gate_since=since, trained_trades=250), "PROMOTED", 1)
    changes = life.step(registry, data, 10_000, 2, demote_on_moved_inputs=wanted)
    assert [change.event for change in changes] == (["DEMOTED"] if wanted else [])
    assert registry.current().gate == ("" if wanted else kept)
    if wanted:
        assert f"the input {name} moved" in registry.history()[-1]["reason"]

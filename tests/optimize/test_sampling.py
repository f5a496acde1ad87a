import numpy as np
import pytest

from mia.errors import ConfigError
from mia.optimize.sampling import grid_sets, make_sampler, random_sets, sobol_sets
from mia.optimize.space import Parameter, Space

SPACE = Space(
    (
        Parameter("trend.target_r", 1.0, 3.0),
        Parameter("trend.leg_bars", 10.0, 40.0, 10.0, integer=True),
        Parameter("gate.min_rr", 0.0, 1.0, choices=(1.0, 2.0)),
    )
)


@pytest.mark.parametrize("draw", [random_sets, sobol_sets, grid_sets])
def test_a_longer_search_begins_with_the_shorter_one(draw):
    assert draw(SPACE, 23, seed=4)[:9] == draw(SPACE, 9, seed=4)
    assert draw(SPACE, 9, seed=4) != draw(SPACE, 9, seed=5)


def test_a_grid_holds_each_cell_once():
    sets = grid_sets(SPACE, 1000, seed=1)
    assert len(sets) == 5 * 4 * 2
    assert len({tuple(values.values()) for values in sets}) == len(sets)
    assert {values["trend.target_r"] for values in sets} >= {1.0, 3.0}


def test_a_grid_too_large_to_list_is_refused():
    wide = Space(tuple(Parameter(f"p{k}", 0.0, 1.0) for k in range(9)))
    with pytest.raises(ConfigError, match="cells"):
        grid_sets(wide, 10, seed=1)


def test_sobol_fills_a_space_more_evenly_than_chance():
    plane = Space((Parameter("a", 0.0, 1.0), Parameter("b", 0.0, 1.0)))

    def largest_cell(sets):
        points = np.array([list(values.values()) for values in sets])
        counts, _, _ = np.histogram2d(*points.T, bins=8, range=[(0, 1), (0, 1)])
        return counts.max()

    assert largest_cell(sobol_sets(plane, 64, 1)) < largest_cell(random_sets(plane, 64, 1))


def test_pruning_needs_a_sampler_that_learns():
    with pytest.raises(ConfigError, match="tpe"):
        make_sampler("sobol", SPACE, 4, 1, prune=True)
    with pytest.raises(ConfigError, match="unknown --sampler"):
        make_sampler("annealing", SPACE, 4, 1)


def told(seed):
    """Search for the largest target, and return all sets in their order."""
    pytest.importorskip("optuna")
    sampler = make_sampler("tpe", SPACE, 40, seed)
    asked = []
    while sets := sampler.ask():
        asked += sets
        sampler.tell([values["trend.target_r"] for values in sets])
    return asked


def test_optuna_proposes_the_same_again_and_goes_where_results_are_better():
    sets = told(7)
    assert sets == told(7)
    assert len(sets) == 40
    first, last = sets[:8], sets[-16:]
    mean = [np.mean([values["trend.target_r"] for values in part]) for part in (first, last)]
    assert mean[1] > mean[0] + 0.3


def test_what_lies_below_the_median_in_training_is_given_up():
    pytest.importorskip("optuna")
    sampler = make_sampler("tpe", SPACE, 24, 1, prune=True)
    given_up = 0
    while sets := sampler.ask():
        scores = [values["trend.target_r"] for values in sets]
        kept = sampler.keeps({k: [score] for k, score in enumerate(scores)})
        given_up += len(sets) - len(kept)
        sampler.tell([score if k in kept else None for k, score in enumerate(scores)])
        assert all(scores[k] >= min(scores[j] for j in kept) for k in kept)
    assert 2 <= given_up <= 16

import os

import pytest

from mia.optimize.null_market import Setup, run

SEEDS = int(os.environ.get("MIA_NULL_SEEDS", "4"))
SETUP = Setup(sessions=40, trials=7, trades_per_day=2_000)


@pytest.mark.slow
def test_a_search_where_there_is_nothing_to_find_does_not_believe_its_best(tmp_path):
    found = run(range(1, SEEDS + 1), SETUP, tmp_path)
    assert found["judged"] >= 0.75 * SEEDS
    assert found["best_sharpe_mean"] > found["outside_sharpe_mean"]
    deflated = found["deflated_below_0.95"]
    # The share that is claimed is at least 95 %; a small sample may not speak against it.
    assert deflated["wilson_95"][1] >= 0.95
    assert deflated["count"] >= found["judged"] - 1
    assert found["edge_said_to_be_shown"]["count"] <= 0.05 * SEEDS
    again = run(range(1, SEEDS + 1), SETUP, tmp_path)
    assert again == found

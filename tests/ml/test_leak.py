"""A model that reads the future is caught by the look-ahead check; an honest one is not."""

import numpy as np
import pytest
from labelled import labelled
from run_samples import easy, market

from mia.backtest import Backtest, Inputs
from mia.execution.assembly import fit_settings, market_state
from mia.execution.simple_trader import SimpleTrader
from mia.execution.simulated_broker import SimulatedBroker
from mia.ml import life
from mia.ml.model_filter import ModelFilter
from mia.ml.registry import Current, Registry
from mia.performance.lookahead import times_of
from mia.performance.recorder import RunRecord


class Leaking(ModelFilter):
    """Adds to its probability what the price does in the next thirty minutes."""

    block = None

    def probability(self, context, proposal):
        p = super().probability(context, proposal)
        after = int(np.searchsorted(times_of(self.block), context.ts + 30 * 60 * 10**9))
        later = int(self.block.price[min(after, len(self.block) - 1)])
        return 0.5 * p + 0.5 * (proposal.side * (later - context.close) > 0)


class Showing(SimpleTrader):
    """Shows each block to its model before it runs."""

    def run(self, block):
        self.generator._model.block = block
        super().run(block)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    registry = Registry(root)
    life.live_through(registry, labelled(100, 0.8, seed=4), 100)
    registry.activate(Current(gate=registry.current().shadow), "PROMOTED", 2**62)
    return root


def test_a_leaking_input_is_caught(models):
    tape = market()
    test = Backtest(easy(), tape)

    def make(record: RunRecord):
        plan = fit_settings(easy(), 0)
        state = market_state(plan, tape.first_session, tape.last_session, 0, record=True)
        model = Leaking(Registry(models), writes=False)
        broker = SimulatedBroker(plan.groups["cost"], plan.groups["fill"])
        return Showing(state, broker, plan.limits, plan.groups, record, model=model)

    violations, cuts = test.check_lookahead(8, factory=make)
    assert cuts == 8
    assert violations


def test_the_filter_of_the_project_does_not_look_ahead(models):
    violations, cuts = Backtest(easy(), market(), Inputs(models=models)).check_lookahead(6)
    assert cuts == 6
    assert violations == []

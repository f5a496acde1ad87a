"""A proposal through selector, confidence, every gate and risk: 60 microseconds are the bound."""

import timeit
from copy import copy

from mia.backtest import Backtest
from mia.config.settings import load_settings
from mia.core.trading_types import Decision
from mia.data.tape import synthetic_tape
from mia.features.context import context_of
from mia.performance.recorder import RunRecord

BOUND_US = 60.0


class Listener:
    """Stands before a signal generator and keeps what every proposal was decided on."""

    def __init__(self, trader):
        self._trader = trader
        self._generator = trader.generator
        self.cases = []

    def evaluate(self, context, facts):
        outcome = self._generator.evaluate(context, facts)
        if isinstance(outcome, Decision):
            self.cases.append((context, copy(facts), self._trader.state.newest))
        return outcome


def cases():
    """Return a generator of signals and (context, facts, row) of each proposal of two sessions."""
    tape = synthetic_tape(1, 20250310, 2, 100_000)
    trader = Backtest(load_settings(environ={}), tape, send=False).make_trader(RunRecord())
    generator = trader.generator
    trader.generator = listener = Listener(trader)
    for block in tape.blocks():
        trader.run(block)
    assert listener.cases, "the tape must give proposals"
    return generator, listener.cases


class Decide:
    timeout = 300

    def setup(self):
        self.generator, self.cases = cases()

    def decide(self):
        evaluate = self.generator.evaluate
        for context, facts, _ in self.cases:
            evaluate(context, facts)

    def read(self):
        for context, _, row in self.cases:
            context_of(row, context.contract, context.vix)

    def microseconds(self, function):
        return 1e6 * min(timeit.repeat(function, number=1, repeat=15)) / len(self.cases)

    def track_microseconds_per_proposal(self):
        return self.microseconds(self.decide)

    track_microseconds_per_proposal.unit = "us"

    def track_share_of_bound(self):
        return self.microseconds(self.decide) / BOUND_US

    track_share_of_bound.unit = "x"

    def track_microseconds_per_context(self):
        return self.microseconds(self.read)

    track_microseconds_per_context.unit = "us"

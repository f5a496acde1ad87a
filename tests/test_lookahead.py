"""The look-ahead check catches a trader that peeks, however little, and spares an honest one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from run_samples import as_bars, easy, market

from mia.backtest import Backtest
from mia.core.base_types import Block, Reason, TradeBlock
from mia.core.trading_types import Context, Decision
from mia.execution.simple_trader import SimpleTrader
from mia.performance.lookahead import times_of
from mia.performance.recorder import RunRecord

KINDS = pytest.mark.parametrize("kind", ["trades", "bars"])
SAMPLES = 12


def later_price(block: Block, ts: int, rows: int) -> int:
    """Return the price `rows` rows after an instant: what nobody can know at it."""
    prices = block.price if isinstance(block, TradeBlock) else block.close
    after = int(np.searchsorted(times_of(block), ts, side="right"))
    return int(prices[min(after + rows - 1, len(prices) - 1)])


class PeekingGenerator:
    """Judges proposals by what the market does after them."""

    def __init__(self, honest: Any, judge: Callable[[Decision, int, int], Decision]) -> None:
        self._honest = honest
        self._judge = judge
        self.block: Block | None = None
        self.rows = 1

    def evaluate(self, context: Context, facts: Any) -> Any:
        outcome = self._honest.evaluate(context, facts)
        if not isinstance(outcome, Decision) or self.block is None:
            return outcome
        future = later_price(self.block, context.ts, self.rows)
        return self._judge(outcome, context.close, future)


class PeekingTrader(SimpleTrader):
    """Shows every block to its generator before it runs."""

    def run(self, block: Block) -> None:
        self.generator.block = block
        super().run(block)


def drop_losers(decision: Decision, now: int, future: int) -> Decision:
    """Reject what will lose, for a reason that looks innocent."""
    loses = decision.proposal.side * (future - now) < 0
    return replace(decision, reason=Reason.CONFIDENCE) if loses else decision


def note_next(decision: Decision, now: int, future: int) -> Decision:
    """Change nothing but a figure that is reported."""
    return replace(decision, parts={**decision.parts, "hint": float(future - now)})


def peeking(
    test: Backtest, judge: Callable[[Decision, int, int], Decision], rows: int
) -> Callable[[RunRecord], SimpleTrader]:
    def make(record: RunRecord) -> SimpleTrader:
        trader = test.make_trader(record, rows=True)
        generator = PeekingGenerator(trader.generator, judge)
        generator.rows = rows
        trader.generator = generator
        trader.__class__ = PeekingTrader
        return trader

    return make


def backtest(kind: str) -> Backtest:
    tape = market(days=1)
    return Backtest(easy(), tape if kind == "trades" else as_bars(tape))


@KINDS
def test_an_honest_trader_passes(kind: str) -> None:
    violations, cuts = backtest(kind).check_lookahead(2 * SAMPLES)
    assert cuts == 2 * SAMPLES
    assert violations == []


def test_a_fill_at_an_open_is_no_look_ahead_at_the_close_before_it() -> None:
    test = backtest("bars")
    record = test.run().record
    closes = [decision.ts for decision in record.decisions if decision.accepted]
    opened = [fill.ts for fill in record.fills]
    assert set(closes) & set(opened), "no entry was filled at the open after its decision"
    violations, _ = test.check_lookahead(len(record.decisions))
    assert violations == []


@KINDS
@pytest.mark.parametrize(("judge", "rows"), [(drop_losers, 40), (note_next, 1)])
def test_a_trader_that_peeks_is_caught(
    kind: str, judge: Callable[[Decision, int, int], Decision], rows: int
) -> None:
    test = backtest(kind)
    violations, cuts = test.check_lookahead(SAMPLES, factory=peeking(test, judge, rows))
    assert cuts == SAMPLES
    assert violations
    assert all(violation.expected != violation.found for violation in violations)


@KINDS
def test_the_violation_names_the_cut_and_what_became_of_the_decision(kind: str) -> None:
    test = backtest(kind)
    found, _ = test.check_lookahead(SAMPLES, factory=peeking(test, note_next, 1))
    assert "Decision(" in found[0].expected
    assert "Decision(" in found[0].found
    assert f"ts={found[0].cut}" in found[0].expected


def test_the_check_leaves_no_bar_out_when_it_has_fewer_than_it_wants() -> None:
    tape = market(days=1)
    short = replace(tape, blocks=lambda: (first_rows(block, 400) for block in tape.blocks()))
    violations, cuts = Backtest(easy(), short).check_lookahead(10**6)
    assert violations == []
    assert 5 < cuts < 400


def first_rows(block: TradeBlock, count: int) -> TradeBlock:
    names = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")
    return replace(block, **{name: getattr(block, name)[:count] for name in names})

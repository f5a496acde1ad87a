"""What only the model refuses is followed on paper, as the same trade would have been managed."""

from dataclasses import replace

import pytest
from run_samples import as_bars, easy, market

from mia.backtest import Backtest
from mia.core.base_types import Reason
from mia.execution.assembly import fit_settings, followed_on_paper, market_state, simulated_trader
from mia.execution.position.refused_trades import MOST, RefusedTrades
from mia.performance.recorder import RunRecord


class Says:
    """A model that gives one answer, from its n-th proposal on."""

    def __init__(self, p, after=0):
        self.p, self.after, self.asked = p, after, 0

    def probability(self, context, proposal):
        self.asked += 1
        return self.p if self.asked > self.after else 1.0


def run(tape, model):
    plan = fit_settings(easy(), tape.width_s)
    record = RunRecord()
    state = market_state(plan, tape.first_session, tape.last_session, tape.width_s, record=False)
    trader = simulated_trader(plan, state, record, model=model)
    for block in tape.blocks():
        trader.run(block)
    return record, trader


def alike(trade):
    """Return what does not depend on the confidence that the model is part of."""
    return replace(trade, confidence=0.0)


@pytest.mark.parametrize("kind", ["trades", "bars"])
def test_a_refused_trade_ends_as_the_same_trade_when_taken(kind):
    tape = market() if kind == "trades" else as_bars(market(days=4))
    taken, _ = run(tape, Says(1.0))
    assert len(taken.trades) > 3
    refused, _ = run(tape, Says(0.0))
    assert not refused.trades
    assert not refused.fills
    paper = {trade.trade_id: alike(trade) for trade in refused.followed}
    assert paper
    # The first trade meets the same account in both runs; later ones may be sized otherwise.
    first = taken.trades[0]
    assert paper[first.trade_id] == alike(first)
    shared = [trade for trade in taken.trades if trade.trade_id in paper]
    assert len(shared) > 2
    for trade in shared:
        other = paper[trade.trade_id]
        assert (other.ts_entry, other.ts_exit, other.exit) == (
            trade.ts_entry,
            trade.ts_exit,
            trade.exit,
        )


def test_what_is_followed_on_paper_touches_no_account():
    refused, trader = run(market(), Says(0.0))
    assert refused.followed
    assert (refused.fills, refused.trades, refused.marks, refused.kills) == ([], [], [], [])
    assert trader.risk.equity == easy().settings.account.start_equity
    assert trader.risk.day_pnl == 0.0


def test_a_proposal_that_another_gate_refused_as_well_is_not_followed():
    record, _ = run(market(), Says(0.0))
    only = set()
    for decision in record.decisions:
        failed = [gate.code for gate in decision.gates if not gate.passed]
        if failed == [Reason.MODEL]:
            only.add(decision.ts)
    assert {trade.ts_signal for trade in record.followed} <= only
    assert len(only) < len(record.decisions)


class Broken:
    """A simulated exchange that fails when it is shown the market."""

    def submit(self, order):
        pass

    def advance(self, block, start, stop):
        raise RuntimeError("broken")


def test_a_failure_on_paper_stops_no_trading(caplog):
    tape = market()
    plan = fit_settings(easy(), 0)
    record = RunRecord()
    state = market_state(plan, tape.first_session, tape.last_session, 0, record=False)
    trader = simulated_trader(plan, state, record, model=Says(0.0, after=3))
    broken = RefusedTrades(Broken, plan.limits, plan.groups, record)
    trader._refused = broken
    for block in tape.blocks():
        trader.run(block)
    assert broken.failed > 0
    assert not broken
    assert not record.followed
    assert "is followed on paper no more" in caplog.text


def test_no_more_than_eight_are_followed_at_a_time():
    plan = fit_settings(easy(), 0)
    record, _ = run(market(), Says(0.0))
    context = type("C", (), {"ts": 1})()
    refused = followed_on_paper(plan, record)
    only = [
        d for d in record.decisions if [g.code for g in d.gates if not g.passed] == [Reason.MODEL]
    ]
    for k in range(MOST + 2):
        refused.follow(replace(only[0], ts=only[0].ts + k * 60_000_000_000), context)
    assert refused.passed_over == 2
    refused.follow(replace(only[0]), context)
    assert refused.passed_over == 2, "what is followed already is not another"


def test_a_run_without_a_model_follows_nothing():
    run_record = Backtest(easy(), market()).run().record
    assert run_record.followed == []

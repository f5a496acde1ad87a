"""A cycle that is thrown away and restored from its journal goes on as if nothing had happened."""

import itertools
import json
import math
from typing import Any

import pytest
from run_samples import part
from trading_cases import EASED

from mia.backtest import Backtest
from mia.config.settings import LoadedSettings, load_settings
from mia.core.base_types import Block
from mia.data.account_history import TRADE, closed_trades
from mia.data.journal_schema import JournalEvent
from mia.data.tape import Tape, synthetic_tape
from mia.errors import DataError, JournalError
from mia.execution.live.recovery import (
    KIND,
    CycleJournal,
    position_from_dict,
    position_to_dict,
    restore_cycle,
)
from mia.execution.simple_trader import SimpleTrader
from mia.performance.recorder import RunRecord


class Both:
    """A record and a journal of plain text, as a file would hold it."""

    def __init__(self) -> None:
        self.record = RunRecord()
        self.lines: list[str] = []
        self.journal = CycleJournal(self.append, lambda: 0)

    def append(self, kind: str, payload: Any, *, ts: int, **how: bool) -> int:
        assert kind == KIND
        self.lines.append(json.dumps(payload, allow_nan=False))
        return len(self.lines)

    def publish(self, topic: str, event: object) -> None:
        self.record.publish(topic, event)
        self.journal.publish(topic, event)

    @property
    def state(self) -> dict[str, Any]:
        return json.loads(self.lines[-1])


@pytest.fixture(scope="module")
def eased() -> LoadedSettings:
    return load_settings(None, EASED, environ={})


@pytest.fixture(scope="module")
def tape() -> Tape:
    return synthetic_tape(4, 20250310, 5, 20_000)


def restarted(old: SimpleTrader, loaded: LoadedSettings, tape: Tape, both: Both) -> SimpleTrader:
    """Make a new cycle over the market and the broker of another: only they outlive it."""
    new = Backtest(loaded, tape).make_trader(both)  # type: ignore[arg-type]
    fresh = SimpleTrader(old.state, old.broker, old.limits, new.groups, both)
    both.journal.trader = None
    fresh.kill_switch.restore(old.kill_switch.to_dict(), 0)
    restore_cycle(fresh, both.state)
    both.journal.trader = fresh
    if fresh.position is None:
        fresh.contract = old.contract
    return fresh


def pieces(block: Block) -> list[Block]:
    edges = [*range(0, len(block), 37), len(block)]
    return [part(block, a, b) for a, b in itertools.pairwise(edges)]


def test_a_run_that_is_restarted_again_and_again_trades_the_same(eased, tape) -> None:
    whole = Backtest(eased, tape).run().record
    both = Both()
    trader = Backtest(eased, tape).make_trader(both)  # type: ignore[arg-type]
    both.journal.trader = trader
    restarts = holding = 0
    for block in tape.blocks():
        for piece in pieces(block):
            trader.run(piece)
            if both.lines and restarts < len(both.lines):
                holding += trader.position is not None and trader.position.open_quantity != 0
                trader = restarted(trader, eased, tape, both)
                restarts = len(both.lines)
    assert holding > 20
    assert len(whole.trades) > 3
    assert [repr(t) for t in both.record.trades] == [repr(t) for t in whole.trades]
    assert [repr(d) for d in both.record.decisions] == [repr(d) for d in whole.decisions]


def test_what_is_read_back_is_what_was_written(eased, tape) -> None:
    both = Both()
    trader = Backtest(eased, tape).make_trader(both)  # type: ignore[arg-type]
    both.journal.trader = trader
    seen = 0
    for block in tape.blocks():
        for piece in pieces(block):
            before = len(both.lines)
            trader.run(piece)
            if len(both.lines) > before and trader.position is not None:
                held = trader.position
                state = json.loads(json.dumps(position_to_dict(held)))
                once = position_from_dict(state)
                again = position_to_dict(once)
                # A whole number in a field of floats comes back as a float.
                assert again | {"grounds": ""} == state | {"grounds": ""}
                assert position_to_dict(position_from_dict(again)) == again
                assert math.isclose(once.context.score, held.context.score)
                assert once.decision.proposal == held.decision.proposal
                seen += 1
    assert seen > 10


@pytest.mark.parametrize("field", ["grounds", "fills", "tick_value", "bars_left", "trade"])
def test_a_damaged_position_is_refused(eased, tape, field: str) -> None:
    both = Both()
    trader = Backtest(eased, tape).make_trader(both)  # type: ignore[arg-type]
    both.journal.trader = trader
    for block in tape.blocks():
        trader.run(block)
    states = [json.loads(line)["position"] for line in both.lines]
    state = next(s for s in states if s is not None and s["trade"] is not None)
    for damage in ("?", [{"x": 1}], {"x": 1}):
        with pytest.raises(DataError, match="damaged"):
            position_from_dict(state | {field: damage})
    with pytest.raises(DataError, match="damaged"):
        position_from_dict({k: v for k, v in state.items() if k != field})


def test_the_journal_holds_the_result_of_every_trade(eased, tape) -> None:
    both = Both()
    trader = Backtest(eased, tape).make_trader(both)  # type: ignore[arg-type]
    both.journal.trader = trader
    for block in tape.blocks():
        trader.run(block)
    events = [JournalEvent(n, 0, KIND, json.loads(line)) for n, line in enumerate(both.lines, 1)]
    assert len(both.record.trades) > 3
    assert list(closed_trades(events)) == both.record.trades


def test_a_result_of_another_version_is_refused_by_its_event() -> None:
    event = JournalEvent(7, 0, KIND, {TRADE: {"trade_id": 3}})
    with pytest.raises(JournalError, match="event 7"):
        list(closed_trades([event]))

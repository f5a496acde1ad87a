"""The trading cycle on synthetic sessions: real kernels, real broker, real rules."""

import dataclasses
import itertools

import numpy as np
import pytest
from run_samples import part
from trading_cases import EASED

from mia.backtest import Backtest
from mia.config.settings import LoadedSettings, load_settings
from mia.core import sessions
from mia.core.base_types import ExitReason, OrderRole, TradeBlock
from mia.data.tape import Tape, synthetic_tape
from mia.errors import DataError
from mia.execution.simple_trader import SimpleTrader
from mia.performance.recorder import RunRecord


@pytest.fixture(scope="module")
def eased() -> LoadedSettings:
    return load_settings(None, EASED, environ={})


@pytest.fixture(scope="module")
def tape() -> Tape:
    return synthetic_tape(4, 20250310, 6, 20_000)


def run(loaded: LoadedSettings, tape: Tape) -> tuple[RunRecord, SimpleTrader]:
    record = RunRecord()
    trader = Backtest(loaded, tape).make_trader(record)
    for block in tape.blocks():
        trader.run(block)
    return record, trader


@pytest.fixture(scope="module")
def outcome(eased: LoadedSettings, tape: Tape) -> tuple[RunRecord, SimpleTrader]:
    record, trader = run(eased, tape)
    assert len(record.trades) >= 5, "too few trades to test anything"
    return record, trader


def test_every_accepted_decision_ends_in_a_trade_or_an_unfilled_entry(outcome) -> None:
    record, trader = outcome
    accepted = [d for d in record.decisions if d.accepted]
    still_open = 0 if trader.position is None else 1
    assert len(accepted) == len(record.trades) + len(record.unfilled) + still_open


def test_equity_moves_by_the_net_of_closed_trades_and_nothing_else(outcome) -> None:
    record, trader = outcome
    start = 25_000.0
    assert trader.risk.equity == pytest.approx(start + sum(t.net_pnl for t in record.trades))


def test_net_is_gross_less_two_commissions_a_contract(outcome) -> None:
    record, _ = outcome
    side = {"ES": 3.45, "MES": 0.96}
    value = {"ES": 12.5, "MES": 1.25}
    for trade in record.trades:
        gross = trade.side * (trade.exit - trade.entry) * trade.quantity * value[trade.symbol]
        assert trade.gross_pnl == pytest.approx(gross)
        assert trade.costs == pytest.approx(2 * side[trade.symbol] * trade.quantity)
        assert trade.net_pnl == pytest.approx(gross - trade.costs)


def test_fills_of_a_bracket_leave_no_position(outcome) -> None:
    record, trader = outcome
    held: dict[str, int] = {}
    for fill in record.fills:
        held[fill.bracket_id] = held.get(fill.bracket_id, 0) + fill.side * fill.quantity
    if trader.position is not None:
        held.pop(trader.position.trade_id, None)
    assert set(held.values()) == {0}


def test_one_position_at_a_time(outcome) -> None:
    record, _ = outcome
    ordered = sorted(record.trades, key=lambda t: t.ts_entry)
    for before, after in itertools.pairwise(ordered):
        assert before.ts_exit <= after.ts_entry


def test_no_order_acts_before_its_decision_and_the_latency(outcome, eased) -> None:
    record, _ = outcome
    latency = eased.settings.fill.latency_ns
    signals = {t.trade_id: t.ts_signal for t in record.trades}
    entries = [f for f in record.fills if f.role is OrderRole.ENTRY and f.bracket_id in signals]
    assert entries
    for fill in entries:
        assert fill.ts >= signals[fill.bracket_id] + latency


def test_no_position_survives_its_session(outcome) -> None:
    record, _ = outcome
    for trade in record.trades:
        assert sessions.session_id(trade.ts_exit) == trade.session_id


def test_fills_happen_at_traded_prices_plus_slippage(outcome, tape: Tape) -> None:
    record, _ = outcome
    traded = {}
    for block in tape.blocks():
        for ts, price in zip(block.ts_event.tolist(), block.price.tolist(), strict=True):
            traded.setdefault(ts, set()).add(price)
    for fill in record.fills:
        slip = fill.side * (fill.price - fill.reference_price)
        if fill.role is OrderRole.FLATTEN:
            assert slip == 1
        if fill.role in (OrderRole.STOP, OrderRole.FLATTEN):
            # What a stop loses in a gap is slippage as well.
            assert slip >= 1
            assert fill.price - fill.side in traded[fill.ts]


def test_without_sending_every_decision_is_made_and_nothing_is_filled(eased, tape: Tape) -> None:
    run_ = Backtest(eased, tape, send=False).run()
    assert any(d.accepted for d in run_.record.decisions)
    assert not run_.record.fills
    assert not run_.record.trades


def test_any_split_of_the_blocks_gives_the_same_run(outcome, eased, tape: Tape) -> None:
    def cut() -> list[TradeBlock]:
        pieces = []
        for block in tape.blocks():
            for start in range(0, len(block), 7_777):
                part = slice(start, start + 7_777)
                columns = {
                    field.name: getattr(block, field.name)[part]
                    for field in dataclasses.fields(block)
                    if isinstance(getattr(block, field.name), np.ndarray)
                }
                pieces.append(dataclasses.replace(block, **columns))
        return pieces

    record, _ = run(eased, dataclasses.replace(tape, blocks=lambda: iter(cut())))
    whole, _ = outcome
    assert [repr(d) for d in record.decisions] == [repr(d) for d in whole.decisions]
    assert record.fills == whole.fills
    assert record.trades == whole.trades


def test_a_contract_that_ends_takes_its_position_with_it(eased, tape: Tape) -> None:
    """Data of a contract stop while a position is open: it is closed where it last traded."""
    first, second = list(tape.blocks())[:2]
    record, probe = RunRecord(), None
    trader = Backtest(eased, tape).make_trader(record)
    trader.run(first)
    entry = next(f for f in record.fills if f.role is OrderRole.ENTRY)
    trade = next(t for t in record.trades if t.trade_id == entry.bracket_id)
    stop = int(np.searchsorted(first.ts_event, (entry.ts + trade.ts_exit) // 2))
    if first.ts_event[stop] >= trade.ts_exit:
        pytest.skip("the first trade ended within one event")
    names = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")
    cut = dataclasses.replace(first, **{name: getattr(first, name)[:stop] for name in names})
    record = RunRecord()
    probe = Backtest(eased, tape).make_trader(record)
    probe.run(cut)
    assert probe.position is not None
    assert probe.position.open_quantity
    probe.run(dataclasses.replace(second, contract="ESZ99"))
    closed = record.trades[0]
    assert closed.exit_reason is ExitReason.SESSION_END
    assert abs(closed.exit - int(cut.price[-1])) == 1
    assert closed.ts_exit <= int(second.ts_event[0])


def test_a_contract_change_inside_a_session_is_refused(eased, tape: Tape) -> None:
    block = next(tape.blocks())
    half = len(block) // 2
    names = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")
    parts = [
        dataclasses.replace(block, **{name: getattr(block, name)[part] for name in names})
        for part in (slice(None, half), slice(half, None))
    ]
    trader = Backtest(eased, tape).make_trader(RunRecord())
    trader.run(parts[0])
    with pytest.raises(DataError, match="contract may change only between sessions"):
        trader.run(dataclasses.replace(parts[1], contract="ESU25"))


def test_halted_entries_refuse_proposals_but_let_exits_through(eased, tape: Tape) -> None:
    record = RunRecord()
    trader = Backtest(eased, tape).make_trader(record)
    trader.kill_switch.command("halt", 0)
    for block in tape.blocks():
        trader.run(block)
    assert record.decisions
    assert not record.fills
    assert all(
        "KILL_STATE" in {g.code.value for g in d.gates if not g.passed}
        for d in record.decisions
        if d.gates
    )


def test_a_loss_that_breaks_the_days_limit_is_closed_within_a_second(eased, tape: Tape) -> None:
    record = RunRecord()
    trader = Backtest(eased, tape).make_trader(record)
    broken_at = 0
    for block in tape.blocks():
        for start in range(0, len(block), 7):
            trader.run(part(block, start, min(start + 7, len(block))))
            position = trader.position
            held = position is not None and position.open_quantity != 0
            now = int(block.ts_event[min(start + 6, len(block) - 1)])
            # Well before the close of the bar, which would look at the limit anyway.
            if held and not broken_at and now // 1_000_000_000 % 60 < 20:
                trader.risk.day_pnl = -5_000.0
                broken_at = now
            if broken_at and position is None:
                break
        if broken_at:
            break
    trade = record.trades[-1]
    assert trade.exit_reason is ExitReason.KILL_STATE
    after = block.ts_event[block.ts_event > broken_at]
    whole_second = (broken_at // 1_000_000_000 + 1) * 1_000_000_000
    first_seen = int(after[after >= whole_second][0])
    latency = eased.settings.fill.latency_ns
    assert trade.ts_exit <= int(after[after >= first_seen // 10**9 * 10**9 + latency][0])


def test_an_entry_that_works_is_cancelled_within_a_second_of_a_halt(eased, tape: Tape) -> None:
    record = RunRecord()
    trader = Backtest(eased, tape).make_trader(record)
    halted = False
    for block in tape.blocks():
        for start in range(0, len(block), 7):
            trader.run(part(block, start, min(start + 7, len(block))))
            position = trader.position
            if not halted and position is not None and position.filled == 0:
                trader.kill_switch.command("halt", int(block.ts_event[start]))
                waiting = position.trade_id
                halted = True
            if halted and trader.position is None:
                break
        if halted:
            break
    assert halted
    assert trader.position is None
    assert [trade.trade_id for trade in record.trades].count(waiting) == 0
    assert len(record.unfilled) >= 1

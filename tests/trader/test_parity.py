"""The same tape through the backtest and through the trader on a gateway process gives the same.

Signals, orders and fills are compared whole. Three things are left out, because a client of a
broker cannot know them as the simulated exchange does: which trade an order at market met
(`reference_price` of a flatten, and with it the slippage of its trade), what was traded within the
seconds of the fills before and after them (`mfe_ticks`, `mae_ticks`), and how long anything took.
"""

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from labelled import labelled
from live_runs import Market, NotedBroker, Outcome, Request, backtest, live_run
from run_samples import easy

from mia.backtest import Backtest, Inputs
from mia.config.instruments import TICK
from mia.core.base_types import ExitReason, OrderRole, OrderType, Reason
from mia.core.broker_types import LinkState
from mia.core.sessions import SECOND
from mia.core.trading_types import Decision, Fill
from mia.execution.kill_switch import Rule
from mia.gateway.protocol.place_order import PlaceOrder
from mia.ml import life
from mia.ml.dataset import of_objects, read_snapshots
from mia.ml.registry import Current, Registry
from mia.performance.recorder import RunRecord

BUSY = Market(4, 3, 20_000)
QUIET = Market(11, 3, 6_000)
OTHERS = (Market(3, 3, 20_000), Market(5, 4, 20_000), QUIET)
ORDER_KINDS = {OrderType.LIMIT: "LMT", OrderType.STOP: "STP", OrderType.MARKET: "MKT"}
CONNECTIONS = (Rule.BROKER_LOST, Rule.DATA_STALE)
UNKNOWN = ("mfe_ticks", "mae_ticks", "slippage_ticks")


def signal(decision: Decision) -> dict[str, Any]:
    return dataclasses.asdict(decision)


def fill_of(fill: Fill) -> dict[str, Any]:
    values = dataclasses.asdict(fill)
    if fill.role is OrderRole.FLATTEN:
        del values["reference_price"]
    return values


def trade_of(trade: Any) -> dict[str, Any]:
    values = dataclasses.asdict(trade)
    for name in UNKNOWN:
        del values[name]
    return values


def causes(run: Outcome) -> list[Any]:
    """Return what raised the kill switch, but for connections, which a backtest has not."""
    return [kill for kill in run.record.kills if kill[0].rule not in CONNECTIONS]


def assert_same(found: Outcome, expected: Outcome) -> None:
    for topic, view in (("decisions", signal), ("unfilled", signal), ("fills", fill_of)):
        pairs = [[view(event) for event in getattr(o.record, topic)] for o in (found, expected)]
        # Numbers that are not numbers are equal here if both are.
        assert [repr(e) for e in pairs[0]] == [repr(e) for e in pairs[1]], topic
    assert found.requests == expected.requests
    trades = [[trade_of(trade) for trade in o.record.trades] for o in (found, expected)]
    assert trades[0] == trades[1]
    assert found.record.marks == expected.record.marks
    assert found.record.sessions == expected.record.sessions
    assert causes(found) == causes(expected)
    assert found.trader.risk.equity == expected.trader.risk.equity
    assert (found.trader.position is None) == (expected.trader.position is None)


def wire_orders(requests: list[Request]) -> list[tuple[Any, ...]]:
    """Return what the requests of a backtest look like on the wire, in order.

    A flatten cancels what is unfilled of the entry, and sends a market order.
    """
    orders: list[tuple[Any, ...]] = []
    sent: dict[str, Any] = {}
    for request in requests:
        name = request.bracket_id
        if request.order is not None:
            order = sent[name] = request.order
            kind = ORDER_KINDS[order.entry_type]
            rows = (
                ("E", order.side, kind, order.entry),
                ("S", -order.side, "STP", order.stop),
                ("T", -order.side, "LMT", order.target),
            )
            for letter, side, leg_kind, price in rows:
                orders.append((f"{name}:{letter}", order.symbol, side, leg_kind, price))
        elif request.what == "modify_stop":
            order = sent[name]
            orders.append((f"{name}:S", order.symbol, -order.side, "STP", request.stop))
        elif request.what == "flatten":
            orders.append((f"{name}:F1", sent[name].symbol, -sent[name].side, "MKT", 0))
    return orders


def wire_order(placed: PlaceOrder) -> tuple[Any, ...]:
    order = placed.order
    points = {"LMT": order.limit_price, "STP": order.aux_price}.get(order.order_type, 0)
    assert points is not None
    side = {"BUY": 1, "SELL": -1}[order.action]
    return (order.order_ref, placed.query.symbol, side, order.order_type, round(points / TICK))


@pytest.mark.slow
def test_signals_orders_and_fills_are_those_of_the_backtest(tmp_path: Path) -> None:
    expected = backtest(BUSY)
    found = live_run(tmp_path, BUSY, "--by-minute")
    assert len(found.record.sessions) == 3
    assert_same(found, expected)
    assert [wire_order(order) for order in found.placed] == wire_orders(expected.requests)


def test_the_market_of_the_comparison_has_something_of_everything() -> None:
    run = backtest(BUSY)
    entries = Counter(d.proposal.entry_type for d in run.record.decisions if d.accepted)
    assert {OrderType.LIMIT, OrderType.STOP} <= set(entries)
    assert {t.symbol for t in run.record.trades} == {"ES", "MES"}
    assert run.record.unfilled
    reasons = Counter(trade.exit_reason for trade in run.record.trades)
    assert {ExitReason.STOP, ExitReason.TARGET, ExitReason.SESSION_END} <= set(reasons)
    asked = Counter(request.what for request in run.requests)
    assert asked["flatten"]
    assert asked["cancel_entry"]
    assert any(request.at_entry for request in run.requests)
    assert any(request.trailing for request in run.requests)


@pytest.mark.slow
@pytest.mark.parametrize("market", OTHERS, ids=lambda market: f"seed{market.seed}")
def test_other_markets_agree_too(tmp_path: Path, market: Market) -> None:
    expected = backtest(market)
    assert len(expected.record.trades) >= 8
    found = live_run(tmp_path, market, "--by-minute")
    assert_same(found, expected)
    assert [wire_order(order) for order in found.placed] == wire_orders(expected.requests)


@pytest.mark.slow
def test_step_by_second_and_by_minute_agree(tmp_path: Path) -> None:
    expected = backtest(QUIET)
    assert any(kill[0].rule is Rule.SLIPPAGE for kill in expected.record.kills)
    assert_same(live_run(tmp_path, QUIET), expected)


def flat_at(run: Outcome, seconds: int) -> int:
    """Return a moment within a session with nothing at work for some seconds before and after."""
    first, last = run.record.sessions[0], run.record.sessions[-1]
    busy = [(t.ts_signal, t.ts_exit) for t in run.record.trades if first < t.session_id < last]
    ids = {trade.trade_id for trade in run.record.trades}
    other = [r.ts for r in run.requests if r.what == "submit" and r.bracket_id not in ids]
    for _, end in busy:
        moment = end + seconds * SECOND
        near = 2 * seconds * SECOND
        if not any(a - near < moment < b + seconds * SECOND - 1 for a, b in busy) and not any(
            abs(moment - ts) < 30 * 60 * SECOND for ts in other
        ):
            return moment
    raise AssertionError("the market leaves no quiet moment")


@pytest.mark.slow
@pytest.mark.parametrize("step", [(), ("--by-minute",)], ids=["second", "minute"])
def test_a_disconnect_while_flat_and_the_market_stands_still_changes_nothing(
    tmp_path: Path, step: tuple[str, ...]
) -> None:
    market = Market(11, 3, 2_000)
    expected = backtest(market)
    moment = flat_at(expected, 60)
    after = (moment - market.opens) / SECOND
    # The answer that ends a step comes after its ticks: nothing of the tape is lost.
    faults = "\n".join(
        '[[fault]]\nname = "drop"\n'
        f'when = {{ message = 49, direction = "out", client = {client}, time = {after:.1f} }}'
        for client in (72, 71)
    )
    found = live_run(tmp_path, market, *step, faults=faults)
    ready = [which for which, state, _ in found.links if state is LinkState.READY]
    assert Counter(ready) == {"market": 2, "orders": 2}
    assert_same(found, expected)


def decide_by_model(folder: Path) -> None:
    """Let a model decide that takes some proposals of the market and refuses others."""
    registry = Registry(folder)
    life.live_through(registry, labelled(150, 0.8, seed=4), 100)
    name = registry.current().shadow
    registry.activate(Current(gate=name), "PROMOTED", 1)


def backtest_with(models: Path) -> Outcome:
    record = RunRecord()
    trader = Backtest(easy(), BUSY.tape, Inputs(models=models)).make_trader(record)
    noted = NotedBroker(trader)
    for block in BUSY.tape.blocks():
        trader.run(block)
    return Outcome(record, noted.requests, trader)


@pytest.mark.slow
def test_a_model_that_decides_takes_and_refuses_live_what_it_does_in_a_backtest(
    tmp_path: Path,
) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    decide_by_model(tmp_path / "state")
    models = tmp_path / "models_of_the_backtest"
    decide_by_model(models)
    expected = backtest_with(models)
    told = Counter(d.reason for d in expected.record.decisions)
    assert told[Reason.MODEL] >= 3, told
    assert len(expected.record.trades) >= 3
    assert len(expected.record.followed) >= 2
    found = live_run(tmp_path, BUSY, "--by-minute")
    assert_same(found, expected)
    assert [wire_order(order) for order in found.placed] == wire_orders(expected.requests)
    assert found.record.followed == expected.record.followed
    written = read_snapshots(tmp_path / "state" / "snapshots")
    record = expected.record
    assert written.paper.sum() == len(record.followed)
    known = of_objects(record.decisions, record.trades, record.followed)
    assert written.x.tobytes() == known.x.tobytes()

"""What a live session does about its surroundings: each fault stops entries, and says why."""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from order_broker import ACCOUNT, Desk
from run_samples import easy

from mia.core import sessions
from mia.core.base_types import TradingMode, TradingState
from mia.core.broker_types import LinkState, Notice
from mia.core.event_bus import ALL, EventBus
from mia.data import state_files
from mia.data.journal import Journal
from mia.data.live_ticks import TickGate
from mia.data.state_files import KillCommand
from mia.errors import BrokerError, DataError, RiskHalt
from mia.execution.assembly import fit_settings, market_state
from mia.execution.clocks import MarketClock, WallClock
from mia.execution.gate_facts import GateLimits
from mia.execution.ibkr_broker import IbkrBroker
from mia.execution.kill_commands import KillCommands, KillStore
from mia.execution.kill_switch import Rule
from mia.execution.last_gate import LastGate
from mia.execution.live.links import SessionOptions
from mia.execution.live.session import LiveSession
from mia.execution.live.world_facts import WorldFacts
from mia.execution.simple_trader import SimpleTrader

SECOND = 1_000_000_000
DAY = 20251118
NOON = sessions.session_open(DAY) + 18 * 3600 * SECOND


@dataclass
class Line:
    """A connection whose state the test sets."""

    state: LinkState = LinkState.READY
    is_live_data: bool = True
    asked: int = 0
    positions: dict[int, Any] = field(default_factory=dict)

    def request_server_time(self) -> bool:
        self.asked += 1
        return True


class World:
    """A session on the model of the broker, with real journal, ticks, cycle and commands."""

    def __init__(
        self, folder: Path, stack: ExitStack, *, clock: Any = None, **options: Any
    ) -> None:
        self.clock = clock or MarketClock(NOON)
        self.desk = Desk().ready()
        self.told: list[tuple[str, object]] = []
        bus = EventBus()
        bus.subscribe(ALL, lambda topic, event: self.told.append((topic, event)), "test")
        loaded = easy()
        plan = fit_settings(loaded, 0)
        self.facts = WorldFacts(ACCOUNT)
        gate = LastGate(GateLimits(2, 600.0), ACCOUNT, TradingMode.PAPER)
        broker = IbkrBroker(self.desk.manager, gate, self.facts)
        state = market_state(plan, DAY, DAY, 0, record=False)
        self.trader = SimpleTrader(state, broker, plan.limits, plan.groups, bus)
        self.journal = stack.enter_context(
            Journal.open(folder / "journal.db", clock=self.clock.now, reserve_bytes=1 << 16)
        )
        self.store = KillStore(self.journal)
        self.store.attach(self.trader.kill_switch)
        bus.subscribe("kill", lambda _, event: self.store.on_change(*event), "store")
        commands = KillCommands(folder, self.store)
        commands.start(NOON)
        ticks = TickGate(self.clock, self.trader.kill_switch.record_quality, "ESZ25", 120_000)
        self.session = LiveSession(
            self.trader,
            broker,
            ticks,
            commands,
            self.store,
            self.clock,
            bus,
            SessionOptions(**options),
        )
        self.facts.session = self.session
        self.orders, self.market = Line(), Line()
        self.session.attach(self.orders, self.market)
        self.session.on_link(LinkState.READY, "reconciled")
        self.tick(NOON)

    def tick(self, ts: int, price: int = 24_000) -> None:
        self.session.on_quote("ESZ25", ts, price - 1, price + 1, 5, 5)

    def follow(self) -> None:
        self.session.follow_up()

    @property
    def causes(self) -> set[Rule]:
        return set(self.trader.kill_switch.causes)

    def ready(self) -> "World":
        self.session.start()
        return self


@pytest.fixture
def world(tmp_path: Path):
    with ExitStack() as stack:
        yield lambda **options: World(tmp_path, stack, **options)


def test_all_well_stops_nothing(world) -> None:
    async def scene() -> World:
        return world(lockstep=True).ready()

    there = asyncio.run(scene())
    assert there.causes == set()
    assert there.facts(1).data_valid
    assert there.facts(1).exposure == 0


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (lambda w: w.desk.drop(), Rule.BROKER_LOST),
        (lambda w: w.session.on_link(LinkState.DISCONNECTED, "reset"), Rule.DATA_STALE),
        (lambda w: setattr(w.market, "is_live_data", False), Rule.DATA_STALE),
        (lambda w: setattr(w.session, "journal_fault", lambda: "disk full"), Rule.JOURNAL),
    ],
    ids=["broker lost", "data lost", "delayed data", "journal in memory"],
)
def test_a_fault_stops_entries_while_it_lasts(world, spoil, rule: Rule) -> None:
    async def scene() -> World:
        there = world(lockstep=True).ready()
        spoil(there)
        there.follow()
        return there

    there = asyncio.run(scene())
    assert rule in there.causes
    assert there.trader.kill_switch.state is TradingState.HALT_ENTRIES


def test_data_that_are_not_live_are_not_valid_at_the_gate(world) -> None:
    async def scene() -> World:
        there = world(lockstep=True).ready()
        there.market.is_live_data = False
        return there

    assert not asyncio.run(scene()).facts(1).data_valid


def test_before_the_start_nothing_may_be_opened(world) -> None:
    async def scene() -> str:
        return world(lockstep=True).facts(1).why_no_risk

    assert "not ready" in asyncio.run(scene())


def test_what_the_entries_of_one_side_could_become_is_known_at_the_gate(world) -> None:
    async def scene() -> tuple[int | None, int | None]:
        there = world(lockstep=True).ready()
        there.desk.submit(side=1, quantity=1)
        return there.facts(1).exposure, there.facts(-1).exposure

    assert asyncio.run(scene()) == (10, 0)


def test_a_gateway_whose_clock_differs_stops_entries_until_it_agrees(world) -> None:
    async def scene() -> list[bool]:
        clock = WallClock()
        there = world(clock=clock)
        found = []
        for skew in (10, 0, -3, 0, 3):
            there.session.on_orders_time(clock.now() // SECOND * SECOND - skew * SECOND)
            there.follow()
            found.append(Rule.CLOCK_SKEW in there.causes)
        return found

    assert asyncio.run(scene()) == [True, False, True, False, True]


def test_rejects_of_the_broker_count(world) -> None:
    async def scene() -> World:
        there = world(lockstep=True).ready()
        order = there.desk.bracket()
        there.desk.manager.submit(order)
        there.desk.broker.outbox.clear()
        for leg in "EST":
            ticket = there.desk.order(order.bracket_id, leg).ticket
            there.session.relay.on_notice(Notice(ticket.order_id, 201, "rejected"))
        assert Rule.REJECT_RATE not in there.causes
        order = there.desk.bracket(entry=24_010)
        there.desk.manager.submit(order)
        there.desk.broker.outbox.clear()
        ticket = there.desk.order(order.bracket_id, "E").ticket
        there.session.relay.on_notice(Notice(ticket.order_id, 201, "rejected"))
        return there

    there = asyncio.run(scene())
    assert Rule.REJECT_RATE in there.causes


def test_an_exception_in_the_cycle_is_an_emergency(world) -> None:
    async def scene() -> World:
        there = world(lockstep=True).ready()

        def broken(block: object) -> None:
            raise DataError("the calendar is torn")

        there.trader.run = broken
        there.session.on_trade("ESZ25", NOON + SECOND, 24_000, 1, 0)
        there.session.drain()
        with pytest.raises(RiskHalt, match="the calendar is torn"):
            await there.session.run()
        return there

    there = asyncio.run(scene())
    assert there.trader.kill_switch.state is TradingState.EMERGENCY
    stored = [e.payload for e in there.journal.events() if e.kind == state_files.KILL_STATE]
    assert any("EMERGENCY" in str(state) for state in stored)


def test_a_connection_that_is_closed_for_good_ends_the_run_and_is_no_emergency(world) -> None:
    async def scene() -> World:
        there = world(lockstep=True).ready()
        there.session.end(BrokerError("the port changed"))
        with pytest.raises(BrokerError, match="the port changed"):
            await there.session.run()
        return there

    there = asyncio.run(scene())
    assert there.trader.kill_switch.state is not TradingState.EMERGENCY


def test_a_command_in_a_file_is_obeyed_within_a_beat(world, tmp_path: Path) -> None:
    async def scene() -> World:
        there = world(lockstep=True).ready()
        state_files.write_command(
            tmp_path / state_files.KILL, KillCommand("halt", "from the test", NOON)
        )
        there.session.beat()
        return there

    there = asyncio.run(scene())
    assert Rule.COMMAND_HALT in there.causes
    assert ("command", KillCommand("halt", "from the test", NOON)) in there.told


def test_a_late_fill_of_a_bracket_that_was_done_is_booked_when_it_is_flat(world) -> None:
    async def scene() -> World:
        there = world(lockstep=True).ready()
        before = there.trader.risk.equity
        name = there.desk.submit()
        execution = there.desk.broker.fill(there.desk.order(name, "E"), 1, 24_000)
        while there.desk.broker.outbox:
            there.desk.hand_over(there.desk.broker.outbox.pop(0))
        there.follow()
        assert there.trader.risk.equity == before
        there.desk.broker.fill(there.desk.order(name, "T"), 1, 24_016)
        while there.desk.broker.outbox:
            there.desk.hand_over(there.desk.broker.outbox.pop(0))
        there.follow()
        there.won = there.trader.risk.equity - before
        assert execution.quantity == 1
        return there

    there = asyncio.run(scene())
    commission = there.desk.settings.commission["ES"]
    assert there.won == pytest.approx(16 * 12.5 - 2 * commission)
    assert Rule.ORDER_TROUBLE in there.causes


def test_a_session_that_is_stopped_before_it_started_leaves_what_it_was_doing(world) -> None:
    async def scene() -> tuple[bool, bool]:
        there = world(lockstep=True)
        cancelled = False

        async def long() -> None:
            nonlocal cancelled
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled = True
                raise

        asyncio.get_running_loop().call_later(0.01, there.session.stop)
        return await there.session.unless_stopped(long()), cancelled

    assert asyncio.run(scene()) == (False, True)


def test_what_the_work_before_the_start_raises_is_raised(world) -> None:
    async def fails() -> None:
        raise BrokerError("no such contract")

    async def scene() -> None:
        await world(lockstep=True).session.unless_stopped(fails())

    with pytest.raises(BrokerError, match="no such contract"):
        asyncio.run(scene())


def test_in_lockstep_time_is_asked_for_only_when_both_connections_have_answered(world) -> None:
    async def scene() -> list[tuple[int, int]]:
        there = world(lockstep=True).ready()
        asked = [(there.orders.asked, there.market.asked)]
        there.session.on_server_time(NOON + SECOND)
        asked.append((there.orders.asked, there.market.asked))
        there.session.on_orders_time(NOON + SECOND)
        asked.append((there.orders.asked, there.market.asked))
        return asked

    assert asyncio.run(scene()) == [(1, 1), (1, 1), (2, 2)]


def test_a_repair_that_fails_is_tried_again_and_not_at_once(world) -> None:
    async def scene() -> tuple[int, bool]:
        there = world(lockstep=True).ready()
        tries = 0

        async def torn(since: int) -> None:
            nonlocal tries
            tries += 1
            raise DataError("the store is torn")

        there.session.repair = torn
        there.session.on_link(LinkState.DISCONNECTED, "reset")
        there.session.on_link(LinkState.READY, "reconciled")
        await asyncio.sleep(0.3)
        soon = tries
        await asyncio.sleep(1.0)
        assert tries == 2
        return soon, there.session.is_mending

    assert asyncio.run(scene()) == (1, True)


def test_market_time_never_goes_back() -> None:
    clock = MarketClock(5)
    clock.hear(9)
    clock.hear(7)
    assert clock.now() == 9


def test_a_bad_tick_counts_only_if_it_is_of_what_is_traded(world) -> None:
    async def scene() -> World:
        here = world(lockstep=True).ready()
        for contract in ("ESH26", "ESZ25", "ESH26"):
            here.session.on_bad_tick(contract, "a size of zero")
        return here

    ticks = asyncio.run(scene()).session.ticks
    assert sum(ticks.refused.values()) == 1

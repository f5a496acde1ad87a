"""Parts of the frame, and what becomes of the trader when it cannot be shown."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from live_runs import Market
from run_samples import easy

from mia._fast import feature_score
from mia.core import frame_memory, sessions
from mia.core.base_types import OrderRole, OrderType, Phase, Regime, Strategy
from mia.core.base_types import SetupKind as Kind
from mia.core.broker_types import LinkState
from mia.core.frame import Battle, Book, Day, Feed, Frame, Held, Levels, Links, Model, Order
from mia.core.frame_memory import NAME, FrameReader
from mia.core.trading_types import BracketOrder, ClosedTrade
from mia.data.feed_switches import FeedSwitch, SwitchReason
from mia.execution.orders.states import Bracket, Execution, Leg, LegState
from mia.performance.recorder import RunRecord
from mia.trader.live import LiveTrader
from mia.trader.live_parts import LiveOptions
from mia.trader.screen.day_count import DayCount
from mia.trader.screen.frame_parts import contributions, held_beside, masked, orders_of
from mia.trader.screen.frame_source import MarketHours, _Book, _Head, _Tail
from mia.trader.screen.run_counts import RunCounts

MARKET = Market(4, 1, 5_000)
SECOND = 1_000_000_000


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveTrader]:
    """Return a trader that is whole and not connected, at 10:30 of a session."""
    with ExitStack() as stack:
        options = LiveOptions(
            "127.0.0.1",
            1,
            "DU1234567",
            tmp_path / "state",
            RunRecord(),
            lockstep=True,
            now=MARKET.opens,
        )
        trader = LiveTrader(easy(), options, stack)
        trader.session.is_ready = True
        until = MARKET.opens + round(16.5 * 3600) * SECOND
        for block in MARKET.tape.blocks():
            end = int(np.searchsorted(block.ts_event, until))
            part = type(block)(
                block.contract,
                *(
                    getattr(block, name)[:end]
                    for name in ("ts_event", "price", "size", "aggressor_side")
                ),
                block.bid_price[:end],
                block.ask_price[:end],
            )
            if end:
                trader.clock.hear(int(part.ts_event[-1]))  # type: ignore[union-attr]
                trader.trader.run(part)
                trader.session.status.on_trades(part)
        yield trader


def look(live: LiveTrader) -> Frame:
    with FrameReader(live.directory.path / NAME) as reader:
        return msgspec.json.decode(reader.read().payload, type=Frame)


def test_head_and_tail_have_the_fields_of_the_frame_between_them() -> None:
    names = [*_Head.__struct_fields__, *_Tail.__struct_fields__]
    assert sorted(names) == sorted(Frame.__struct_fields__)
    assert _Book.__struct_fields__ == Book.__struct_fields__


def test_what_is_shown_has_the_types_that_readers_are_promised(live: LiveTrader) -> None:
    live.screen.publish()
    with FrameReader(live.directory.path / NAME) as reader:
        payload = reader.read().payload
    shown = msgspec.json.decode(payload, type=Frame, strict=True)
    for name, kind in (
        *(("links", Links), ("feed", Feed), ("day", Day), ("book", Book)),
        *(("levels", Levels), ("battle", Battle), ("model", Model)),
    ):
        told = msgspec.json.decode(payload)[name]
        assert set(told) == set(kind.__struct_fields__), name
        assert isinstance(getattr(shown, name), kind)
    assert shown.battle.regime in Regime.__members__
    assert shown.battle.phase in Phase.__members__


def test_events_that_the_journal_only_holds_in_memory_are_shown(live: LiveTrader) -> None:
    live.screen.publish()
    assert look(live).counters["journal_waiting"] == live.journal.waiting == 0
    live.journal.append("cycle", {}, ts=1, with_next=True)
    assert live.journal.waiting == 1
    live.screen.source.refresh()
    live.screen.publish()
    assert look(live).counters["journal_waiting"] == 1


def test_a_frame_that_cannot_be_made_is_counted_and_ends_nothing(
    live: LiveTrader, caplog: pytest.LogCaptureFixture
) -> None:
    live.screen.publish()
    before = look(live)
    ticks = live.session.ticks
    live.session.ticks = None  # type: ignore[assignment]
    for _ in range(5):
        live.screen.publish()
    assert len(caplog.records) == 1
    assert "a frame could not be made" in caplog.text
    assert look(live).seq == before.seq
    with FrameReader(live.directory.path / NAME) as reader:
        age = reader.read().age_s
        live.screen.publish()
        assert reader.read().age_s <= age + 1  # the heart beats although the picture stands still
    live.session.ticks = ticks
    live.screen.source.refresh()
    live.screen.publish()
    after = look(live)
    assert after.seq > before.seq
    assert after.counters["frames_dropped"] == 6


def test_a_part_that_cannot_be_made_is_tried_again_and_nothing_old_passes_for_new(
    live: LiveTrader, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.screen.publish()
    before = look(live)

    def broken(*_: object) -> None:
        raise RuntimeError("no stages")

    with monkeypatch.context() as patch:
        patch.setattr("mia.trader.screen.frame_source.orders_of", broken)
        live.screen.source.refresh()
        for _ in range(5):
            live.screen.publish()
        assert look(live).seq == before.seq
    live.screen.publish()
    assert look(live).seq > before.seq


def test_a_frame_that_is_too_large_is_counted(
    live: LiveTrader, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.screen.publish()
    before = look(live)
    with monkeypatch.context() as patch:
        patch.setattr(frame_memory, "CAPACITY", 100)
        live.screen.publish()
    assert look(live).seq == before.seq
    live.screen.source.refresh()
    live.screen.publish()
    assert look(live).counters["frames_dropped"] == 1


def test_a_trader_without_a_place_to_show_itself_trades_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "state"
    (state / NAME).mkdir(parents=True)
    state.chmod(0o700)
    with ExitStack() as stack:
        options = LiveOptions(
            "127.0.0.1", 1, "DU1234567", state, RunRecord(), lockstep=True, now=MARKET.opens
        )
        live = LiveTrader(easy(), options, stack)
        assert "nothing is shown" in caplog.text
        live.screen.publish()
        for block in MARKET.tape.blocks():
            live.trader.run(block)
    assert sum(live.trader.state.reasons) > 100


def test_the_publisher_shows_ten_frames_a_second_and_no_more(live: LiveTrader) -> None:
    async def main() -> float:
        began = time.monotonic()
        task = asyncio.create_task(live.screen.run())
        while (
            look(live).seq < 6
            if (live.directory.path / NAME).stat().st_size and _has(live)
            else True
        ):
            await asyncio.sleep(0.01)
        task.cancel()
        return time.monotonic() - began

    assert asyncio.run(main()) >= 0.45


def _has(live: LiveTrader) -> bool:
    with FrameReader(live.directory.path / NAME) as reader:
        return bool(reader.read().payload)


def test_a_hung_loop_lets_the_heartbeat_grow_old(live: LiveTrader) -> None:
    ages: list[float] = []

    async def main() -> None:
        task = asyncio.create_task(live.screen.run())
        await asyncio.sleep(0.25)
        time.sleep(0.5)
        with FrameReader(live.directory.path / NAME) as reader:
            ages.append(reader.read().age_s)
        task.cancel()

    asyncio.run(main())
    assert ages[0] >= 0.45


def test_uptime_counts_open_hours_and_in_them_the_ready_ones(
    live: LiveTrader, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, clock = live.screen.source, live.clock
    now = {"at": 1000.0}
    monkeypatch.setattr(
        "mia.trader.screen.frame_source.time",
        SimpleNamespace(monotonic=lambda: now["at"], time_ns=time.time_ns),
    )
    source._at = now["at"]

    def pass_time(seconds: float) -> Frame:
        now["at"] += seconds
        live.screen.publish()
        return look(live)

    first = pass_time(2.0)
    assert first.ready_s == 0.0
    second = pass_time(2.0)
    assert second.session_s - first.session_s == pytest.approx(2.0)
    assert second.ready_s == 0.0  # the links are down
    source._head.ready = True
    assert pass_time(0.5).ready_s == pytest.approx(0.5)
    clock.hear(int(sessions.session_table(MARKET.start, MARKET.start)["t_halt"][0]) + SECOND)  # type: ignore[union-attr]
    closed = pass_time(1.0)
    assert pass_time(3600.0).session_s == closed.session_s


def test_the_market_is_open_by_the_calendar_only() -> None:
    hours = MarketHours()
    day = sessions.session_table(20260209, 20260209)[0]
    assert hours.is_open(int(day["t_rth_open"]))
    assert not hours.is_open(int(day["t_halt"]) + SECOND)
    saturday = sessions.session_table(20260207, 20260207)[0]
    assert not hours.is_open(int(saturday["t_rth_open"]))
    assert hours.is_open(int(day["t_rth_open"]))


@pytest.mark.parametrize(
    ("account", "shown"),
    [
        ("DU1234567", "DU****567"),
        ("U7654321", "U****321"),
        ("U12", "U****"),
        ("", "****"),
        ("DU12345", "DU****345"),
    ],
)
def test_an_account_keeps_its_letters_and_its_last_digits(account: str, shown: str) -> None:
    assert masked(account) == shown


def test_what_a_feature_adds_is_what_the_score_would_lose_without_it() -> None:
    features = [0.5, -0.4, 0.3, 0.2, 0.1, 0.6, -0.7, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    features += [0.5, 0.25, 0.5, 1.0]
    valid = [True] * 18
    valid[5] = False
    shares = contributions(features, valid)
    # Without a dealer's influence the score is a sum times (0.7 + 0.3 F17) (0.6 + 0.4 F18).
    factor = (0.7 + 0.3 * 0.5) * (0.6 + 0.4 * 1.0)
    assert shares[0] == pytest.approx(0.10 * 0.5 * factor)
    assert shares[1] == pytest.approx(0.06 * -0.4 * factor)
    assert shares[7] == pytest.approx(0.09 * 0.8 * factor)
    assert shares[14] == pytest.approx(0.12 * 0.5 * factor)
    assert shares[5] is None
    assert shares[16] == pytest.approx(0.0)  # at its neutral value
    assert shares[17] == pytest.approx(0.0)
    features[17] = 0.4
    weaker = contributions(features, valid)[17]
    whole = feature_score.score(np.array(features))
    assert weaker is not None
    assert weaker == pytest.approx(whole - whole / (0.6 + 0.4 * 0.4))


def _bracket() -> Bracket:
    name = "TRADE_20260209_150000_1a2b3c4d"
    order = BracketOrder(name, "MES", "MESH26", 1, 2, OrderType.LIMIT, 16_000, 15_990, 16_020, 1)
    bracket = Bracket(order, 7)
    for letter, role, side, price, kind in (
        ("E", OrderRole.ENTRY, 1, 16_000, OrderType.LIMIT),
        ("S", OrderRole.STOP, -1, 15_992, OrderType.STOP),
        ("T", OrderRole.TARGET, -1, 16_020, OrderType.LIMIT),
    ):
        ref = f"{name}:{letter}"
        bracket.legs[ref] = Leg(ref, name, role, side, 2, kind, price, True, [11])
    entry = bracket.entry
    entry.state = LegState.FILLED
    entry.executions = {"a": Execution(0, 1, 16_000, 50), "b": Execution(0, 1, 15_999, 60)}
    for leg in bracket.exits:
        leg.state = LegState.WORKING
        leg.perms = {990: "SUBMITTED"}
    return bracket


def test_a_position_that_the_cycle_does_not_manage_is_shown_all_the_same() -> None:
    held = held_beside(_bracket(), 16_004, 1.25)
    assert (held.quantity, held.entry) == (2, 15_999.5)
    assert (held.stop, held.target, held.protected) == (15_992, 16_020, True)
    assert held.open_pnl == pytest.approx(2 * 4.5 * 1.25)
    assert held.opened_at == 50


def test_without_a_working_stop_it_is_shown_as_unprotected() -> None:
    bracket = _bracket()
    bracket.of(OrderRole.STOP)[0].state = LegState.UNKNOWN
    assert not held_beside(bracket, 16_004, 1.25).protected


def test_only_orders_that_may_fill_are_shown() -> None:
    shown = orders_of([_bracket()])
    assert [(o.role, o.price, o.status, o.venue_order_id) for o in shown] == [
        ("STOP", 15_992, "WORKING", 990),
        ("TARGET", 16_020, "WORKING", 990),
    ]
    assert isinstance(shown[0], Order)


def test_an_unmanaged_position_is_in_the_frame(live: LiveTrader) -> None:
    bracket = _bracket()
    ledger = live.session.manager.ledger
    ledger.brackets[bracket.order.bracket_id] = bracket
    ledger._live[bracket.order.bracket_id] = bracket
    ledger.revision += 1
    live.session.manager.last_price = 16_004
    live.screen.publish()
    shown = look(live).held
    assert isinstance(shown, Held)
    assert (shown.quantity, shown.symbol, shown.open_pnl) == (2, "MES", pytest.approx(11.25))
    live.session.manager.last_price = 16_000
    live.screen.publish()
    moved = look(live).held
    assert moved is not None
    assert moved.open_pnl == pytest.approx(1.25)


def _trade(session_id: int, net: float) -> ClosedTrade:
    values: dict[str, Any] = dict.fromkeys(ClosedTrade.__dataclass_fields__, 0)
    values |= {"session_id": session_id, "net_pnl": net, "strategy": Strategy.TREND}
    values |= {"kind": Kind.T1, "extra": {}}
    return ClosedTrade(**values)


def test_trades_of_an_earlier_run_of_the_day_count_too() -> None:
    def cycle(after: str, session_id: int, equity: float) -> tuple[str, dict[str, Any]]:
        return "cycle", {"after": after, "risk": {"session_id": session_id, "equity": equity}}

    past = [
        cycle("closed", 20260206, 50_000.0),
        cycle("sent", 20260209, 50_000.0),
        ("order.bracket", {}),
        cycle("closed", 20260209, 50_100.0),
        cycle("managed", 20260209, 50_100.0),
        cycle("closed", 20260209, 50_040.0),
    ]
    count = DayCount(past)
    assert count.of(20260209) == (2, 1)
    count.take(_trade(20260209, 12.5))
    assert count.of(20260209) == (3, 2)
    assert count.of(20260210) == (0, 0)
    count.take(_trade(20260210, -1.0))
    assert count.of(20260210) == (1, 0)


def test_a_connection_that_is_lost_is_counted_once() -> None:
    counts = RunCounts()
    for name, state in (
        ("market", LinkState.DEGRADED),
        ("market", LinkState.DISCONNECTED),
        ("market", LinkState.READY),
        ("orders", LinkState.READY),
        ("orders", LinkState.DISCONNECTED),
    ):
        counts.publish("link", (name, state, ""))
    assert counts.reconnects == 2


def test_the_feed_that_is_followed_is_named_until_another_contract_begins(
    live: LiveTrader,
) -> None:
    live.screen.publish()
    assert look(live).feed.name == live.settings.feed
    switch = FeedSwitch(1, SwitchReason.LINK, live.settings.feed, "iqfeed", 2, True, "")
    live.bus.publish("feed_switch", switch)
    live.screen.publish()
    assert look(live).feed.name == "iqfeed"
    live.session.ticks.contract = "ESM25"
    live.screen.source.refresh()
    live.screen.publish()
    assert look(live).feed.name == live.settings.feed


def test_the_model_in_use_is_shown_as_it_changes(live: LiveTrader) -> None:
    live.screen.publish()
    assert look(live).model == Model("COLLECT")
    live.screen.source.tell_model = lambda: Model("GATE", "abc123")
    live.screen.source.refresh()
    live.screen.publish()
    assert look(live).model == Model("GATE", "abc123")


def test_the_frame_costs_no_file_descriptors(live: LiveTrader) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        live.screen.publish()
    assert len(os.listdir("/proc/self/fd")) == before

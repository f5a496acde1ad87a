"""Every fault, by what a client sees of it."""

import asyncio
import math
from itertools import pairwise
from pathlib import Path

import pytest
from wire_client import stage

from mia.gateway.fault_kinds import KINDS

SHORT = 0.3
"""Seconds in which nothing may come where nothing should."""


def play(act, *faults, **options):
    """Run a scene against a gateway with faults."""

    async def scene():
        async with stage(*faults, **options) as here:
            await act(here)

    asyncio.run(scene())


def at(name, when=None, **parameters):
    return {"name": name, "when": when or {}, **parameters}


async def works(trader, order_id):
    """Whether the gateway has an order among those that work."""
    start = len(trader.frames)
    trader.client.reqAllOpenOrders()
    await trader.message(53, start=start)
    return any(f[0] == "5" and f[1] == str(order_id) for f in trader.frames[start:])


async def open_references(trader):
    start = len(trader.frames)
    trader.client.reqAllOpenOrders()
    await trader.message(53, start=start)
    return sorted(f[23] for f in trader.frames[start:] if f[0] == "5")


async def ready(here, client_id=1):
    """Connect a trader that hears of trades, and let one second of them pass."""
    trader = await here.trader(client_id)
    await trader.listen()
    await trader.step_until(lambda: trader.of(99))
    return trader


async def far_order(trader):
    """Place an order that will not fill."""
    return trader.place("BUY", "LMT", 1, trader.last - 50.0, "far:E")


def test_every_fault_is_tested_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in KINDS if f'"{name}"' not in text] == []


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_connection_dies_at_any_order_of_a_bracket(count, after, reset) -> None:
    async def act(here):
        trader = await ready(here)
        trader.bracket()
        await asyncio.wait_for(trader.ended.wait(), 5)
        again = await here.trader(1)
        complete = count == 3 and after
        assert await open_references(again) == (["a:E", "a:S", "a:T"] if complete else [])

    play(act, at("drop", {"message": 3, "count": count}, after=after, reset=reset))


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("message", [5, 3])
def test_a_connection_dies_around_an_acknowledgement(message, after) -> None:
    async def act(here):
        trader = await ready(here)
        order = await far_order(trader)
        await asyncio.wait_for(trader.ended.wait(), 5)
        assert bool(trader.of(message)) == after
        assert await works(await here.trader(1), order)

    play(act, at("drop", {"message": message, "direction": "out"}, after=after, reset=True))


def test_an_order_may_arrive_and_its_answers_never() -> None:
    async def act(here):
        trader = await ready(here)
        order = await far_order(trader)
        await asyncio.wait_for(trader.ended.wait(), 5)
        assert trader.of(5) == []
        assert await works(await here.trader(1), order)

    play(act, at("drop", {"message": 3}, after=True, answers=False))


def test_a_frozen_gateway_says_nothing_and_acts_when_it_thaws() -> None:
    async def act(here):
        trader = await ready(here)
        here.fault("freeze")
        order = await far_order(trader)
        await asyncio.sleep(SHORT)
        assert trader.of(5) == []
        assert not trader.ended.is_set()
        here.fault("thaw")
        await trader.message(5, lambda fields: fields[1] == str(order))

    play(act)


def test_an_order_sent_into_a_freeze_is_delivered_after_its_sender_has_gone() -> None:
    async def act(here):
        trader = await ready(here)
        order = await far_order(trader)
        await asyncio.sleep(0.1)
        trader.close()
        second = here.client()
        with pytest.raises(TimeoutError):
            await second.connect(here.gateway.port, 2, timeout=SHORT)
        await asyncio.sleep(0.8)
        assert trader.of(5) == []
        assert await works(await here.trader(3), order)

    play(act, at("freeze", {"message": 3}, seconds=0.8))


def test_a_restart_resets_refuses_and_gives_smaller_order_ids() -> None:
    async def act(here):
        trader = await ready(here)
        for _ in range(5):
            await far_order(trader)
        await trader.barrier()
        before = trader.next_order_id
        here.fault("restart", seconds=SHORT, ids_back=3)
        await asyncio.wait_for(trader.ended.wait(), 5)
        with pytest.raises(ConnectionRefusedError):
            await here.client().connect(here.gateway.port)
        await asyncio.sleep(2 * SHORT)
        again = await here.client().connect(here.gateway.port)
        assert int(again.of(9)[0][2]) == before - 3

    play(act)


def test_the_link_to_the_broker_goes_and_comes_back_with_all_that_waited() -> None:
    async def act(here):
        trader = await ready(here)
        here.fault("link_lost", repeat=3)
        order = await far_order(trader)
        await trader.barrier()
        assert trader.codes(-1).count(1100) == 3
        assert trader.of(5) == []
        here.fault("link_restored")
        await trader.message(5, lambda fields: fields[1] == str(order))
        assert 1102 in trader.codes(-1)
        seen = len(trader.of(99))
        await trader.step(20)
        assert len(trader.of(99)) > seen

    play(act)


def test_data_are_lost_when_the_link_comes_back_without_them() -> None:
    async def act(here):
        trader = await ready(here)
        here.fault("link_lost", seconds=0.1, data_kept=False)
        await trader.message(4, lambda fields: fields[3] == "1101")
        seen = len(trader.of(99))
        await trader.step(20)
        assert len(trader.of(99)) == seen
        await trader.listen()
        await trader.step(20)
        assert len(trader.of(99)) > seen

    play(act)


@pytest.mark.parametrize("drop", [False, True])
def test_the_nightly_reset_takes_links_and_farms_away_for_a_while(drop) -> None:
    async def act(here):
        trader = await ready(here)
        here.fault("nightly_reset", seconds=SHORT, drop=drop)
        await trader.message(4, lambda fields: fields[3] == "2105")
        assert trader.codes(-1)[-3:] == [1100, 2103, 2105]
        if drop:
            await asyncio.wait_for(trader.ended.wait(), 5)
        else:
            await trader.message(
                4,
                lambda fields: (
                    fields[3:5] == ["2106", "x"]
                    or (fields[3] == "2106" and trader.codes(-1).count(2106) == 2)
                ),
            )
            assert trader.codes(-1)[-3:] == [1101, 2104, 2106]

    play(act)


@pytest.mark.parametrize(("kind", "codes"), [("market", (2103, 2104)), ("history", (2105, 2106))])
def test_a_farm_flaps(kind, codes) -> None:
    async def act(here):
        trader = await ready(here)
        here.fault("farm_lost", kind=kind)
        await trader.message(4, lambda fields: fields[3] == str(codes[0]))
        seen = len(trader.of(99))
        await trader.step(20)
        assert (len(trader.of(99)) == seen) == (kind == "market")
        here.fault("farm_restored", kind=kind)
        await trader.step(20)
        assert trader.codes(-1)[-1] == codes[1]
        assert len(trader.of(99)) > seen

    play(act)


def test_notices_that_change_nothing_are_only_notices() -> None:
    async def act(here):
        trader = await ready(here)
        request = trader.of(99)[0][1]
        here.fault("server_lost")
        here.fault("no_live_updates")
        here.fault("notice", code=2137, text="hello", request=7)
        await trader.barrier()
        assert trader.of(4)[-3][2:4] == ["-1", "2110"]
        assert trader.of(4)[-2][2:4] == [request, "10182"]
        assert trader.of(4)[-1][2:5] == ["7", "2137", "hello"]

    play(act)


def test_the_port_changes() -> None:
    async def act(here):
        trader = await ready(here)
        async with stage() as other:
            free = other.gateway.port
        here.fault("port_change", port=free)
        await asyncio.wait_for(trader.ended.wait(), 5)
        assert str(free) in trader.of(4)[-1][4]
        assert trader.codes(-1)[-1] == 1300
        await asyncio.sleep(0.1)
        await here.client().connect(free)

    play(act)


def test_a_competing_session_takes_the_data() -> None:
    async def act(here):
        trader = await ready(here)
        request = trader.of(99)[0][1]
        here.fault("competing_session", seconds=SHORT)
        await trader.barrier()
        assert trader.codes(request) == [10197]
        seen = len(trader.of(99))
        await trader.step(5)
        assert len(trader.of(99)) == seen
        await asyncio.sleep(2 * SHORT)
        await trader.step(20)
        assert len(trader.of(99)) > seen

    play(act)


def test_the_depth_is_reset() -> None:
    async def act(here):
        trader = await ready(here)
        request = trader.request_id()
        trader.client.reqMktDepth(request, trader.contract, 5, False, [])
        await trader.barrier()
        here.fault("depth_reset")
        await trader.barrier()
        assert trader.codes(request) == [317]

    play(act)


def test_a_client_id_is_taken_by_a_ghost_and_free_later() -> None:
    async def act(here):
        for _ in range(2):
            client = here.client()
            with pytest.raises((TimeoutError, ConnectionError)):
                await client.connect(here.gateway.port, 1, timeout=SHORT)
            assert client.codes(-1) == [326]
        await here.client().connect(here.gateway.port, 1)

    play(act, at("client_id_taken", {"times": 2}))


def test_a_client_waits_in_vain_for_the_start() -> None:
    async def act(here):
        client = here.client()
        with pytest.raises(TimeoutError):
            await client.connect(here.gateway.port, 1, timeout=SHORT)
        assert client.frames == []

    play(act, at("silent_start"))


def test_a_slow_gateway_answers_late_and_in_order() -> None:
    async def act(here):
        trader = await ready(here)
        here.fault("slow", seconds=SHORT)
        loop = asyncio.get_running_loop()
        await trader.barrier()
        began = loop.time()
        orders = [await far_order(trader) for _ in range(3)]
        await trader.barrier()
        assert loop.time() - began >= SHORT
        assert [int(fields[1]) for fields in trader.of(5)][-3:] == orders

    play(act)


def test_a_heartbeat_is_ignored() -> None:
    async def act(here):
        trader = await here.trader()
        trader.client.reqCurrentTime()
        await trader.barrier()
        assert trader.of(49) == []
        await trader.step()

    play(act, at("ignored", {"message": 49}))


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("status", ["Inactive", "Cancelled", ""])
@pytest.mark.parametrize("code", [201, 321, 110])
def test_an_order_is_rejected(code, status, first) -> None:
    async def act(here):
        trader = await ready(here)
        start = len(trader.frames)
        order = await far_order(trader)
        await trader.barrier()
        said = [f[0] for f in trader.frames[start:-1]]
        assert said == {("", False): ["4"], ("", True): ["4"]}.get(
            (status, first), ["3", "4"] if first else ["4", "3"]
        )
        assert trader.codes(order) == [code]
        assert trader.statuses(order) == ([status] if status else [])
        assert not await works(trader, order)

    play(act, at("reject", {"message": 3}, code=code, status=status, status_first=first))


def test_a_rejected_change_leaves_the_old_order_alive() -> None:
    async def act(here):
        trader = await ready(here)
        order = await far_order(trader)
        await trader.barrier()
        told = len(trader.statuses(order))
        trader.place("BUY", "LMT", 1, trader.last - 40.0, "far:E", order_id=order)
        await trader.barrier()
        assert trader.codes(order) == [110]
        assert len(trader.statuses(order)) == told
        assert await works(trader, order)

    play(act, at("reject", {"count": 2}, code=110))


def test_a_child_is_rejected_and_its_parent_fills_naked() -> None:
    async def act(here):
        trader = await ready(here)
        entry, stop, target = trader.bracket()
        await trader.fills(entry)
        await trader.barrier()
        assert trader.codes(stop) == [201]
        assert await open_references(trader) == ["a:T"]
        assert trader.statuses(target)[-1] == "Submitted"

    play(act, at("child_reject"))


def test_a_read_only_gateway_refuses_all_that_trades() -> None:
    async def act(here):
        trader = await ready(here)
        order = await far_order(trader)
        trader.client.cancelOrder(order)
        await trader.barrier()
        assert trader.codes(order) == [321, 321]
        assert not await works(trader, order)

    play(act, at("read_only"))


def test_a_dialog_holds_an_order_in_silence() -> None:
    async def act(here):
        trader = await ready(here)
        order = await far_order(trader)
        await trader.barrier()
        assert trader.of(5) == []
        assert trader.codes(order) == []
        await trader.message(5, lambda fields: fields[1] == str(order))

    play(act, at("held_behind_dialog", seconds=SHORT))


def test_a_change_may_leave_two_orders_under_one_id() -> None:
    async def act(here):
        trader = await ready(here)
        order = await far_order(trader)
        await trader.barrier()
        trader.place("BUY", "LMT", 1, trader.last - 40.0, "far:E", order_id=order)
        await trader.barrier()
        seen = {(f[1], f[25]) for f in trader.of(5)}
        assert {pair[0] for pair in seen} == {str(order)}
        assert len(seen) == 2
        assert await open_references(trader) == ["far:E", "far:E"]

    play(act, at("forked_modify"))


@pytest.mark.parametrize("code", [10147, 10148, 161])
def test_a_cancellation_is_refused_and_the_order_fills(code) -> None:
    async def act(here):
        trader = await ready(here)
        order = trader.place("BUY", "LMT", 1, trader.last + 10.0)
        trader.client.cancelOrder(order)
        await trader.barrier()
        assert trader.codes(order) == [code]
        await trader.fills(order)

    play(act, at("cancel_answer", code=code))


@pytest.mark.parametrize("code", [10349, 161, 104, 105, 10147, 10148, 321, 110, 103])
def test_a_code_that_libraries_take_for_the_end_comes_on_an_order_that_fills(code) -> None:
    async def act(here):
        trader = await ready(here)
        order = trader.place("BUY", "LMT", 1, trader.last + 10.0)
        await trader.barrier()
        assert trader.codes(order) == [code]
        await trader.fills(order)
        assert trader.statuses(order)[-1] == "Filled"

    play(act, at("false_cancel", code=code))


@pytest.mark.parametrize("code", [399, 404, 2109, 2137, 2161])
def test_a_warning_comes_on_an_order_that_works(code) -> None:
    async def act(here):
        trader = await ready(here)
        order = await far_order(trader)
        await trader.barrier()
        assert trader.codes(order) == [code]
        assert await works(trader, order)

    play(act, at("warning", code=code))


def test_a_status_comes_for_an_order_that_nobody_knows() -> None:
    async def act(here):
        trader = await ready(here)
        await far_order(trader)
        await trader.barrier()
        assert trader.statuses(987654)

    play(act, at("foreign_status"))


def test_an_order_works_without_an_acknowledgement() -> None:
    async def act(here):
        trader = await ready(here)
        order = trader.place("BUY", "LMT", 1, trader.last + 10.0)
        await trader.barrier()
        assert trader.of(5) == []
        assert trader.of(3) == []
        await trader.fills(order)
        await trader.barrier()
        assert trader.statuses(order) == ["Filled"]

    play(act, at("missing_acknowledgement", {"order_ref": "a:*"}))


def test_statuses_come_twice() -> None:
    async def act(here):
        trader = await ready(here)
        order = await far_order(trader)
        await trader.barrier()
        first, second = trader.of(3)[:2]
        assert first == second
        assert first[1] == str(order)

    play(act, at("duplicated_status"))


def test_an_order_by_hand_is_seen_by_all_and_belongs_to_none() -> None:
    async def act(here):
        trader = await ready(here)
        here.fault("manual_order", side="SELL", kind="LMT", price=trader.last + 50.0)
        trader.client.reqAllOpenOrders()
        found = await trader.message(5)
        assert found[1] == "0"
        assert found[24] == "0"
        assert found[13] == "SELL"

    play(act)


def test_a_position_appears_that_no_order_explains() -> None:
    async def act(here):
        trader = await ready(here)
        trader.client.reqPositions()
        await trader.message(62)
        here.fault("foreign_position", quantity=-3)
        told = await trader.message(61, lambda fields: float(fields[14]) == -3)
        assert told[4] == "ES"

    play(act)


async def one_fill(here, kind="MKT"):
    """Buy one contract; return the trader and the order."""
    trader = await ready(here)
    order = trader.place("BUY", kind)
    await trader.fills(order)
    await trader.step()
    await trader.barrier()
    return trader, order


def test_an_execution_comes_twice() -> None:
    async def act(here):
        trader, order = await one_fill(here)
        first, second = trader.executions_of(order)
        assert first == second
        assert await trader.ask_positions() == [(first[12], 1.0)]

    play(act, at("duplicated_execution"))


@pytest.mark.parametrize("seconds", [0.0, SHORT])
def test_an_execution_comes_after_what_it_explains(seconds) -> None:
    async def act(here):
        trader = await ready(here)
        order = trader.place()
        await trader.step_until(lambda: "Filled" in trader.statuses(order))
        if seconds:
            assert trader.executions_of(order) == []
        await trader.message(11)
        kinds = [f[0] for f in trader.frames if f[0] in ("3", "11")]
        assert kinds[-1] == "11"

    messages = 0 if seconds else 3
    play(act, at("late_execution", seconds=seconds, messages=messages))


def test_executions_come_in_the_wrong_order() -> None:
    async def act(here):
        trader = await ready(here)
        first, second = trader.place("BUY", ref="a:E"), trader.place("SELL", ref="b:E")
        await trader.fills(first, second)
        assert [f[2] for f in trader.of(11)] == [str(second), str(first)]

    play(act, at("swapped_executions"))


def test_an_execution_is_corrected() -> None:
    async def act(here):
        trader, order = await one_fill(here)
        await trader.until(lambda: len(trader.executions_of(order)) == 2)
        old, new = trader.executions_of(order)
        assert new[14].rpartition(".")[0] == old[14].rpartition(".")[0]
        assert int(new[14].rpartition(".")[2]) == int(old[14].rpartition(".")[2]) + 1
        assert float(new[20]) == float(old[20]) + 0.5
        assert [f[14] for f in await trader.ask_executions()] == [new[14]]

    play(act, at("corrected_execution", price_change=0.5))


def test_an_execution_is_busted() -> None:
    async def act(here):
        trader, order = await one_fill(here)
        assert trader.statuses(order)[-1] == "Filled"
        assert len(trader.executions_of(order)) == 1
        assert await trader.ask_executions() == []
        assert await trader.ask_positions() == []

    play(act, at("busted_execution"))


def test_a_fill_is_told_before_the_order_is_acknowledged() -> None:
    async def act(here):
        trader, order = await one_fill(here)
        kinds = [f[0] for f in trader.frames if f[0] in ("3", "5", "11")]
        assert kinds[0] == "11"
        assert "3" in kinds
        assert trader.statuses(order)[-1] == "Filled"

    play(act, at("fill_before_status"))


def test_a_status_says_filled_before_there_is_an_execution() -> None:
    async def act(here):
        trader, _ = await one_fill(here)
        order_of_events = [
            f[0]
            for f in trader.frames
            if f[0] in ("11", "59") or (f[0] == "3" and f[2] == "Filled")
        ]
        assert order_of_events[0] == "3"
        assert order_of_events.index("11") < order_of_events.index("59")

    play(act, at("status_before_execution"))


def test_an_execution_is_never_told_and_found_when_asked_for() -> None:
    async def act(here):
        trader = await ready(here)
        order = trader.place()
        await trader.step_until(lambda: "Filled" in trader.statuses(order))
        await trader.barrier()
        assert trader.of(11) == []
        assert trader.of(59) == []
        assert len(await trader.ask_executions()) == 1
        await trader.barrier()
        assert len(trader.of(59)) == 1

    play(act, at("status_without_execution"))


def test_no_status_tells_that_an_order_is_filled() -> None:
    async def act(here):
        trader, order = await one_fill(here)
        assert len(trader.executions_of(order)) == 1
        assert "Filled" not in trader.statuses(order)

    play(act, at("execution_without_status"))


def test_a_commission_comes_late() -> None:
    async def act(here):
        trader = await ready(here)
        order = trader.place()
        await trader.fills(order)
        await trader.barrier()
        assert trader.of(59) == []
        report = await trader.message(59)
        assert report[2] == trader.of(11)[0][14]

    play(act, at("late_commission", seconds=SHORT))


def test_a_commission_never_comes_or_comes_twice() -> None:
    async def never(here):
        trader, _ = await one_fill(here)
        assert trader.of(59) == []

    async def twice(here):
        trader, _ = await one_fill(here)
        first, second = trader.of(59)
        assert first == second

    play(never, at("missing_commission"))
    play(twice, at("duplicated_commission"))


def test_a_fill_is_told_in_two_parts() -> None:
    async def act(here):
        trader = await ready(here)
        order = trader.place("BUY", "MKT", 4)
        await trader.step_until(lambda: "Filled" in trader.statuses(order))
        parts = trader.executions_of(order)
        assert len(parts) >= 2
        assert sum(float(f[19]) for f in parts) == 4
        assert len({f[14] for f in parts}) == len(parts)
        assert [float(f[23]) for f in parts] == sorted(float(f[23]) for f in parts)
        assert [f[14] for f in await trader.ask_executions()] == [f[14] for f in parts]

    play(act, at("split_execution"))


@pytest.mark.parametrize("zone", ["Central European Standard Time", "JST", ""])
def test_an_execution_has_a_time_in_a_zone_that_libraries_do_not_know(zone) -> None:
    async def act(here):
        trader, _ = await one_fill(here)
        told = trader.of(11)[0][15]
        if zone:
            assert told.endswith(f" {zone}")
        else:
            assert len(told) == 17
            assert told[8] == "-"

    play(act, at("execution_zone", zone=zone))


def test_the_time_on_connecting_has_another_zone() -> None:
    async def act(here):
        reader, writer = await asyncio.open_connection("127.0.0.1", here.gateway.port)
        writer.write(b"API\0\0\0\0\x09v157..176")
        data = await reader.readuntil(b"Time\0")
        assert data.endswith(b" Central European Standard Time\0")
        writer.close()

    play(act, at("handshake_zone"))


ENDS = {
    52: lambda t: t.client.reqContractDetails(1, t.contract),
    53: lambda t: t.client.reqOpenOrders(),
    54: lambda t: t.client.reqAccountUpdates(True, t.account),
    55: lambda t: t.client.reqExecutions(1, _filter()),
    62: lambda t: t.client.reqPositions(),
    64: lambda t: t.client.reqAccountSummary(1, "All", "NetLiquidation"),
    74: lambda t: t.client.reqAccountUpdatesMulti(1, t.account, "", False),
    102: lambda t: t.client.reqCompletedOrders(False),
}


def _filter():
    from ib_insync.objects import ExecutionFilter

    return ExecutionFilter()


@pytest.mark.parametrize("message", list(ENDS))
def test_the_mark_that_ends_an_answer_is_missing(message) -> None:
    async def act(here):
        trader = await here.trader()
        before = len(trader.of(message))
        here.fault("missing_end", {"message": message})
        ENDS[message](trader)
        await trader.barrier()
        assert len(trader.of(message)) == before
        ENDS[message](trader)
        await trader.barrier()
        assert len(trader.of(message)) == before + 1

    play(act)


def test_a_message_is_swallowed_for_one_client_only() -> None:
    async def act(here):
        one, two = await here.trader(1), await here.trader(2)
        for trader in (one, two):
            trader.client.reqManagedAccts()
            await trader.barrier()
        assert (len(one.of(15)), len(two.of(15))) == (2, 1)

    play(act, at("swallow", {"message": 15, "client": 2, "count": 2}))


def test_the_next_id_goes_back() -> None:
    async def act(here):
        trader = await ready(here)
        for _ in range(3):
            await far_order(trader)
        await trader.barrier()
        before = trader.next_order_id
        here.fault("id_rollback", by=2)
        await trader.barrier()
        assert trader.next_order_id == before - 2

    play(act)


def test_a_contract_is_unknown_since_it_expired() -> None:
    async def act(here):
        trader = await here.trader()
        here.fault("expired_contract", symbol="ES")
        order = trader.place("BUY", "MKT")
        await trader.barrier()
        assert trader.codes(order) == [200]
        assert trader.of(5) == []

    play(act)


@pytest.mark.parametrize("code", [162, 366, 420])
def test_history_is_refused(code) -> None:
    async def act(here):
        trader = await here.trader()
        trader.client.reqHistoricalData(
            9, trader.contract, "", "1800 S", "1 min", "TRADES", 0, 2, False, []
        )
        await trader.barrier()
        assert trader.codes(9) == [code]
        assert trader.of(17) == []

    play(act, at("history_pacing", code=code))


def test_data_are_delayed() -> None:
    async def act(here):
        trader = await here.trader()
        trader.client.reqMktData(9, trader.contract, "", False, False, [])
        await trader.message(58)
        await trader.step(20)
        assert trader.codes(9) == [10167]
        assert [f[3] for f in trader.of(58)] == ["3"]
        kinds = {int(f[3]) for f in trader.of(1) + trader.of(2)}
        assert kinds
        assert kinds <= {66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76}

    play(act, at("delayed_data"))


@pytest.mark.parametrize("code", [354, 10089, 10090, 10168, 10190])
def test_there_are_no_data(code) -> None:
    async def act(here):
        trader = await here.trader()
        request = await trader.listen()
        await trader.step(20)
        assert trader.codes(request) == [code]
        assert bool(trader.of(99)) == (code == 10090)

    play(act, at("no_market_data", code=code))


BAD = {
    "zero": lambda f: float(f[4]) == 0,
    "negative": lambda f: float(f[4]) < 0,
    "nan": lambda f: math.isnan(float(f[4])),
    "off_grid": lambda f: float(f[4]) * 4 % 1 != 0,
    "huge": lambda f: float(f[4]) > 1e8,
    "crossed": lambda f: f[2] == "3" and float(f[4]) > float(f[5]),
    "time_back": lambda f: False,
}


@pytest.mark.parametrize("kind", list(BAD))
def test_a_bad_tick_comes_among_good_ones(kind) -> None:
    async def act(here):
        trader = await here.trader()
        await trader.listen("AllLast")
        await trader.listen("BidAsk")
        await trader.step(40)
        ticks = trader.of(99)
        assert len(ticks) > 10
        if kind == "time_back":
            times = [int(f[3]) for f in ticks]
            assert sum(b < a for a, b in pairwise(times)) == 1
        else:
            assert [k for k, f in enumerate(ticks) if BAD[kind](f)] != []
            assert sum(BAD[kind](f) for f in ticks) == 1

    play(act, at("bad_tick", {"count": 5}, kind=kind))


def test_trading_halts_and_goes_on() -> None:
    async def act(here):
        trader = await ready(here)
        here.fault("trading_halt")
        order = trader.place("BUY", "MKT")
        ticks = len(trader.of(99))
        await trader.step(20)
        assert trader.executions_of(order) == []
        assert len(trader.of(99)) == ticks
        here.fault("trading_resumed")
        await trader.fills(order)
        await trader.step()
        assert len(trader.of(99)) > ticks

    play(act)


def test_orders_beyond_the_price_limit_are_refused() -> None:
    async def act(here):
        trader = await ready(here)
        here.fault("price_limit", points=5.0)
        order = trader.place("BUY", "LMT", 1, trader.last - 20.0)
        await trader.step(5)
        await trader.barrier()
        assert trader.codes(order)
        assert trader.statuses(order)[-1] in ("Cancelled", "Inactive")
        assert not await works(trader, order)

    play(act)


def test_the_market_jumps() -> None:
    async def act(here):
        trader = await ready(here)
        await trader.step()
        before = int(trader.of(49)[-1][2])
        here.fault("jump", seconds=600)
        await trader.step()
        assert int(trader.of(49)[-1][2]) >= before + 600

    play(act)

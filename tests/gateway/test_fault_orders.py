"""Faults in the life of orders, by what a client sees."""

import pytest
from fault_scenes import SHORT, at, far_order, open_references, play, ready, works


@pytest.mark.parametrize(
    ("code", "status", "first"),
    [
        *((201, status, first) for status in ("Inactive", "Cancelled") for first in (False, True)),
        (201, "", False),
        (321, "", False),
        (110, "", True),
    ],
)
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
        assert trader.next_order_id == order + 1
        trader.client.cancelOrder(order)
        await trader.step_until(lambda: trader.statuses(order).count("Cancelled") == 2)
        await trader.barrier()
        assert trader.codes(order) == [202, 202]
        assert await open_references(trader) == []

    play(act, at("forked_modify"))


@pytest.mark.parametrize("crosses", [False, True])
def test_two_exits_of_a_group_both_fill_by_a_fault_alone(crosses) -> None:
    async def act(here):
        trader = await ready(here)
        group = {"ocaGroup": "g", "ocaType": 2}
        target = trader.place("SELL", "LMT", 1, trader.last - 10.0, "a:T", **group)
        flat = trader.place("SELL", "MKT", 1, ref="a:F1", **group)
        await trader.step_until(
            lambda: (
                {"Filled", "Cancelled"} & {*trader.statuses(target)}
                and {"Filled", "Cancelled"} & {*trader.statuses(flat)}
            )
        )
        ends = sorted(trader.statuses(order)[-1] for order in (target, flat))
        assert ends == (["Filled", "Filled"] if crosses else ["Cancelled", "Filled"])

    play(act, *([at("crossed_exit")] if crosses else []))


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

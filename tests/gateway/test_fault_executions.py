"""Faults in what is told of fills, by what a client sees."""

import pytest
from fault_scenes import SHORT, at, one_fill, play, ready


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

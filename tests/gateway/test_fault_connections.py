"""Faults of connections and of the links behind the gateway, by what a client sees."""

import asyncio

import pytest
from fault_scenes import SHORT, at, far_order, open_references, play, ready, works
from wire_client import stage


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

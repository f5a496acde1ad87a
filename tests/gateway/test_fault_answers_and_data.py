"""Faults in answers, market data and the market itself, by what a client sees."""

import asyncio
import math
from itertools import pairwise

import pytest
from fault_scenes import at, far_order, play, ready, works


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

    play(act, at("bad_tick", {"count": 5}, kind=kind), trades_per_day=20_000)


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

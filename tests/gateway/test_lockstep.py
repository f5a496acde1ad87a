"""In lock-step market time moves only while every client waits for it to."""

import asyncio
from datetime import UTC, datetime

import pytest
from gateway.raw_client import (
    RawClient,
    completed_order_names,
    front,
    future,
    open_order_names,
    over_tcp,
    session,
)
from gateway.test_requests import encoded
from ib_insync import Contract, Order

from mia.core.sessions import SECOND
from mia.gateway.market.tape import open_source
from mia.gateway.market.tape_market import Market

SOURCE = "synth:5:20250312:2"
START = int(datetime(2025, 3, 12, 13, 40, tzinfo=UTC).timestamp())


def in_step(**more):
    return session(source=SOURCE, lockstep=True, start=START * SECOND, **more)


def place_order(order_id, contract, action="BUY", kind="MKT", limit="", aux="", **fields):
    """Return the fields of message 3 at version 176."""
    given = {"tif": "DAY", "group": "", "parent": 0, "transmit": 1, "oca_type": 0, "ref": "r"}
    given |= fields
    return (
        *(3, order_id, *contract, "", "", action, 1, kind, limit, aux, given["tif"]),
        *(given["group"], "DU1234567", "", 0, given["ref"], given["transmit"], given["parent"]),
        *(0, 0, 0, 0, 1, 0, "", "0.0", "", "", "", "", "", "", "", 0, "", -1, given["oca_type"]),
        *("", "", 0, "", "", 0, 0, "", 0, "", "", "", "", "", 0, "", "", "", "", 0, "", "", ""),
        *("", "", "", "", "", "", "", 0, "", "", 0, 0, "", "", 0, "", 0, 0, 0, 0, "", ""),
        *("", "", "", "", 0, "", "", "", "", "", "", "", "", 0, 0, 0, "", "", "", 0, "", ""),
    )


async def silent(client, seconds=0.15):
    with pytest.raises(TimeoutError):
        await client.next(timeout=seconds)


@over_tcp
async def test_time_stands_still_until_the_client_asks():
    async with in_step() as (gateway, client):
        client.send(97, 1, *await front(client), "AllLast", 0, 0)
        before = gateway.market.now
        await silent(client)
        assert gateway.market.now == before
        _, now = await client.step()
        assert now == gateway.market.now // SECOND > before // SECOND


@over_tcp
async def test_time_stands_still_until_both_clients_have_asked():
    async with in_step() as (gateway, client):
        other = await (await RawClient.open(gateway.port, 2)).ready()
        other.send(97, 1, *await front(other), "AllLast", 0, 0)
        before = gateway.market.now
        client.send(49, 1)
        await silent(client)
        assert gateway.market.now == before
        messages, now = await other.step()
        assert int((await client.until(49))[2]) == now
        assert all(int(fields[3]) == now for fields in messages)
        await other.close()


@over_tcp
async def test_who_leaves_no_longer_holds_the_market():
    async with in_step() as (gateway, client):
        other = await (await RawClient.open(gateway.port, 2)).ready()
        client.send(49, 1)
        await silent(client)
        await other.close()
        assert (await client.until(49))[0] == "49"


@over_tcp
async def test_nobody_connected_means_that_time_stands_still():
    async with in_step() as (gateway, client):
        await client.step()
        await client.close()
        before = gateway.market.now
        await asyncio.sleep(0.1)
        assert gateway.market.now == before


@over_tcp
async def test_the_market_may_run_on_while_nobody_is_connected():
    async with in_step(while_down_s=90.0) as (gateway, client):
        await client.step()
        before = gateway.market.now
        await client.close()
        await asyncio.sleep(0.3)
        assert gateway.market.now == before + 90 * SECOND


@over_tcp
async def test_a_step_is_a_second_with_trades_or_a_full_minute():
    with open_source(SOURCE, 20_000) as source:
        market = Market(source, START * SECOND)
        seconds = set()
        while (second := market.next_second()) < (START + 300) * SECOND:
            seconds.add(second // SECOND)
            market.advance(second)
    seconds |= set(range(START + 60, START + 300, 60))
    async with in_step() as (_, client):
        steps = []
        while not steps or steps[-1] < max(seconds):
            steps.append((await client.step())[1])
    assert steps == sorted(seconds)


@over_tcp
async def test_the_answer_comes_after_all_ticks_of_its_second():
    async with in_step() as (_, client):
        contract = await front(client)
        client.send(97, 1, *contract, "AllLast", 0, 0)
        client.send(97, 2, *contract, "BidAsk", 0, 0)
        for _ in range(30):
            messages, now = await client.step()
            assert {int(f[3]) for f in messages if f[0] == "99"} <= {now}


@over_tcp
async def test_two_questions_get_two_answers_in_one_step():
    async with in_step() as (_, client):
        client.send(49, 1)
        client.send(49, 1)
        first, second = await client.until(49), await client.until(49)
        assert first == second
        await silent(client)


@over_tcp
async def test_an_order_acts_on_the_next_second_that_trades():
    async with in_step() as (_, client):
        contract = await front(client)
        client.send(97, 1, *contract, "AllLast", 0, 0)
        _, sent_at = await client.step()
        client.send(*place_order(client.next_id, contract))
        messages, now = await client.step()
        assert not [f for f in messages if f[0] == "11"]
        trades = [f for f in messages if f[0] == "99"]
        messages, marked = await client.step()
        fill = next(f for f in messages if f[0] == "11")
        assert marked == now > sent_at
        assert not [f for f in messages if f[0] == "99"]
        assert f"{datetime.fromtimestamp(now, UTC):%M:%S}" in fill[15]
        assert abs(float(fill[20]) - float(trades[0][4])) <= 0.5


@over_tcp
async def test_what_is_sent_after_a_fill_belongs_to_the_second_of_the_fill():
    async with in_step() as (gateway, client):
        contract = await front(client)
        await client.step()
        client.send(*place_order(client.next_id, contract))
        await client.step()
        _, filled_at = await client.step()
        assert filled_at * SECOND == gateway.market.now == gateway.exchange.now
        client.send(*place_order(client.next_id + 1, contract, "SELL"))
        await client.step()
        messages, _ = await client.step()
        assert [f[18] for f in messages if f[0] == "11"] == ["SLD"]


@over_tcp
async def test_a_bracket_is_silent_until_its_last_child_and_then_told_as_sent():
    async with in_step() as (gateway, client):
        contract = await front(client)
        await client.step()
        number, last = client.next_id, gateway.market.day.last * 0.25
        group = {"tif": "GTC", "group": "T", "oca_type": 1, "parent": number}
        client.send(*place_order(number, contract, ref="T:E", transmit=0))
        stop = (number + 1, contract, "SELL", "STP", "", last - 50)
        client.send(*place_order(*stop, **group, ref="T:S", transmit=0))
        await silent(client)
        target = (number + 2, contract, "SELL", "LMT", last + 50, "")
        client.send(*place_order(*target, **group, ref="T:T"))
        messages, _ = await client.step()
        opened = [dict(zip(open_order_names(176), f, strict=True)) for f in messages if f[0] == "5"]
        first = {each["orderId"]: each for each in reversed(opened)}
        assert {each["orderRef"] for each in opened} == {"T:E", "T:S", "T:T"}
        child = first[str(number + 1)]
        assert (child["auxPrice"], child["parentId"]) == (str(last - 50), str(number))
        assert (child["ocaGroup"], child["ocaType"], child["tif"]) == ("T", "1", "GTC")
        assert (child["outsideRth"], child["account"]) == ("1", "DU1234567")
        assert child["sharesAllocation"] == f"{child['permId']}.0/DU1234567/100"
        assert child["hedgeType_"] == "None"


@over_tcp
async def test_executions_and_completed_orders_can_be_asked_for():
    async with in_step() as (_, client):
        contract = await front(client)
        await client.step()
        client.send(*place_order(client.next_id, contract))
        await client.step()
        messages, _ = await client.step()
        live = next(f for f in messages if f[0] == "11")
        paid = next(f for f in messages if f[0] == "59")
        again = await client.answer(55, 7, 3, 44, 0, "", "", "", "", "", "")
        assert again[0] == ["11", "44", *live[2:]]
        assert again[1] == paid
        done = await client.answer(102, 99, 0)
        names = completed_order_names(176)
        ended = [dict(zip(names, fields, strict=True)) for fields in done[:-1]]
        assert [(each["orderRef"], each["status"]) for each in ended] == [("r", "Filled")]
        positions = await client.answer(62, 61, 1)
        price = float(live[20])
        assert positions[0][14:] == ["1", str(price * 50)]


@over_tcp
async def test_an_order_for_what_is_not_known_is_refused_under_its_number():
    async with in_step() as (_, client):
        unknown = future("ES", expiry="20250322")
        client.send(*place_order(77, unknown))
        fields = await client.until(4)
        assert fields[2:4] == ["77", "200"]


@pytest.mark.parametrize("version", [157, 160, 163, 166, 169, 170, 176, 178])
@over_tcp
async def test_an_order_goes_round_at_every_version(version):
    async with in_step(version=version) as (_, client):
        contract = await front(client)
        await client.step()
        sent = Order(
            action="BUY",
            totalQuantity=1,
            orderType="MKT",
            tif="DAY",
            account="DU1234567",
            orderRef="round",
            outsideRth=True,
        )
        bought = Contract(conId=int(contract[0]), secType="FUT", exchange="CME")
        body = encoded(min(version, 176), "placeOrder", client.next_id, bought, sent)
        fields = body.decode().split("\0")[:-1]
        if version >= 177:
            del fields[42]
        client.send(*fields)
        messages = (await client.step())[0] + (await client.step())[0]
        assert {"5", "3", "11", "59"} <= {each[0] for each in messages}
        names = open_order_names(version)
        told = [dict(zip(names, each, strict=True)) for each in messages if each[0] == "5"]
        assert {(each["orderRef"], each["tif"], each["outsideRth"]) for each in told} == {
            ("round", "DAY", "1")
        }
        done = await client.answer(102, 99, 1)
        ended = dict(zip(completed_order_names(version), done[0], strict=True))
        assert (ended["orderRef"], ended["filledQuantity"]) == ("round", "1")
        assert ended["completedStatus"] == "Filled Size: 1"
        executions = await client.answer(55, 7, 3, 1, 0, "", "", "", "", "", "")
        assert [each[0] for each in executions] == ["11", "59", "55"]

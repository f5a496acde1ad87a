"""Accounts, positions and profits over the wire, and orders that nobody's client placed."""

import asyncio

import pytest
from gateway.raw_client import (
    RawClient,
    front,
    open_order_names,
    over_tcp,
)
from gateway.test_lockstep import in_step, place_order, silent

from mia.gateway.model import ApiOrder
from mia.gateway.protocol.query import ContractQuery


async def buy_one(client):
    """Buy one contract and return the price."""
    contract = await front(client)
    await client.step()
    client.send(*place_order(client.next_id, contract))
    await client.step()
    messages, _ = await client.step()
    return float(next(f for f in messages if f[0] == "11")[20])


def values(messages, message):
    """Return keys and values of account messages."""
    place = {"6": 2, "63": 4, "73": 5}[message]
    return {f[place]: f[place + 1] for f in messages if f[0] == message}


@over_tcp
async def test_an_account_is_told_at_once_and_again_when_a_position_changes():
    async with in_step(cash=100_000.0) as (_, client):
        before = values(await client.answer(54, 6, 2, 1, "DU1234567"), "6")
        assert before["NetLiquidation"] == before["TotalCashValue"] == "100000.00"
        assert float(before["InitMarginReq"]) == 0
        price = await buy_one(client)
        after = values(client.seen, "6")
        assert float(after["InitMarginReq"]) > float(after["MaintMarginReq"]) > 0
        held = [f for f in client.seen if f[0] == "7"][-1]
        assert (held[3], held[13], held[16]) == ("ES", "1", str(price * 50))
        assert held[19] == "DU1234567"


@over_tcp
async def test_updates_end_when_they_are_unsubscribed():
    async with in_step() as (_, client):
        await client.answer(54, 6, 2, 1, "")
        client.send(6, 2, 0, "")
        await buy_one(client)
        first = next(k for k, f in enumerate(client.seen) if f[0] == "54")
        assert not [f for f in client.seen[first:] if f[0] in ("6", "7")]


@over_tcp
async def test_a_summary_gives_the_tags_that_were_asked_for():
    async with in_step(accounts=("DU1", "DU2")) as (_, client):
        tags = "NetLiquidation,BuyingPower,Nonsense"
        answer = await client.answer(64, 62, 1, 9, "All", tags)
        assert {(f[3], f[4]) for f in answer[:-1]} == {
            (account, tag)
            for account in ("DU1", "DU2")
            for tag in ("NetLiquidation", "BuyingPower")
        }
        assert (await client.error(62, 1, 10, "Nobody", tags))[0] == 321


@over_tcp
async def test_many_accounts_may_be_followed_one_by_one():
    async with in_step(accounts=("DU1", "DU2"), cash=5_000.0) as (_, client):
        answer = await client.answer(74, 76, 1, 9, "DU2", "", 0)
        assert values(answer, "73")["NetLiquidation"] == "5000.00"
        assert {f[3] for f in answer[:-1]} == {"DU2"}
        assert (await client.error(76, 1, 10, "DU3", "", 0))[0] == 321
        assert client.accounts == ["DU1", "DU2"]


@over_tcp
async def test_positions_go_on_until_they_are_cancelled():
    async with in_step() as (_, client):
        await client.answer(62, 61, 1)
        price = await buy_one(client)
        moved = [f for f in client.seen if f[0] == "61"]
        assert [f[14:] for f in moved] == [["1", str(price * 50)]]
        client.send(64, 1)
        client.send(*place_order(client.next_id + 1, await front(client), "SELL"))
        await client.step()
        messages, _ = await client.step()
        assert [f[18] for f in messages if f[0] == "11"] == ["SLD"]
        assert not [f for f in messages if f[0] == "61"]


@over_tcp
async def test_positions_by_account_have_a_message_of_their_own():
    async with in_step() as (_, client):
        await buy_one(client)
        answer = await client.answer(72, 74, 1, 3, "DU1234567", "")
        assert [f[15] for f in answer[:-1]] == ["1"]


@over_tcp
async def test_profits_follow_the_market():
    async with in_step() as (gateway, client):
        price = await buy_one(client)
        contract = await front(client)
        client.send(92, 1, "DU1234567", "")
        client.send(94, 2, "DU1234567", "", contract[0])
        for _ in range(40):
            await client.step()
        last = gateway.market.day.last * 0.25
        total = [f for f in client.seen if f[0] == "94"][-1]
        single = [f for f in client.seen if f[0] == "95"][-1]
        assert float(total[3]) == float(single[4]) == pytest.approx((last - price) * 50)
        assert (single[2], float(single[6])) == ("1", pytest.approx(last * 50))
        assert float(total[2]) < float(total[3])
        client.send(93, 1)
        client.send(95, 2)
        seen = len(client.seen)
        for _ in range(10):
            await client.step()
        assert not [f for f in client.seen[seen:] if f[0] in ("94", "95")]


@over_tcp
async def test_the_profit_of_what_is_not_held_is_unset():
    async with in_step() as (_, client):
        answer = await client.answer(95, 94, 2, "DU1234567", "", 1)
        unset = "1.7976931348623157E308"
        assert answer[-1] == ["95", "2", "0", "0.0", unset, unset, "0.0"]


@pytest.mark.parametrize(
    ("since", "found"),
    [
        ("20250312-13:00:00", 1),
        ("20250312-23:00:00", 0),
        ("20250312 08:30:00", 1),
        ("20250312 23:00:00 US/Central", 0),
        ("20250312 09:00:00 America/New_York", 1),
    ],
)
@over_tcp
async def test_executions_are_found_from_a_time_on(since, found):
    async with in_step() as (_, client):
        await buy_one(client)
        answer = await client.answer(55, 7, 3, 1, 0, "", since, "", "", "", "")
        assert [f[0] for f in answer[:-1]] == ["11", "59"] * found


@over_tcp
async def test_a_time_that_is_none_is_refused():
    async with in_step() as (_, client):
        assert (await client.error(7, 3, 1, 0, "", "yesterday", "", "", "", ""))[0] == 321


def place_by_hand(gateway):
    order = ApiOrder(
        order_id=0,
        action="BUY",
        quantity=1,
        order_type="LMT",
        limit_price=gateway.market.day.last * 0.25 - 100,
        aux_price=None,
        tif="GTC",
        oca_group="",
        oca_type=0,
        account="",
        order_ref="",
        transmit=True,
        parent_id=0,
        outside_rth=True,
        what_if=False,
    )
    asked = ContractQuery(sec_type="FUT", symbol="ES")
    gateway.exchange.place_by_hand(order, gateway.catalogue.find(asked)[0])


@over_tcp
async def test_an_order_placed_by_hand_is_seen_by_all_and_bound_by_client_0_only():
    async with in_step() as (gateway, client):
        zero = await (await RawClient.open(gateway.port, 0)).ready()
        place_by_hand(gateway)
        await asyncio.sleep(0.05)
        names = open_order_names(176)
        foreign = await client.answer(53, 16, 1)
        shown = dict(zip(names, foreign[0], strict=True))
        assert (shown["orderId"], shown["clientId"]) == ("0", "0")
        assert [f[0] for f in await client.answer(53, 5, 1)] == ["53"]
        bound = await zero.answer(53, 5, 1)
        assert [f[0] for f in bound] == ["100", "5", "3", "53"]
        assert bound[0] == ["100", shown["permId"], "0", bound[1][1]]
        assert int(bound[1][1]) < 0


@over_tcp
async def test_client_0_may_have_what_is_placed_by_hand_bound_at_once():
    async with in_step() as (gateway, client):
        zero = await (await RawClient.open(gateway.port, 0)).ready()
        zero.send(15, 1, 1)
        await zero.answer(9, 8, 1, 1)
        place_by_hand(gateway)
        assert (await zero.until(100))[2] == "0"
        assert int((await zero.until(5))[1]) < 0
        assert (await client.error(15, 1, 1))[0] == 321
        await silent(client)


@over_tcp
async def test_an_order_is_changed_by_sending_its_number_again():
    async with in_step() as (gateway, client):
        contract = await front(client)
        await client.step()
        last = gateway.market.day.last * 0.25
        for price in (last - 100, last - 50):
            number = client.next_id
            client.send(*place_order(number, contract, kind="LMT", limit=price, tif="GTC"))
            await client.step()
        orders = (await client.answer(53, 5, 1))[:-1]
        opened = [dict(zip(open_order_names(176), f, strict=True)) for f in orders if f[0] == "5"]
        assert [(o["orderId"], o["lmtPrice"]) for o in opened] == [(str(number), str(last - 50))]
        client.send(4, 1, number, "")
        messages, _ = await client.step()
        messages += (await client.step())[0]
        told = [f[2] if f[0] == "3" else f[3] for f in messages if f[0] in ("3", "4")]
        assert told[-2:] == ["Cancelled", "202"]

"""The gateway holds clients to its limits, and closes on those that make no sense."""

import struct

import pytest
from gateway.raw_client import RawClient, front, index, over_tcp, session

from mia.errors import DataError, UsageError
from mia.gateway.limits import HistoricalPacing, Limits, MessageRate
from mia.gateway.market.tape import open_source
from mia.gateway.options import GatewayOptions
from mia.gateway.server import running_gateway


def test_the_rate_counts_the_last_second_only():
    rate = MessageRate(Limits(messages_per_second=3, abuse_factor=2))
    assert [rate.take(now) for now in (0.0, 0.3, 0.6, 0.9)] == ["ok"] * 3 + ["too many"]
    assert rate.take(1.95) == "ok"
    assert [rate.take(2.0 + k / 100) for k in range(6)][-1] == "abuse"


@pytest.mark.parametrize(
    ("times", "allowed"),
    [
        ([(0.0, "a"), (1.0, "a")], [True, False]),
        ([(0.0, "a"), (15.0, "a")], [True, True]),
        ([(0.1 * k, str(k)) for k in range(7)], [True] * 6 + [False]),
        ([(0.5 * k, str(k)) for k in range(7)], [True] * 7),
        ([(10.0 * k, str(k)) for k in range(61)], [True] * 61),
        ([(5.0 * k, str(k)) for k in range(61)], [True] * 60 + [False]),
    ],
)
def test_requests_for_history_are_paced(times, allowed):
    pacing = HistoricalPacing(Limits())
    assert [pacing.allows(now, "ES", request) for now, request in times] == allowed


def test_bid_and_ask_count_twice():
    pacing = HistoricalPacing(Limits(historical_burst=100))
    assert all(pacing.allows(3.0 * k, k % 5, k, 2) for k in range(30))
    assert not pacing.allows(91.0, "ES", "one more")


@over_tcp
async def test_too_many_messages_are_told_and_gross_abuse_is_cut_off():
    limits = Limits(messages_per_second=5, abuse_factor=2)
    async with session(limits=limits) as (_, client):
        for _ in range(12):
            client.send(8, 1, 1)
        fields = await client.until(4)
        assert (fields[2], fields[3]) == ("-1", "100")
        await client.ended()


@over_tcp
async def test_who_asks_to_be_paced_is_not_told_off():
    limits = Limits(messages_per_second=5, abuse_factor=2)
    async with session(limits=limits) as (gateway, _):
        other = await RawClient.open(gateway.port, 2, options=" +PACEAPI")
        await other.ready()
        for _ in range(30):
            other.send(8, 1, 1)
        assert {(await other.next())[0] for _ in range(30)} == {"9"}
        await other.close()


@over_tcp
async def test_market_data_lines_are_counted_over_all_clients():
    async with session(limits=Limits(market_data_lines=2)) as (gateway, client):
        other = await (await RawClient.open(gateway.port, 2)).ready()
        for each, number in ((client, 1), (other, 1)):
            each.send(1, 11, number, *index("VIX"), 0, "", 0, 0, "")
            await each.until(58)
        code, text = await client.error(1, 11, 2, *index("SPX"), 0, "", 0, 0, "")
        assert (code, text) == (101, "Max number of tickers has been reached")
        other.send(2, 2, 1)
        await other.answer(9, 8, 1, 1)
        client.send(1, 11, 3, *index("SPX"), 0, "", 0, 0, "")
        assert (await client.until(58))[2] == "3"
        await other.close()


@over_tcp
async def test_a_line_ends_with_its_connection():
    async with session(limits=Limits(market_data_lines=1)) as (gateway, client):
        other = await (await RawClient.open(gateway.port, 2)).ready()
        other.send(1, 11, 1, *index("VIX"), 0, "", 0, 0, "")
        await other.until(58)
        await other.close()
        await client.answer(9, 8, 1, 1)
        assert gateway.data_lines() == 0


@over_tcp
async def test_three_tick_by_tick_lines_go_with_a_hundred_lines_of_data():
    async with session(speed=0.001) as (_, client):
        contract = await front(client)
        for number in range(3):
            client.send(97, number, *contract, "AllLast", 0, 0)
        code, text = await client.error(97, 3, *contract, "BidAsk", 0, 0)
        assert (code, text) == (10190, "Max number of tick-by-tick requests has been reached.")


@over_tcp
async def test_three_books_go_with_a_hundred_lines_of_data():
    async with session(speed=0.001) as (_, client):
        contract = await front(client)
        for number in range(3):
            client.send(10, 5, number, *contract, 5, 0, "")
        code, _ = await client.error(10, 5, 3, *contract, 5, 0, "")
        assert code == 309


@over_tcp
async def test_the_same_question_for_history_must_wait():
    async with session(speed=0.001, start=1741800000 * 10**9) as (_, client):
        ask = (*await front(client), 0, "", "1 min", "1 D", 0, "TRADES", 1, 0, "")
        await client.answer(17, 20, 1, *ask)
        code, text = await client.error(20, 2, *ask)
        assert code == 162
        assert "pacing violation" in text


@over_tcp
async def test_a_second_question_for_the_time_within_a_second_stays_unanswered():
    async with session(speed=0.001) as (_, client):
        await client.answer(49, 49, 1)
        client.send(49, 1)
        answer = await client.answer(9, 8, 1, 1)
        assert [fields[0] for fields in answer] == ["9"]


@over_tcp
async def test_a_malformed_request_is_answered_and_the_next_one_served():
    async with session(speed=0.001) as (_, client):
        fields = await client.error(97, 5, "x")
        assert fields[0] == 321
        client.send(97, 6, *index("SPX"), "AllLast", "x", 0)
        assert (await client.until(4))[2:4] == ["6", "321"]
        assert (await client.error(9999, 1))[0] == 320
        assert (await client.answer(9, 8, 1, 1))[-1][2] == str(client.next_id)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"APIX",
        b"API\0" + struct.pack(">I", 0xFFFFFFFF),
        b"API\0" + struct.pack(">I", 4) + b"v1.x",
        b"API\0" + struct.pack(">I", 9) + b"v100..156",
        b"API\0" + struct.pack(">I", 9) + b"v179..200",
    ],
)
@over_tcp
async def test_what_does_not_speak_the_protocol_is_cut_off(data):
    async with session(speed=0.001) as (gateway, client):
        other = await RawClient.open(gateway.port, 2)
        stranger = await RawClient.stranger(gateway.port)
        stranger.write_raw(data)
        assert await stranger.ended() == b""
        await other.ready()
        assert (await client.answer(9, 8, 1, 1))[-1][0] == "9"


@pytest.mark.parametrize(("highest", "agreed"), [(157, 157), (158, 157), (176, 176), (226, 176)])
@over_tcp
async def test_the_highest_version_that_both_speak_is_agreed_on(highest, agreed):
    async with session(client_id=9, speed=0.001) as (gateway, _):
        other = await (await RawClient.open(gateway.port, 2, highest)).ready()
        assert other.version == agreed
        assert other.connection_time.endswith(" US/Central")
        await other.close()


@over_tcp
async def test_a_client_id_in_use_is_refused_and_the_other_client_stays():
    async with session(client_id=4, speed=0.001) as (gateway, client):
        ghost = await RawClient.open(gateway.port, 4)
        fields = await ghost.until(4)
        assert fields[2:4] == ["-1", "326"]
        assert await ghost.ended() == b""
        assert (await client.answer(9, 8, 1, 1))[-1][0] == "9"


@over_tcp
async def test_a_request_before_start_api_is_cut_off():
    async with session(speed=0.001) as (gateway, _):
        eager = await RawClient.stranger(gateway.port)
        eager.write_raw(b"API\0")
        eager.write_frame(b"v157..176")
        await eager.read_frame()
        eager.send(49, 1)
        assert await eager.ended() == b""


@over_tcp
async def test_who_does_not_read_is_cut_off_without_harm_to_others():
    limits = Limits(output_bytes=200_000)
    async with session(speed=0.001, limits=limits, start=1741800000 * 10**9) as (gateway, client):
        deaf = await (await RawClient.open(gateway.port, 2)).ready()
        deaf.writer.transport.pause_reading()
        series = ("", "SPX", "OPT", "", "", "C", "", "SMART", "", "", "", "SPX")
        for _ in range(20):
            deaf.send(9, 8, 1, *series, 0, "", "", "")
            await client.answer(9, 8, 1, 1)
            if gateway.client(2) is None:
                break
        assert gateway.client(2) is None
        deaf.writer.transport.abort()


@pytest.mark.parametrize(
    "options",
    [{"version": 156}, {"version": 179}, {"speed": 0.0}, {"accounts": ()}],
)
def test_a_gateway_that_cannot_work_is_refused(options):
    with pytest.raises(UsageError):
        GatewayOptions(**options)


@pytest.mark.parametrize(
    "source", ["synth", "synth:x", "synth:1:2:3:4", "ftp:x", "synth:1:20250312:0"]
)
def test_a_market_that_is_none_is_named(source):
    with pytest.raises(UsageError, match="market"), open_source(source, 20_000):
        pass


@over_tcp
async def test_a_start_after_the_last_trade_is_refused():
    options = GatewayOptions(source="synth:5:20250312:1", start=1_900_000_000 * 10**9)
    with pytest.raises(DataError, match="no trades from"):
        async with running_gateway(options):
            pass

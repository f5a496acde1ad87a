"""Recordings: what is written, and what is served from it."""

import asyncio
import json

import pytest
from ib_insync import IB, Contract, LimitOrder, MarketOrder
from wire_client import Trader, WireClient

from mia.errors import DataError, FormatError
from mia.gateway.options import GatewayOptions
from mia.gateway.recording import Recorder, Replay, outgoing_bytes, read_recording
from mia.gateway.server import running_gateway


class Tap:
    """The bytes and the callbacks of an `IB` object."""

    def __init__(self, ib):
        self.data = b""
        self.callbacks = []
        ib.client.conn.hasData += self.take
        interpret = ib.client.decoder.interpret

        def noted(fields):
            self.callbacks.append(list(fields))
            interpret(fields)

        ib.client.decoder.interpret = noted

    def take(self, data):
        self.data += bytes(data)


async def session(port):
    """Trade a little through `ib_insync` as its users do; return bytes, messages and fills."""
    ib = IB()
    ib.client.MaxRequests = 0
    tap = Tap(ib)
    await ib.connectAsync("127.0.0.1", port, 3, timeout=5)
    found = await ib.reqContractDetailsAsync(Contract(symbol="ES", secType="FUT", exchange="CME"))
    contract = min((d.contract for d in found), key=lambda c: c.lastTradeDateOrContractMonth)
    ib.reqTickByTickData(contract, "AllLast")
    more = {"tif": "DAY", "account": ib.managedAccounts()[0], "outsideRth": True}
    trade = ib.placeOrder(contract, MarketOrder("BUY", 1, orderRef="a:E", **more))
    for _ in range(200):
        await ib.reqCurrentTimeAsync()
        if trade.isDone():
            break
    far = ib.placeOrder(contract, LimitOrder("BUY", 1, 3000.0, orderRef="b:E", **more))
    ib.cancelOrder(far.order)
    await ib.reqCurrentTimeAsync()
    await ib.reqCurrentTimeAsync()
    fills = [
        (fill.execution.execId, fill.execution.price, fill.execution.time) for fill in trade.fills
    ]
    ib.disconnect()
    return tap.data, tap.callbacks, fills


async def record(path):
    options = GatewayOptions(lockstep=True, trades_per_day=5_000)
    async with running_gateway(options) as gateway:
        gateway.recorder = Recorder(path, lambda: gateway.market.now)
        seen = await session(gateway.port)
        await asyncio.sleep(0.05)
    gateway.recorder.close()
    return seen


async def replayed(path, client=session):
    replay = Replay(read_recording(path))
    await replay.start()
    try:
        async with asyncio.timeout(20):
            return await client(replay.port), replay
    finally:
        await replay.stop()


def test_a_replay_gives_the_same_bytes_and_the_same_callbacks(tmp_path) -> None:
    path = tmp_path / "session.jsonl"

    async def act():
        first = await record(path)
        again, replay = await replayed(path)
        return first, again, replay

    first, again, replay = asyncio.run(act())
    assert first[2] != []
    assert again == first
    assert replay.deviations == []
    assert replay.finished == 1
    assert outgoing_bytes(read_recording(path)[0]) == first[0]


def test_a_recording_tells_direction_connection_and_market_time(tmp_path) -> None:
    path = tmp_path / "session.jsonl"
    asyncio.run(record(path))
    lines = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    assert [line["d"] for line in (lines[0], lines[-1])] == ["open", "close"]
    assert {line["c"] for line in lines} == {0}
    times = [line["t"] for line in lines]
    assert times == sorted(times)
    assert lines[1]["p"].startswith("v157..")
    orders = [line["f"] for line in lines if line["d"] == "in" and line.get("f", [""])[0] == "3"]
    assert [fields[26] for fields in orders] == ["a:E", "b:E"]


@pytest.mark.parametrize("change", ["other order", "leaves early", "a second client"])
def test_a_client_that_does_something_else_is_told_on(change, tmp_path) -> None:
    path = tmp_path / "session.jsonl"

    async def recorded():
        options = GatewayOptions(lockstep=True, trades_per_day=5_000)
        async with running_gateway(options) as gateway:
            gateway.recorder = Recorder(path, lambda: gateway.market.now)
            trader = await Trader().begin(gateway.port)
            trader.place("BUY", "LMT", 1, 3000.0)
            await trader.barrier()
            trader.close()
            await asyncio.sleep(0.05)
        gateway.recorder.close()

    async def deviates(port):
        trader = await Trader().begin(port)
        if change == "leaves early":
            trader.close()
            await asyncio.sleep(0.05)
            return
        trader.place("BUY", "LMT", 1, 3000.25 if change == "other order" else 3000.0)
        if change == "other order":
            await asyncio.wait_for(trader.ended.wait(), 5)
            return
        await trader.barrier()
        with pytest.raises((ConnectionError, TimeoutError)):
            await WireClient().connect(port, 2, timeout=0.5)
        trader.close()

    asyncio.run(recorded())
    _, replay = asyncio.run(replayed(path, deviates))
    assert len(replay.deviations) == 1
    assert {
        "other order": "message 3: field 19 is '3000.25', was '3000.0' when recorded",
        "leaves early": "the client left before the end",
        "a second client": "only 1 connections were recorded",
    }[change] in replay.deviations[0]


@pytest.mark.parametrize(
    "text", ["", "{}", '{"format": "other"}', '{"format": "mia gateway recording 1"}\n{"t": 1}']
)
def test_a_damaged_recording_is_refused_in_one_line(text, tmp_path) -> None:
    path = tmp_path / "damaged.jsonl"
    path.write_text(text)
    with pytest.raises(FormatError, match=r"damaged\.jsonl.* no recording"):
        read_recording(path)


def test_a_recording_that_cannot_be_written_or_read_is_named(tmp_path) -> None:
    with pytest.raises(DataError, match="cannot be written"):
        Recorder(tmp_path / "no" / "file", lambda: 0)
    with pytest.raises(DataError, match="cannot be read"):
        read_recording(tmp_path / "none")

"""The control socket: commands while the gateway runs."""

import asyncio
import json

import pytest
from wire_client import stage

from mia.gateway.faults.control import ControlServer


class Remote:
    """The other end of a control socket."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer

    async def say(self, command, **more):
        return await self.line(json.dumps({"command": command, **more}).encode())

    async def line(self, text):
        self._writer.write(text + b"\n")
        return json.loads(await self._reader.readline())

    def close(self):
        self._writer.close()


def play(act):
    async def scene():
        async with stage() as here:
            server = ControlServer(here.hand, here.box)
            await server.start(0)
            remote = Remote(*await asyncio.open_connection("127.0.0.1", server.port))
            try:
                await act(here, remote)
            finally:
                remote.close()
                await server.stop()

    asyncio.run(scene())


def test_status_tells_time_clients_and_faults() -> None:
    async def act(here, remote):
        await here.trader(7)
        status = await remote.say("status")
        assert status["ok"]
        assert status["clients"] == [7]
        assert status["port"] == here.gateway.port
        assert status["market_time_ns"] == here.gateway.market.now
        assert (await remote.say("fault", name="freeze"))["ok"]
        status = await remote.say("status")
        assert (status["frozen"], status["faults"]) == (True, 1)
        await remote.say("thaw")
        assert not (await remote.say("status"))["frozen"]

    play(act)


def test_a_fault_comes_over_the_socket_and_is_counted() -> None:
    async def act(here, remote):
        trader = await here.trader()
        answer = await remote.say("fault", name="reject", when={"order_ref": "x:*"}, code=321)
        assert answer == {"ok": True, "number": 0}
        await trader.listen()
        await trader.step_until(lambda: trader.of(99))
        order = trader.place("BUY", "LMT", 1, trader.last - 50, "x:E")
        await trader.barrier()
        assert trader.codes(order) == [321]
        assert (await remote.say("faults"))["faults"] == [{"name": "reject", "seen": 1, "fired": 1}]
        await remote.say("clear")
        assert (await remote.say("faults"))["faults"] == []

    play(act)


def test_what_is_held_goes_when_faults_are_cleared() -> None:
    async def act(here, remote):
        trader = await here.trader()
        await remote.say("fault", name="link_lost")
        order = trader.place("BUY", "LMT", 1, 3000.0)
        await trader.barrier()
        assert trader.of(5) == []
        await remote.say("clear")
        await trader.message(5, lambda fields: fields[1] == str(order))
        assert 1102 in trader.codes(-1)

    play(act)


def test_orders_and_positions_are_those_of_all_clients_and_of_hands() -> None:
    async def act(here, remote):
        trader = await here.trader(4)
        trader.place("BUY", "LMT", 1, 3000.0, "mine:E")
        await trader.barrier()
        placed = await remote.say(
            "place_by_hand", symbol="ES", side="SELL", quantity=2, kind="LMT", price=9000.0
        )
        assert placed["ok"]
        orders = (await remote.say("orders"))["orders"]
        assert [(o["client"], o["order_ref"], o["quantity"]) for o in orders] == [
            (4, "mine:E", 1),
            (0, "", 2),
        ]
        assert (await remote.say("seed_position", symbol="MES", quantity=-3))["ok"]
        (held,) = (await remote.say("positions"))["positions"]
        assert held["quantity"] == -3
        assert held["contract"].startswith("MES")

    play(act)


def test_the_market_jumps_on_command() -> None:
    async def act(here, remote):
        before = (await remote.say("status"))["market_time_ns"]
        await remote.say("jump", seconds=90)
        assert (await remote.say("status"))["market_time_ns"] >= before + 90_000_000_000

    play(act)


def test_a_shutdown_is_passed_on() -> None:
    async def act(here, remote):
        assert (await remote.say("shutdown"))["ok"]
        await asyncio.wait_for(here.hand.ended(), 1)

    play(act)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"status", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[]", "a command is a table"),
        (b'{"command": "explode"}', "unknown command 'explode'"),
        (b'{"command": "status", "all": 1}', "status takes nothing else"),
        (b'{"command": "fault"}', "a fault needs a name, one of"),
        (b'{"command": "jump", "seconds": "long"}', "seconds takes a number"),
        (b'{"command": "jump", "when": {}}', "jump happens at once"),
        (b'{"command": "place_by_hand", "symbol": "XX"}', "XX has no contract that trades here"),
        (b'{"command": "place_by_hand", "kind": "ODD"}', "an order by hand is MKT, LMT or STP"),
        (b'{"command": "seed_position", "symbol": "SPX"}', "SPX has no contract"),
    ],
)
def test_a_mistake_is_answered_and_the_socket_stays(line, why) -> None:
    async def act(here, remote):
        answer = await remote.line(line)
        assert not answer["ok"]
        assert why in answer["error"]
        assert "\n" not in answer["error"]
        assert (await remote.say("status"))["ok"]

    play(act)

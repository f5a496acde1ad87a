"""What a tick costs the simulated gateway, and how many it brings through a socket."""

import asyncio
import math
import time

from mia.gateway.market.tape_market import TapeSlice
from mia.gateway.options import GatewayOptions
from mia.gateway.protocol.wire import frame
from mia.gateway.server import running_gateway

SOURCE = "synth:5:20250312:3"
TRADES_PER_DAY = 300_000
TICKS = 200_000
ALL_LAST = b"99\x001\x002\0"
SETTLE_S = 0.2


class Reader(asyncio.Protocol):
    """A client that subscribes and counts the ticks in what it reads."""

    def __init__(self):
        self.ticks = 0
        self.rest = b""
        self.wanted = math.inf
        self.done = asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"API\0" + self.prefixed(b"v157..176"))
        self.send(71, 2, 1, "")

    def send(self, *fields):
        self.transport.write(frame([str(field) for field in fields]))

    @staticmethod
    def prefixed(body):
        return len(body).to_bytes(4, "big") + body

    def data_received(self, data):
        whole = self.rest + data
        self.ticks += whole.count(ALL_LAST)
        self.rest = whole[-len(ALL_LAST) + 1 :]
        if self.ticks >= self.wanted:
            self.done.set()


async def subscribed(gateway):
    """Return a client with one tick-by-tick line."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(Reader, "127.0.0.1", gateway.port)
    name = gateway.market.front
    local = f"{name[:3]}{name[-1]}"
    await asyncio.sleep(SETTLE_S)
    contract = ("", "ES", "FUT", "", "", "", "", "CME", "", "", local, "")
    client.send(97, 1, *contract, "AllLast", 0, 0)
    await asyncio.sleep(SETTLE_S)
    return client


def options():
    return GatewayOptions(source=SOURCE, trades_per_day=TRADES_PER_DAY, speed=1e-6)


async def through_socket():
    """Return AllLast ticks a second, from the tape to the bytes that a client has read."""
    async with running_gateway(options()) as gateway:
        client = await subscribed(gateway)
        client.wanted = TICKS
        start = time.perf_counter()
        gateway.loop.speed = math.inf
        await client.done.wait()
        elapsed = time.perf_counter() - start
        client.transport.abort()
        return client.ticks / elapsed


async def encoding():
    """Return the cost of encoding and sending ticks over that of joining what is ready made."""
    async with running_gateway(options()) as gateway:
        client = await subscribed(gateway)
        tape = gateway.market.tapes[0]
        count = min(len(tape), TICKS)
        start = time.perf_counter()
        gateway.publish(TapeSlice(tape, 0, count))
        gateway.started()[0].flush()
        sending = time.perf_counter() - start
        ready = [
            frame(("99", "1", "2", str(k), "4500.25", "1", "0", "CME", "")) for k in range(count)
        ]
        start = time.perf_counter()
        b"".join([each for each in ready if each])
        joining = time.perf_counter() - start
        client.transport.abort()
        return sending / joining


def track_ticks_through_a_socket():
    return asyncio.run(through_socket())


track_ticks_through_a_socket.unit = "ticks/s"


def track_encoding_over_joining():
    return asyncio.run(encoding())


track_encoding_over_joining.unit = "x"

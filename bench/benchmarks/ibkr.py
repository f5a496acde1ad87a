"""Trades a second from the socket's bytes to the listener, against the client library's own way.

Both decode the same packets of AllLast messages in one process. The library's way ends in a
wrapper that does nothing, so that none of its tickers and events are counted against it.
"""

import asyncio
import struct
import time
import timeit

from ib_insync.client import Client

from mia.core.base_types import OrderType
from mia.core.broker_types import OrderTicket
from mia.core.ibkr.backend import load_backend
from mia.core.ibkr.order_forms import OrderForms
from mia.core.ibkr.streams import Stream
from mia.core.ibkr.wire_socket import GatewaySocket
from mia.core.ibkr_connector import Endpoint, IbkrConnector

MESSAGES = 100_000
PACKET = 16_384


def packets(request_id):
    stream = bytearray()
    for k in range(MESSAGES):
        price = 5_000 + (k % 40) * 0.25
        body = (
            f"99\0{request_id}\0002\0{1_741_557_684 + k // 50}\0{price}\0{k % 9 + 1}\0000\0CME\0\0"
        )
        stream += struct.pack(">I", len(body)) + body.encode()
    return [bytes(stream[k : k + PACKET]) for k in range(0, len(stream), PACKET)]


class Nobody:
    """A wrapper of the library that does nothing."""

    def tickByTickAllLast(self, *arguments):  # noqa: N802 - library's name
        pass

    def connectAck(self):  # noqa: N802 - library's name
        pass


class Counter:
    """A market listener that counts."""

    def __init__(self):
        self.count = 0

    def on_trade(self, contract, ts, price, size, flags):
        self.count += 1

    def on_link(self, state, reason):
        pass


class Transport:
    """Takes the greeting."""

    def write(self, data):
        pass

    def get_write_buffer_size(self):
        return 0


def library_seconds(data):
    client = Client(Nobody())
    client._serverVersion = client.decoder.serverVersion = 176
    client._apiReady = True

    def run():
        for packet in data:
            client._onSocketHasData(packet)

    return min(timeit.repeat(run, timer=time.process_time, number=1, repeat=5))


async def connector_seconds(data, request_id):
    counter = Counter()
    connector = IbkrConnector(Endpoint("127.0.0.1", 1, 1, "DU1"), market=counter)
    market = connector._market
    market._streams[str(request_id)] = Stream(
        "trades", "ESZ25", lambda n: None, lambda n: None, market.reader.trade
    )
    socket = GatewaySocket((157, 176), connector._session._take, lambda reason: None)
    socket.connection_made(Transport())
    greeting = b"176\x0020250310 09:00:00 US/Central\0"
    socket.data_received(struct.pack(">I", len(greeting)) + greeting)

    def run():
        for packet in data:
            socket.data_received(packet)

    best = min(timeit.repeat(run, timer=time.process_time, number=1, repeat=5))
    assert counter.count == 5 * MESSAGES
    return best


class TickByTick:
    """AllLast messages."""

    timeout = 120

    def setup(self):
        self.data = packets(1_073_741_825)

    def track_messages_per_second(self):
        return MESSAGES / asyncio.run(connector_seconds(self.data, 1_073_741_825))

    track_messages_per_second.unit = "1/s"

    def track_speedup(self):
        ours = asyncio.run(connector_seconds(self.data, 1_073_741_825))
        return library_seconds(self.data) / ours

    track_speedup.unit = "x"


class Bracket:
    """The three messages of a bracket, filled in and as the client library encodes them."""

    timeout = 120

    def setup(self):
        backend = load_backend()
        client = backend.client(Nobody())
        client.connState = client.CONNECTED
        client._serverVersion = 176
        self.forms = OrderForms(backend, client)
        self.forms.prepare()
        kinds = (OrderType.STOP, OrderType.STOP, OrderType.LIMIT)
        self.legs = [
            OrderTicket(7 + k, f"b:{k}", "ES", 1, "ESZ25", 1, 1, kind, 24_000, "DAY", "DU1")
            for k, kind in enumerate(kinds)
        ]

    def seconds(self, encode):
        def run():
            for leg in self.legs:
                encode(leg, "CME")

        return min(timeit.repeat(run, timer=time.process_time, number=200, repeat=7)) / 200

    def track_encoding(self):
        return 1e6 * self.seconds(self.forms.encode)

    track_encoding.unit = "us"

    def track_speedup(self):
        return self.seconds(self.forms.by_library) / self.seconds(self.forms.encode)

    track_speedup.unit = "x"

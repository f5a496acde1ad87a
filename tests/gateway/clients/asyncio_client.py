"""The scenario through a library of the asyncio family: `ib_insync` or its successor `ib_async`.

The library's own client and decoder do the protocol; what the decoder calls is recorded. A second
part uses the library as its users do, with an `IB` object.
"""

import argparse
import asyncio
import importlib
import logging
import operator
import sys
import threading
from datetime import UTC
from types import SimpleNamespace

import scenario
from callbacks import PATIENCE, ErrorLog, Recorder, write

EXACT = {"tickByTick", "tickOptionComputation"}
"""Handlers whose last step takes all fields that are left, or fails."""


class RecordingWrapper:
    """Stands where the library has its own wrapper: every callback that it knows is recorded."""

    def __init__(self):
        self.recorder = Recorder()
        self.ib = SimpleNamespace(TimezoneTWS="UTC")
        self.defaultTimezone = UTC

    def priceSizeTick(self, req_id, tick_type, price, size):
        """Take price and size, which the library joins."""
        has_size = tick_type in (1, 2, 4, 66, 67, 68)
        self.recorder.record("tickPrice", req_id, tick_type, price, size if has_size else None)

    def securityDefinitionOptionParameter(self, req_id, exchange, con_id, *rest):
        """Take a row of a chain; the library leaves the number of the underlying a text."""
        self.recorder.record(
            "securityDefinitionOptionParameter", req_id, exchange, int(con_id), *rest
        )

    def __getattr__(self, name):
        """Return what records the callback of that name."""
        if name.startswith("tcpData") or name.startswith("_"):
            raise AttributeError(name)
        return lambda *arguments: self.recorder.record(name, *arguments)


class FieldCount:
    """Watches a decoder: every handler must use every field of its message."""

    def __init__(self, decoder):
        self.left_over = []
        self._decoder = decoder
        self._interpret = decoder.interpret
        self._watched = set()
        for handler in decoder.handlers.values():
            function = getattr(handler, "__func__", handler)
            self._watched.add(function.__code__)
        decoder.interpret = self._strictly

    def _strictly(self, fields):
        if not fields or not fields[0].isdigit() or int(fields[0]) not in self._decoder.handlers:
            self.left_over.append(f"unknown message {fields[:3]}")
        whole = list(fields)
        self._message = fields
        sys.setprofile(self._profile)
        try:
            self._interpret(fields)
        finally:
            sys.setprofile(None)
        del whole

    def _profile(self, frame, event, _):
        if event != "return" or frame.f_code not in self._watched:
            return
        local = frame.f_locals
        name = frame.f_code.co_name
        if "types" in local and "skip" in local:
            rest = len(local["fields"]) - local["skip"] - len(local["types"])
            name = local["methodName"]
        elif "get" in local:
            rest = operator.length_hint(local["get"].__self__)
        elif name == "securityDefinitionOptionParameter":
            n = local["n"]
            rest = len(local["fields"]) - n - 1 - int(local["fields"][n])
        elif name in EXACT or local["fields"] is self._message:
            rest = 0
        else:
            rest = len(local["fields"])
        if rest:
            self.left_over.append(f"{name}: {rest} fields")


class Connection:
    """One connection to the gateway."""

    def __init__(self, library, loop, client_id, port):
        self._library = library
        self._loop = loop
        self.wrapper = RecordingWrapper()
        self.recorder = self.wrapper.recorder
        self.client = library.client.Client(self.wrapper)
        self.client.MaxRequests = 0
        self.fields = FieldCount(self.client.decoder)
        self.client_id = client_id
        self._await(self.client.connectAsync("127.0.0.1", port, client_id, PATIENCE))

    def _await(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(2 * PATIENCE)

    def call(self, method, *arguments):
        """Send a request."""

        async def send():
            getattr(self.client, method)(*arguments)

        self._await(send())

    def cancel_order(self, order_id):
        """Send cancelOrder."""
        self.call("cancelOrder", order_id)

    def global_cancel(self):
        """Send reqGlobalCancel."""
        self.call("reqGlobalCancel")

    def contract(self, **fields):
        """Return a contract of the library."""
        return self._library.contract.Contract(**fields)

    def order(self, **fields):
        """Return an order of the library."""
        return self._library.order.Order(**fields)

    def execution_filter(self, **fields):
        """Return a filter of executions."""
        return self._library.objects.ExecutionFilter(**fields)

    def close(self):
        """Close the socket."""

        async def end():
            self.client.disconnect()

        self._await(end())


async def as_users_do(library, port, client_id, contract_fields, price):
    """Connect an `IB`, place an order far away and cancel it; return what it then knows."""
    ib = library.IB()
    await ib.connectAsync("127.0.0.1", port, client_id, timeout=PATIENCE)
    contract = library.contract.Contract(**contract_fields)
    order = library.order.Order(
        action="BUY",
        totalQuantity=1,
        orderType="LMT",
        lmtPrice=price,
        tif="DAY",
        outsideRth=True,
        account=ib.managedAccounts()[0],
        orderRef="high:E",
    )
    seen = {
        "accounts": ib.managedAccounts(),
        "positions": [(p.contract.localSymbol, p.position) for p in ib.positions()],
        "executions": len(ib.fills()),
        "account_values": len(ib.accountValues()) > 0,
    }
    trade = ib.placeOrder(contract, order)
    await _until(lambda: trade.orderStatus.status in ("Submitted", "PreSubmitted"))
    seen["placed"] = trade.orderStatus.status
    ib.cancelOrder(order)
    await ib.reqCurrentTimeAsync()
    await ib.reqCurrentTimeAsync()
    await _until(lambda: trade.orderStatus.status == "Cancelled")
    seen["cancelled"] = trade.orderStatus.status
    ib.disconnect()
    return seen


async def _until(condition):
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


class Session:
    """Connections of one run."""

    def __init__(self, library, loop, port):
        self.library, self.loop, self.port = library, loop, port
        self.connections = []

    def connect(self, client_id):
        """Open a connection."""
        connection = Connection(self.library, self.loop, client_id, self.port)
        self.connections.append(connection)
        return connection

    def high_level(self, client_id, contract_fields, price):
        """Run the part that uses the library as its users do."""
        work = as_users_do(self.library, self.port, client_id, contract_fields, price)
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(4 * PATIENCE)


def _run(loop):
    asyncio.set_event_loop(loop)
    loop.run_forever()


def main(library_name):
    """Run the scenario and write what was seen."""
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--out", required=True)
    given = options.parse_args()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    library = importlib.import_module(library_name)
    importlib.import_module(f"{library_name}.client")
    log = ErrorLog()
    logging.getLogger().addHandler(log)
    threading.Thread(target=_run, args=(loop,), daemon=True).start()
    session = Session(library, loop, given.port)
    result = scenario.run(session)
    result["left_over"] = [text for c in session.connections for text in c.fields.left_over]
    result["log"] = list(log.lines)
    write(given.out, result)

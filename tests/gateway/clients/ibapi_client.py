"""The scenario through the broker's own library, from its text-only releases to the current one."""

import argparse
import contextlib
import inspect
import logging
import threading
from datetime import datetime
from zoneinfo import ZoneInfo

import scenario
from callbacks import PATIENCE, ErrorLog, Recorder, write
from ibapi import decoder
from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.execution import ExecutionFilter
from ibapi.order import Order
from ibapi.wrapper import EWrapper

try:
    from ibapi.order_cancel import OrderCancel
except ImportError:
    OrderCancel = None

SIZE_OF_PRICE = {1: 0, 2: 3, 4: 5, 66: 69, 67: 70, 68: 71}
LEFT_OVER = []


def watch_fields():
    """Make every handler of the decoder report the fields that it leaves."""
    for message, info in decoder.Decoder.msgId2handleInfo.items():
        if info.processMeth is not None:
            info.processMeth = _strict(message, info.processMeth)


def _strict(message, handler):
    def handle(decoder_, fields):
        handler(decoder_, fields)
        rest = list(fields)
        if rest:
            LEFT_OVER.append(f"message {message}: {len(rest)} fields {rest[:4]}")

    return handle


def as_epoch(text):
    """Return the time of an execution, `20260914 09:00:00 US/Central`, in seconds."""
    day, clock, *zone = text.split()
    naive = datetime.strptime(f"{day} {clock}", "%Y%m%d %H:%M:%S")
    return naive.replace(tzinfo=ZoneInfo(zone[0] if zone else "UTC")).timestamp()


class RecordingWrapper(EWrapper):
    """Records each callback; names and units as the other libraries have them."""

    def __init__(self):
        super().__init__()
        self.recorder = Recorder()
        self._price = None

    def error(self, req_id, *rest):
        """Take an error; newer releases add its time as the second argument."""
        if "errorTime" in inspect.signature(EWrapper.error).parameters:
            rest = rest[1:]
        text = [*rest, ""] if len(rest) == 2 else rest
        self.recorder.record("error", req_id, *text)

    def tickPrice(self, req_id, tick_type, price, _):
        """Take a price; the size that belongs to it is reported next."""
        if tick_type in SIZE_OF_PRICE:
            self._price = (req_id, tick_type, price)
        elif price:
            self.recorder.record("tickPrice", req_id, tick_type, price, None)

    def tickSize(self, req_id, tick_type, size):
        """Take a size, alone or of the price before."""
        price, self._price = self._price, None
        if price is None:
            self.recorder.record("tickSize", req_id, tick_type, size)
        elif (req_id, tick_type) == (price[0], SIZE_OF_PRICE[price[1]]):
            self.recorder.record("tickPrice", *price, size)
        else:
            LEFT_OVER.append(f"price {price} was followed by size {tick_type}")

    def execDetails(self, req_id, contract, execution):
        """Take an execution, its time in seconds."""
        execution.time = as_epoch(execution.time)
        self.recorder.record("execDetails", req_id, contract, execution)


def _recording(name):
    def callback(self, *arguments):
        self.recorder.record(name, *arguments)

    return callback


for _name, _ in inspect.getmembers(EWrapper, inspect.isfunction):
    if not _name.startswith(("_", "log", "winError")) and _name not in vars(RecordingWrapper):
        setattr(RecordingWrapper, _name, _recording(_name))


class Connection:
    """One connection to the gateway."""

    def __init__(self, client_id, port):
        self.wrapper = RecordingWrapper()
        self.recorder = self.wrapper.recorder
        self.client = EClient(self.wrapper)
        self.client_id = client_id
        self.client.connect("127.0.0.1", port, client_id)
        self._thread = threading.Thread(target=self.client.run, daemon=True)
        self._thread.start()
        for name in ("managedAccounts", "nextValidId"):
            self.recorder.wait(lambda event, name=name: event[0] == name, name)

    def call(self, method, *arguments):
        """Send a request."""
        getattr(self.client, method)(*arguments)

    def cancel_order(self, order_id):
        """Send cancelOrder."""
        self.client.cancelOrder(order_id, OrderCancel() if OrderCancel else "")

    def global_cancel(self):
        """Send reqGlobalCancel."""
        self.client.reqGlobalCancel(*([OrderCancel()] if OrderCancel else []))

    def contract(self, **fields):
        """Return a contract of the library."""
        return _filled(Contract(), fields)

    def order(self, **fields):
        """Return an order of the library."""
        order = _filled(Order(), fields)
        # Two attributes that old releases send by default and that gateways refuse.
        for name in ("eTradeOnly", "firmQuoteOnly"):
            setattr(order, name, False)
        return order

    def execution_filter(self, **fields):
        """Return a filter of executions."""
        return _filled(ExecutionFilter(), fields)

    def close(self):
        """Close the socket."""
        with contextlib.suppress(OSError):
            self.client.disconnect()
        self._thread.join(PATIENCE)


def _filled(thing, fields):
    for name, value in fields.items():
        if not hasattr(thing, name):
            raise AttributeError(f"{type(thing).__name__} has no {name}")
        setattr(thing, name, value)
    return thing


class Session:
    """Connections of one run."""

    def __init__(self, port):
        self.port = port
        self.connections = []

    def connect(self, client_id):
        """Open a connection."""
        connection = Connection(client_id, self.port)
        self.connections.append(connection)
        return connection

    def high_level(self, *_):
        """Return None: this library has no layer above its callbacks."""


def main():
    """Run the scenario and write what was seen."""
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--out", required=True)
    given = options.parse_args()
    watch_fields()
    log = ErrorLog()
    logging.getLogger().addHandler(log)
    session = Session(given.port)
    # What the library logs when it closes its own socket is not about the gateway.
    result = scenario.run(session, before_closing=lambda: list(log.lines))
    result["left_over"] = LEFT_OVER
    result["log"] = result.pop("before_closing")
    write(given.out, result)


if __name__ == "__main__":
    main()

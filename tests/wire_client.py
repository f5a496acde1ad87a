"""A client for tests of the gateway: the protocol of `ib_insync`, and every message as it came."""

import asyncio
from contextlib import asynccontextmanager

from ib_insync import Contract, Order
from ib_insync.client import Client
from ib_insync.objects import ExecutionFilter

from mia.gateway.faults.fault_box import FaultBox
from mia.gateway.faults.gateway_control import GatewayControl
from mia.gateway.faults.scenario import read_fault
from mia.gateway.options import GatewayOptions
from mia.gateway.server import running_gateway

PATIENCE = 20.0


class _Silent:
    """Takes every callback and does nothing: tests look at messages."""

    def __getattr__(self, name):
        if name.startswith(("_", "tcpData", "priceSize")):
            raise AttributeError(name)
        return lambda *arguments: None


class WireClient:
    """One connection.

    Attributes
    ----------
    frames : list of list of str
        Messages as they came, the id first.
    ended : asyncio.Event
        Set when the gateway has closed the connection.
    """

    def __init__(self):
        self.client = Client(_Silent())
        self.client.MaxRequests = 0
        self.frames = []
        self.ended = asyncio.Event()
        self._news = asyncio.Event()
        self._next_request = 5000
        decode = self.client.decoder

        def interpret(fields):
            self.frames.append(list(fields))
            self._news.set()

        decode.interpret = interpret
        self.client.conn.disconnected += lambda _: self.ended.set()

    async def connect(self, port, client_id=1, timeout=PATIENCE):
        await self.client.connectAsync("127.0.0.1", port, client_id, timeout)
        return self

    def close(self):
        self.client.disconnect()

    @property
    def next_order_id(self):
        return int(self.of(9)[-1][2])

    def of(self, message):
        """Messages of a kind."""
        return [fields for fields in self.frames if fields[0] == str(message)]

    def codes(self, request_id=None):
        """Codes of errors and notices, in order."""
        return [
            int(fields[3])
            for fields in self.of(4)
            if request_id is None or fields[2] == str(request_id)
        ]

    def statuses(self, order_id):
        return [fields[2] for fields in self.of(3) if fields[1] == str(order_id)]

    async def until(self, condition, what="it", seconds=PATIENCE):
        """Wait until a condition on what came is true."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._news.clear()
                try:
                    await asyncio.wait_for(self._news.wait(), 0.05)
                except TimeoutError:
                    if self.ended.is_set() and not condition():
                        raise ConnectionError(f"closed before {what}") from None

    async def message(self, message, where=lambda fields: True, start=0, seconds=PATIENCE):
        """Wait for a message and return it."""

        def found():
            return [
                fields
                for fields in self.frames[start:]
                if fields[0] == str(message) and where(fields)
            ]

        await self.until(found, f"message {message}", seconds)
        return found()[0]

    async def barrier(self):
        """Wait until all that was sent before has been dealt with."""
        start = len(self.frames)
        self.client.reqIds(1)
        await self.message(9, start=start)

    async def step(self, times=1):
        """Let market time in lock-step move on."""
        for _ in range(times):
            start = len(self.frames)
            self.client.reqCurrentTime()
            await self.message(49, start=start)

    async def step_until(self, condition, steps=400):
        for _ in range(steps):
            if condition():
                return
            await self.step()
        raise TimeoutError(f"not within {steps} steps")

    def request_id(self):
        self._next_request += 1
        return self._next_request


class Trader(WireClient):
    """A client that knows the leading future and can trade it."""

    def __init__(self):
        super().__init__()
        self.contract = None
        self.account = ""
        self._orders = 0

    async def begin(self, port, client_id=1):
        await self.connect(port, client_id)
        self.account = self.of(15)[0][2].split(",")[0]
        self._orders = self.next_order_id
        request = self.request_id()
        wanted = Contract(secType="FUT", symbol="ES", exchange="CME", currency="USD")
        self.client.reqContractDetails(request, wanted)
        await self.message(52, lambda fields: fields[2] == str(request))
        # Before 164 the message has a version field.
        shift = 1 if self.client.serverVersion() < 164 else 0
        first = min(self.of(10), key=lambda fields: fields[4 + shift])
        name = first[9 + shift]
        self.contract = Contract(
            secType="FUT", symbol="ES", exchange="CME", currency="USD", localSymbol=name
        )
        return self

    async def listen(self, kind="AllLast"):
        """Subscribe to ticks; return the number of the request."""
        request = self.request_id()
        self.client.reqTickByTickData(request, self.contract, kind, 0, False)
        await self.barrier()
        return request

    @property
    def last(self):
        return float([f for f in self.of(99) if f[2] == "2"][-1][4])

    def order(self, action="BUY", kind="MKT", quantity=1, price=0.0, ref="a:E", **more):
        fields = {
            "action": action,
            "orderType": kind,
            "totalQuantity": quantity,
            "tif": "DAY",
            "account": self.account,
            "outsideRth": True,
            "orderRef": ref,
            **more,
        }
        if kind == "LMT":
            fields["lmtPrice"] = price
        if kind == "STP":
            fields["auxPrice"] = price
        return Order(**fields)

    def place(self, *arguments, order_id=None, **more):
        """Send an order; return its id."""
        if order_id is None:
            order_id, self._orders = self._orders, self._orders + 1
        self.client.placeOrder(order_id, self.contract, self.order(*arguments, **more))
        return order_id

    def bracket(self, ref="a", distance=20.0):
        """Send a bracket; return the ids of entry, stop and target."""
        entry = self.place(ref=f"{ref}:E", transmit=False)
        legs = {"parentId": entry, "ocaGroup": ref, "ocaType": 1, "tif": "GTC"}
        stop = self.place(
            "SELL", "STP", 1, self.last - distance, f"{ref}:S", transmit=False, **legs
        )
        target = self.place("SELL", "LMT", 1, self.last + distance, f"{ref}:T", **legs)
        return entry, stop, target

    async def fills(self, *order_ids):
        """Step until orders are filled."""
        for order_id in order_ids:
            await self.step_until(lambda order_id=order_id: self.executions_of(order_id))

    def executions_of(self, order_id):
        return [f for f in self.of(11) if f[2] == str(order_id) and f[1] == "-1"]

    async def ask_executions(self):
        """Ask for executions anew; return messages 11."""
        request = self.request_id()
        self.client.reqExecutions(request, ExecutionFilter())
        await self.message(55, lambda fields: fields[2] == str(request))
        return [f for f in self.of(11) if f[1] == str(request)]

    async def ask_positions(self):
        """Ask for positions; return (local symbol, quantity)."""
        start = len(self.frames)
        self.client.reqPositions()
        await self.message(62, start=start)
        found = [f for f in self.frames[start:] if f[0] == "61"]
        self.client.cancelPositions()
        return [(f[12], float(f[14])) for f in found if float(f[14])]


class Stage:
    """A gateway in this process, its faults, and clients that are closed at the end."""

    def __init__(self, gateway, box, hand):
        self.gateway, self.box, self.hand = gateway, box, hand
        self._clients = []

    def fault(self, name, when=None, **parameters):
        self.box.add(read_fault({"name": name, "when": when or {}, **parameters}))

    async def trader(self, client_id=1):
        trader = Trader()
        self._clients.append(trader)
        return await trader.begin(self.gateway.port, client_id)

    def client(self):
        client = WireClient()
        self._clients.append(client)
        return client

    def leave(self):
        for client in self._clients:
            client.close()


@asynccontextmanager
async def stage(*faults, **options):
    """Run a gateway in lock-step with faults, each a table as in a scenario."""
    chosen = {"lockstep": True, "trades_per_day": 5_000, **options}
    async with running_gateway(GatewayOptions(**chosen)) as gateway:
        hand = GatewayControl(gateway)
        box = FaultBox(hand, [read_fault(fault) for fault in faults])
        hand.box = box
        gateway.interceptor = box
        here = Stage(gateway, box, hand)
        try:
            yield here
        finally:
            here.leave()
            await asyncio.sleep(0)

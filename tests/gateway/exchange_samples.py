"""An exchange with a listener that writes everything down, and the orders to feed it."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from mia.config.method import Cost
from mia.core.base_types import MISSING_PRICE, TradeBlock
from mia.gateway.model import ApiContract, ApiOrder
from mia.gateway.venue.exchange import Exchange

SECOND = 1_000_000_000
CHICAGO = ZoneInfo("America/Chicago")
ACCOUNT = "DU1000001"
CLIENT = 7


def at(text):
    """Time of a Chicago wall clock, ns UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=CHICAGO).timestamp()) * SECOND


START = at("2025-11-24 09:00:00")


def future(symbol="ES", con_id=1, expiry="20251219", name=None, **changes):
    values = {
        "con_id": con_id,
        "symbol": symbol,
        "sec_type": "FUT",
        "expiry": expiry,
        "strike": 0.0,
        "right": "",
        "multiplier": {"ES": "50", "MES": "5", "NQ": "20"}[symbol],
        "exchange": "CME",
        "currency": "USD",
        "local_symbol": f"{symbol}Z5",
        "trading_class": symbol,
        "min_tick": 0.25,
        "name": name or f"{symbol}Z25",
    }
    return ApiContract(**(values | changes))


ES = future()
MES = future("MES", 2)


def order(order_id, action="BUY", quantity=1, order_type="MKT", price=None, **changes):
    """An order; `price` is in ticks of ES and serves as limit or stop."""
    points = None if price is None else price * 0.25
    values = {
        "order_id": order_id,
        "action": action,
        "quantity": quantity,
        "order_type": order_type,
        "limit_price": points if "LMT" in order_type else None,
        "aux_price": points if "STP" in order_type else None,
        "tif": "GTC",
        "oca_group": "",
        "oca_type": 0,
        "account": "",
        "order_ref": "",
        "transmit": True,
        "parent_id": 0,
        "outside_rth": True,
        "what_if": False,
    }
    return ApiOrder(**(values | changes))


def bracket(first, action="BUY", quantity=1, order_type="MKT", price=None, *, stop, target, **more):
    """Entry, stop and target as one transmit chain; the children share an OCA group."""
    other = "SELL" if action == "BUY" else "BUY"
    group = {"oca_group": f"B{first}", "oca_type": 1}
    child = {"parent_id": first} | group | more
    return [
        order(first, action, quantity, order_type, price, transmit=False, tif="DAY", **more),
        order(first + 1, other, quantity, "STP", stop, transmit=False, **child),
        order(first + 2, other, quantity, "LMT", target, **child),
    ]


def tape(*prices, start=START, sizes=None, step=SECOND, contract="ESZ25", ts=None):
    n = len(prices)
    unknown = np.full(n, MISSING_PRICE, np.int32)
    return TradeBlock(
        contract=contract,
        ts_event=np.array(ts or [start + k * step for k in range(n)], np.int64),
        price=np.array(prices, np.int32),
        size=np.array(sizes or [10] * n, np.int32),
        aggressor_side=np.zeros(n, np.int8),
        bid_price=unknown,
        ask_price=unknown,
    )


class Recorder:
    """Keeps every message; `said` holds the words of the protocol in their order."""

    def __init__(self):
        self.said = []
        self.statuses = []
        self.open_orders = []
        self.executions = []
        self.errors = []
        self.positions = []

    def on_open_order(self, record):
        self.open_orders.append(record)
        self.said.append(("openOrder", record.order.order_id, record.status))

    def on_order_status(self, record):
        self.statuses.append(record)
        self.said.append(("orderStatus", record.order.order_id, record.status))

    def on_execution(self, execution):
        self.executions.append(execution)
        self.said.append(("execution", execution.order_id, execution.quantity))

    def on_order_error(self, client_id, order_id, code, text):
        self.errors.append((client_id, order_id, code, text))
        self.said.append(("error", order_id, code))

    def on_position(self, account, contract):
        self.positions.append((account, contract))
        self.said.append(("position", contract.name, account))

    def codes(self):
        return [(order_id, code) for _, order_id, code, _ in self.errors]

    def fills(self):
        """Order id, side, quantity and price in ticks of every execution."""
        return [
            (e.order_id, 1 if e.side == "BOT" else -1, e.quantity, round(e.price / 0.25))
            for e in self.executions
        ]


class Market:
    """An exchange, its recorder, and short ways to move it."""

    def __init__(self, now=START, *, accounts=(ACCOUNT,), slip=1, latency_ns=20_000_000, **setup):
        self.heard = Recorder()
        self.exchange = Exchange(
            self.heard,
            accounts,
            now,
            latency_ns=latency_ns,
            cost=Cost(slip_ticks=slip),
            **{"cash": 10_000_000.0} | setup,
        )

    def place(self, *orders, contract=ES, client=CLIENT):
        for each in orders:
            self.exchange.place(client, each, contract)

    def trade(self, *prices, after=1, **columns):
        """Trade at prices, one a second, from `after` seconds later on."""
        block = tape(*prices, **{"start": self.exchange.now + after * SECOND} | columns)
        index = 0
        while index < len(block):
            index = self.exchange.advance(block, index, len(block))
        return block

    def wait(self, seconds=1.0):
        self.exchange.set_time(self.exchange.now + int(seconds * SECOND))

    def status(self, order_id):
        """Last status told of an order, and why it is held."""
        told = [r for r in self.heard.statuses if r.order.order_id == order_id]
        return (told[-1].status, told[-1].why_held) if told else None

    def position(self, contract=ES, account=ACCOUNT):
        return self.exchange.accounts[account].quantity(contract.con_id)

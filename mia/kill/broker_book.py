"""What the broker says of our orders, fills and positions."""

import time
from collections.abc import Callable

from mia.errors import BrokerError
from mia.kill import tws
from mia.kill.own_trades import Fill, OwnTrades, split, split_execution
from mia.kill.tws import Contract, TwsConnection

_DONE = ("Filled", "Cancelled", "ApiCancelled", "Inactive")
_QUIET_SECONDS = 1.0
_REFUSED = frozenset({"103", "110", "200", "201", "203", "321", "10147", "10289", "10293"})
"""Codes after which an order does not exist, though no status says so."""


class Order:
    """One of our orders that the broker works, or worked.

    Attributes
    ----------
    status : str
        As the broker spells it, empty until it said something.
    reason : str
        Last error or notice about it.
    """

    def __init__(self, order_id: int, ref: str, contract: Contract, quantity: int) -> None:
        self.order_id = order_id
        self.ref = ref
        self.contract = contract
        self.quantity = quantity
        self.remaining = quantity
        self.status = ""
        self.reason = ""

    @property
    def is_working(self) -> bool:
        """Whether it may still fill."""
        return self.status not in _DONE


class BrokerBook:
    """Orders, fills and positions of one account, kept up to date from the socket.

    Parameters
    ----------
    connection : TwsConnection
    account : str
        Nothing of any other account is looked at.
    trades : OwnTrades
        Is completed by the executions that the broker still knows.

    Attributes
    ----------
    orders : dict of int to Order
        Ours, of this client, by order id.
    positions : dict of str to int
        What the account holds by contract id, ours or not.
    contracts : dict of str to Contract
        By contract id.
    """

    def __init__(self, connection: TwsConnection, account: str, trades: OwnTrades) -> None:
        self._connection = connection
        self._account = account
        self._ended: set[str] = set()
        self._holdings: dict[str, int] = {}
        self.trades = trades
        self.orders: dict[int, Order] = {}
        self.positions: dict[str, int] = {}
        self.contracts: dict[str, Contract] = {}

    def refresh(self, timeout: float) -> None:
        """Ask for everything and wait for it.

        Raises
        ------
        BrokerError
            If the broker does not tell its orders and positions to the end.
        """
        self._ended.clear()
        before = set(self.orders)
        seen_before = {key: order.status for key, order in self.orders.items()}
        for order in self.orders.values():
            order.status = "" if order.is_working else order.status
        self._holdings = {}
        send = self._connection.send
        send("64", "1")
        send("5", "1")
        send("7", "3", 9001, 0, self._account, "", "", "", "", "")
        send("61", "1")
        needed = {tws.ORDERS_END, tws.POSITIONS_END}
        self.follow(time.monotonic() + timeout, lambda: needed <= self._ended)
        if not needed <= self._ended:
            raise BrokerError("the broker does not tell its orders and positions: nothing was done")
        # A live gateway is known to leave out the end of the executions.
        quiet = time.monotonic() + _QUIET_SECONDS
        self.follow(quiet, lambda: tws.EXECUTIONS_END in self._ended)
        self.positions = self._holdings
        for key in before:
            order = self.orders[key]
            if not order.status:
                # It is not among the open orders any more, so it has ended.
                order.status = "Cancelled"
                order.reason = order.reason or f"gone, was {seen_before[key] or 'unknown'}"

    def follow(self, deadline: float, is_enough: Callable[[], bool]) -> None:
        """Take in what the broker sends until it is enough or an instant has come."""
        if is_enough():
            return
        for message in self._connection.messages(deadline):
            try:
                self._take(message)
            except (IndexError, ValueError):
                # A message of another shape than documented is none of those that matter.
                continue
            if is_enough():
                return

    def working(self, is_wanted: Callable[[str], bool]) -> list[Order]:
        """Return our working orders whose leg (``E``, ``S``, ``T``, ``F1``) is wanted."""
        found = []
        for order in self.orders.values():
            parts = split(order.ref)
            if parts is not None and order.is_working and is_wanted(parts[1]):
                found.append(order)
        return found

    def _take(self, m: list[str]) -> None:
        if m[0] == tws.OPEN_ORDER:
            self._take_order(m)
        elif m[0] == tws.ORDER_STATUS:
            order = self.orders.get(int(m[1]))
            if order is not None and (order.is_working or m[2] in _DONE):
                order.status, order.remaining = m[2], int(float(m[4]))
        elif m[0] == tws.EXECUTION:
            self._take_execution(m)
        elif m[0] == tws.POSITION:
            if m[2] == self._account:
                contract = Contract(*m[3:14])
                self.contracts.setdefault(contract.con_id, contract)
                self._holdings[contract.con_id] = int(float(m[14]))
        elif m[0] == tws.ERROR:
            order = self.orders.get(int(m[2]))
            if order is not None:
                order.reason = f"{m[3]} {m[4]}"
                if m[3] in _REFUSED and not order.status:
                    order.status = "Inactive"
        elif m[0] in (tws.ORDERS_END, tws.POSITIONS_END, tws.EXECUTIONS_END):
            self._ended.add(m[0])

    def _take_order(self, m: list[str]) -> None:
        contract = Contract(*m[2:13])
        ref, account = m[23], m[20]
        if split(ref) is None or account != self._account:
            return
        if contract.exchange:
            self.contracts[contract.con_id] = contract
        quantity = int(float(m[14]))
        key = int(m[1])
        order = self.orders.get(key)
        if order is None:
            order = self.orders[key] = Order(key, ref, contract, quantity)
        if not order.status:
            order.status = "Submitted"
        self.trades.note(ref)

    def _take_execution(self, m: list[str]) -> None:
        ref = m[26]
        if split(ref) is None or m[16] != self._account:
            return
        contract = Contract(*m[3:14])
        self.contracts[contract.con_id] = contract
        identity, revision = split_execution(m[14])
        quantity = int(float(m[19])) * (1 if m[18] == "BOT" else -1)
        self.trades.add(ref, identity, Fill(contract.con_id, quantity, revision))
        self.trades.note(ref)

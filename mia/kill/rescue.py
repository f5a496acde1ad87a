"""Acting at the broker in the place of a dead trader.

Halting cancels our working entries and nothing else. Flattening also closes what we hold: by a
market order in the group of its stop, so that one cancels the other; never more than the account
holds, never anybody else's; and a stop is cancelled only once what it protects is zero.
"""

import time
from collections.abc import Callable

from mia.errors import BrokerError
from mia.kill.broker_book import BrokerBook, Order
from mia.kill.own_trades import OwnTrades, split
from mia.kill.tws import Contract, TwsConnection

_ANSWER_SECONDS = 5.0

Say = Callable[[str], None]


class Rescue:
    """One act at the broker.

    Parameters
    ----------
    connection : TwsConnection
    account : str
    trades : OwnTrades
        What the journal knows.
    say : callable
        Tells the person what happens, line by line.
    patience : float
        Seconds that orders may take to fill or to be cancelled.
    """

    def __init__(
        self,
        connection: TwsConnection,
        account: str,
        trades: OwnTrades,
        say: Say,
        patience: float,
    ) -> None:
        self._connection = connection
        self._account = account
        self._say = say
        self._patience = patience
        self._book = BrokerBook(connection, account, trades)
        self._next_id = max(connection.next_id, trades.high_order_id + 1)

    def halt(self) -> bool:
        """Cancel our working entries; tell whether none is left.

        Raises
        ------
        BrokerError
            If the broker does not answer.
        """
        self._book.refresh(_ANSWER_SECONDS)
        return self._cancel(self._book.working(lambda leg: leg == "E"), "entry")

    def flatten(self) -> bool:
        """Cancel our entries and close our position; tell whether both is done.

        Raises
        ------
        BrokerError
            If the broker does not answer.
        """
        halted = self.halt()
        # An entry may have been filled before it was cancelled.
        self._book.refresh(_ANSWER_SECONDS)
        sent = self._close()
        if sent:
            self._wait(lambda: not any(order.is_working for order in sent))
        self._book.refresh(_ANSWER_SECONDS)
        flat = self._report_position()
        return self._cancel_useless() and flat and halted

    def _cancel(self, orders: list[Order], what: str) -> bool:
        if not orders:
            self._say(f"no working {what} of ours at the broker")
            return True
        for order in orders:
            self._connection.cancel(order.order_id)
        self._wait(lambda: not any(order.is_working for order in orders))
        if any(order.is_working for order in orders):
            self._book.refresh(_ANSWER_SECONDS)
        for order in orders:
            state = f"{order.status} {order.reason}".strip()
            self._say(f"{what} {order.ref}: {state}")
        return not any(order.is_working for order in orders)

    def _close(self) -> list[Order]:
        sent = []
        flattening: dict[str, int] = {}
        for order in self._book.working(lambda leg: leg.startswith("F")):
            bracket = order.ref.partition(":")[0]
            flattening[bracket] = flattening.get(bracket, 0) + order.remaining
            sent.append(order)
            self._say(f"{order.ref} is at work already")
        for con_id, brackets in self._by_contract().items():
            room = self._room(con_id, brackets)
            for bracket, quantity in brackets.items():
                sign = 1 if quantity > 0 else -1
                rest = min(sign * quantity, sign * room) - flattening.get(bracket, 0)
                if rest > 0 and (contract := self._contract(con_id)) is not None:
                    room -= sign * rest
                    sent.append(self._send(contract, bracket, -sign * rest))
        return sent

    def _by_contract(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for (con_id, bracket), quantity in self._book.trades.open_brackets().items():
            found.setdefault(con_id, {})[bracket] = quantity
        return found

    def _room(self, con_id: str, brackets: dict[str, int]) -> int:
        """Return the signed contracts that may be closed: ours, as far as the account has them."""
        own = sum(brackets.values())
        held = self._book.positions.get(con_id, 0)
        if own * held <= 0:
            if own:
                self._say(
                    f"by our fills we hold {own:+d} of {self._name(con_id)}, the account holds "
                    f"{held:+d}: nothing to close"
                )
            return 0
        if abs(held) < abs(own):
            self._say(
                f"by our fills we hold {own:+d} of {self._name(con_id)}, the account only "
                f"{held:+d}: no more is closed"
            )
            return held
        return own

    def _send(self, contract: Contract, bracket: str, quantity: int) -> Order:
        trades = self._book.trades
        number = trades.flattens.get(bracket, 0) + 1
        ref = f"{bracket}:F{number}"
        trades.note(ref)
        order = Order(self._next_id, ref, contract, abs(quantity))
        self._book.orders[order.order_id] = order
        self._next_id += 1
        side = "buy" if quantity > 0 else "sell"
        self._say(f"{ref}: {side} {abs(quantity)} {self._name(contract.con_id)} at the market")
        self._connection.place_market(
            order.order_id, contract, quantity, bracket, ref, self._account
        )
        return order

    def _report_position(self) -> bool:
        flat = True
        for con_id, brackets in self._by_contract().items():
            own = sum(brackets.values())
            held = self._book.positions.get(con_id, 0)
            flat = False
            self._say(
                f"NOT FLAT: we hold {own:+d} of {self._name(con_id)} (account {held:+d}); its "
                "stop stays at the broker"
            )
        for order in self._book.working(lambda leg: leg.startswith("F")):
            self._say(f"{order.ref} is still at work: {order.status} {order.reason}".rstrip())
        if flat:
            self._say("our position is zero")
            rest = {key: n for key, n in self._book.positions.items() if n}
            for con_id, held in rest.items():
                self._say(f"the account holds {held:+d} of {self._name(con_id)}, not by us")
        return flat

    def _cancel_useless(self) -> bool:
        """Cancel exits of brackets that hold nothing."""
        holding = {bracket for _, bracket in self._book.trades.open_brackets()}
        useless = []
        for order in self._book.working(lambda leg: leg != "E"):
            parts = split(order.ref)
            if parts is not None and parts[0] not in holding:
                useless.append(order)
        return self._cancel(useless, "exit") if useless else True

    def _contract(self, con_id: str) -> Contract | None:
        contract = self._book.contracts.get(con_id)
        if contract is None:
            self._say(f"the broker does not name contract {con_id}: close it by hand")
        return contract

    def _name(self, con_id: str) -> str:
        contract = self._book.contracts.get(con_id)
        return contract.local_symbol or contract.symbol if contract else f"contract {con_id}"

    def _wait(self, is_over: Callable[[], bool]) -> None:
        self._book.follow(time.monotonic() + self._patience, is_over)


def connect(
    host: str, port: int, client_id: int, account: str, timeout: float
) -> tuple[TwsConnection, str]:
    """Return a connection and the account to act on.

    Raises
    ------
    BrokerError
        If there is none, or several and none was named.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection = TwsConnection(host, port, client_id, _ANSWER_SECONDS)
            break
        except BrokerError as error:
            # The session of a process that has just died may linger.
            if "is in use" not in str(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.5)
    if not account and len(connection.accounts) == 1:
        account = connection.accounts[0]
    if account not in connection.accounts:
        connection.close()
        raise BrokerError(
            f"the gateway serves {', '.join(connection.accounts)}, not "
            f"{account or 'an account that was named'}: use --account"
        )
    return connection, account

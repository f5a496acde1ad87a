"""Messages of one client id: what goes out, at what pace, and who is told what comes in.

The client library encodes requests and decodes long messages. The socket, the pace and the
order in which listeners hear things are kept here, and nothing is ever queued to be sent later.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from mia.core.broker_types import LinkState
from mia.core.ibkr.backend import Backend
from mia.core.ibkr.endpoint import Endpoint
from mia.core.ibkr.link import Link
from mia.core.ibkr.pacing import MessageBudget, MessageLimits
from mia.core.ibkr.requests import Requests
from mia.core.ibkr.wire_socket import GatewaySocket
from mia.errors import BrokerError

_UNLIMITED = MessageLimits(per_second=0)

Read = Callable[[list[str]], Any]
Deliver = Callable[[Any], object]


class Channel(ABC):
    """Messages out and in, while the connection stands.

    Parameters
    ----------
    endpoint : Endpoint
    backend : Backend
    receiver : object
        Takes what the library's decoder made of long messages.
    on_link : callable
        Told every change of state.
    monotonic : callable
        Seconds.

    Attributes
    ----------
    client : object
        The library's client, which encodes requests.
    failure : Exception, optional
        Why the connection was given up.
    hook_runs : bool
        Whether orders are let through before the connection is READY: while the caller
        reconciles.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        backend: Backend,
        receiver: object,
        on_link: Callable[[LinkState, str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.endpoint = endpoint
        self.monotonic = monotonic
        self.link = Link(endpoint.times, self._link_changed)
        self.requests = Requests(self.ready, endpoint.request_timeout)
        self.client = backend.client(receiver)
        self.client.clientId = endpoint.client_id
        self.client.sendMsg = self._write
        self.failure: BaseException | None = None
        self.hook_runs = False
        self.on_unreadable: Callable[[list[str], Exception], None] = lambda fields, error: None
        self._on_link = on_link
        self._budget = MessageBudget(_UNLIMITED if endpoint.lockstep else endpoint.messages)
        self._table: dict[str, tuple[Read | None, Deliver]] = {}
        self._socket: GatewaySocket | None = None

    def handle(self, message: int, read: Read | None, deliver: Deliver) -> None:
        """Say what to do with a message.

        Parameters
        ----------
        message : int
        read : callable, optional
            Turns fields into a value; what it raises makes the message an unreadable one.
        deliver : callable
            Given the value, or the fields without `read`. What it raises ends the connection.
        """
        self._table[str(message)] = (read, deliver)

    @property
    def version(self) -> int:
        """Version of the protocol that was agreed on."""
        return int(self.client.serverVersion())

    def _write(self, message: str) -> None:
        if self._socket is None:
            raise BrokerError("not connected: nothing was sent")
        self._socket.send(message)
        self._budget.spend(self.monotonic())

    def order_gate(self) -> None:
        """Refuse an order, unless the connection can take it at this moment.

        Raises
        ------
        BrokerError
            Saying why.
        """
        now = self.monotonic()
        if not self.endpoint.lockstep:
            self.link.pulse(now)
            self.link.check(now)
        state = self.link.state
        if state is not LinkState.READY and not (state is LinkState.SYNCING and self.hook_runs):
            raise BrokerError(f"connection is {state}: {self.link.reason}; nothing was sent")
        if self._socket is None or not self._socket.is_open:
            raise BrokerError("the connection is being lost: nothing was sent")
        wait = self._budget.delay(now, order=True)
        if wait:
            raise BrokerError(
                f"{self.endpoint.messages.per_second} messages in the last second are the "
                f"limit: nothing was sent, try again in {wait:.2f} s"
            )

    async def ready(self) -> None:
        """Wait until a message other than an order may be sent.

        Raises
        ------
        BrokerError
            If there is no connection.
        """
        while True:
            if self._socket is None or not self._socket.is_open:
                raise BrokerError(f"not connected to {self.endpoint.where}: {self.link.reason}")
            wait = self._budget.delay(self.monotonic())
            if not wait:
                return
            await asyncio.sleep(wait)

    def can_send(self) -> bool:
        """Whether a message other than an order may be sent now."""
        up = self._socket is not None and self._socket.is_open
        return up and not self._budget.delay(self.monotonic())

    def ask_time(self, least: float = 1.0) -> bool:
        """Ask the gateway for its time, unless it was asked less than `least` seconds ago."""
        now = self.monotonic()
        if self.endpoint.lockstep:
            if self._socket is None:
                return False
        elif not self.can_send() or not self.link.may_ask(now, least):
            return False
        else:
            self.link.asked(now)
        self.client.reqCurrentTime()
        return True

    def _take(self, frames: list[list[str]]) -> None:
        table = self._table
        for fields in frames:
            entry = table.get(fields[0])
            if entry is None:
                continue
            read, deliver = entry
            message: Any = fields
            if read is not None:
                try:
                    message = read(fields)
                except Exception as error:
                    self._unreadable(fields, error)
                    continue
            try:
                deliver(message)
            except Exception as error:
                self.fail(error)
            if self.failure is not None:
                return

    def _unreadable(self, fields: list[str], error: Exception) -> None:
        try:
            self.on_unreadable(fields, error)
        except Exception as raised:
            self.fail(raised)

    def _link_changed(self, state: LinkState, reason: str) -> None:
        try:
            self._on_link(state, reason)
        except Exception as error:
            self.fail(error)

    @abstractmethod
    def fail(self, error: BaseException) -> None:
        """Give the connection up: whoever listens to it could not take what it said."""

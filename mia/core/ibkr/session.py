"""Life of a connection: greeting, loss, return, and reading anew what the broker knows."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import tzinfo
from typing import Any

from mia.core.broker_types import LinkState, Notice
from mia.core.ibkr.backend import Backend
from mia.core.ibkr.channel import Channel
from mia.core.ibkr.endpoint import Endpoint
from mia.core.ibkr.link import Step
from mia.core.ibkr.messages import one_line
from mia.core.ibkr.orders import FIRST_REQUEST_ID
from mia.core.ibkr.wire_socket import open_socket
from mia.core.ibkr.wire_time import handshake_zone
from mia.errors import BrokerError

CLIENT_ID_IN_USE = 326
_BEAT = 0.25


class ClientIdInUseError(BrokerError):
    """Another connection holds the client id; often the ghost of the one that was just lost."""


class Session(Channel):
    """A connection that is kept up until it is told to stop.

    Parameters
    ----------
    endpoint : Endpoint
    backend : Backend
    receiver : object
        Takes what the library's decoder made of long messages.
    on_link : callable
        Told every change of state.
    sync : callable
        Coroutine function that reads and reconciles what the broker knows, before READY.
    monotonic : callable
        Seconds.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        backend: Backend,
        receiver: object,
        on_link: Callable[[LinkState, str], None],
        sync: Callable[[], Awaitable[None]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(endpoint, backend, receiver, on_link, monotonic)
        self.zone: tzinfo | None = None
        self.valid_order_id = 0
        self.accounts: tuple[str, ...] = ()
        self.on_step: Callable[[Step], None] = lambda step: None
        self.on_beat: Callable[[float], None] = lambda now: None
        self.on_socket: Callable[[], None] = lambda: None
        self._versions = (backend.min_version, backend.max_version)
        self._sync = sync
        self._greeted_id = False
        self._hello: asyncio.Future[None] | None = None
        self._first: asyncio.Future[None] | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ended = asyncio.Event()
        self._lost = asyncio.Event()

    def take_hello(
        self, accounts: Sequence[str] | None = None, order_id: int | None = None
    ) -> None:
        """Take messages 15 and 9, which together say that this client may speak."""
        if accounts is not None:
            self.accounts = tuple(accounts)
        if order_id is not None:
            self.valid_order_id = max(self.valid_order_id, order_id)
            self._greeted_id = True
        hello = self._hello
        if self.accounts and self._greeted_id and hello is not None and not hello.done():
            hello.set_result(None)

    def take_notice(self, notice: Notice) -> None:
        """Let the state machine see a notice."""
        if notice.code == CLIENT_ID_IN_USE and self._hello is not None:
            if not self._hello.done():
                self._hello.set_exception(
                    ClientIdInUseError(
                        f"client id {self.endpoint.client_id} is in use at "
                        f"{self.endpoint.host}:{self.endpoint.port}: end the other program, or "
                        f"wait until the gateway forgets it (asked for the same id every "
                        f"{self.endpoint.busy_every:g} s, for {self.endpoint.busy_for:g} s)"
                    )
                )
            return
        self.do(self.link.notice(notice.code, notice.text))

    def do(self, steps: Sequence[Step]) -> None:
        """Take the steps that the state machine asked for."""
        for step in steps:
            if step is Step.STOP:
                self.fail(BrokerError(f"stopped for good: {self.link.reason}"))
            elif step is Step.RECONCILE:
                self._spawn("reconcile", self._reconcile())
            else:
                self.on_step(step)

    async def connect(self) -> None:
        """Connect, read and reconcile; returns READY, or DEGRADED if the broker is not there.

        Raises
        ------
        BrokerError
            One line: what is wrong and what to do.
        """
        if self._tasks:
            raise BrokerError(f"{self.endpoint.where} is connected already")
        self.failure = None
        self._ended.clear()
        self._first = asyncio.get_running_loop().create_future()
        try:
            await self._start()
            self._spawn("supervise", self._supervise())
            await self._first
        except BaseException:
            await self.disconnect()
            raise
        finally:
            _retire(self._first)
            self._first = None

    async def _start(self) -> None:
        """Connect with the policy for a client id in use: the same id, again and again."""
        deadline = self.monotonic() + self.endpoint.busy_for
        while True:
            try:
                await self._greet()
                return
            except ClientIdInUseError as error:
                self._drop(str(error), trying=True)
                if self.monotonic() + self.endpoint.busy_every > deadline:
                    raise
                await asyncio.sleep(self.endpoint.busy_every)
            except BrokerError as error:
                self._drop(str(error), trying=True)
                raise

    async def _greet(self) -> None:
        endpoint = self.endpoint
        self.link.connecting(endpoint.where)
        self._lost.clear()
        self.accounts = ()
        self._greeted_id = False
        self._hello = asyncio.get_running_loop().create_future()
        try:
            self._socket, version, clock = await open_socket(
                endpoint.host,
                endpoint.port,
                self._versions,
                self._take,
                self._on_lost,
                endpoint.connect_timeout,
            )
            self.zone = handshake_zone(clock)
            self.client._serverVersion = self.client.decoder.serverVersion = version
            self.client.connState = self.client.CONNECTED
            self.on_socket()
            self.client.startApi()
            async with asyncio.timeout(endpoint.connect_timeout):
                await self._hello
        except TimeoutError:
            raise BrokerError(
                f"{endpoint.where}: greeted, but was not let in within "
                f"{endpoint.connect_timeout:g} s: look for a dialog on its screen"
            ) from None
        finally:
            _retire(self._hello)
            self._hello = None
        if endpoint.account not in self.accounts:
            raise BrokerError(
                f"account {endpoint.account!r} is not managed by this login, which has "
                f"{', '.join(self.accounts)}: correct the account or the login"
            )
        if self.valid_order_id >= FIRST_REQUEST_ID:
            raise BrokerError(
                f"the gateway counts orders from {self.valid_order_id}: reset its order ids"
            )
        self.do(self.link.started())

    def _on_lost(self, reason: str) -> None:
        if self._hello is not None and not self._hello.done():
            self._hello.set_exception(
                BrokerError(
                    f"{self.endpoint.where}: {reason} before it let this client in: the client "
                    "id may be in use, or this address may not be a trusted one"
                )
            )
            return
        self._drop(reason)

    def _drop(self, reason: str, *, trying: bool = False) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self.client.connState = self.client.DISCONNECTED
        self.requests.abandon(reason)
        if self.link.state is not LinkState.DISCONNECTED:
            self.link.lost(one_line(reason))
        self._lost.set()
        task = self._tasks.pop("reconcile", None)
        if task is not None:
            task.cancel()
        if not trying and self._first is not None and not self._first.done():
            self._first.set_exception(self.failure or BrokerError(reason))

    async def _reconcile(self) -> None:
        epoch = self.link.epoch
        pause = self.endpoint.backoff_first
        while self.link.epoch == epoch and self.link.state is LinkState.SYNCING:
            try:
                await self._sync()
                if self.link.synced(epoch) and self._first and not self._first.done():
                    self._first.set_result(None)
                return
            except BrokerError as error:
                if self._first is not None and not self._first.done():
                    self._first.set_exception(error)
                    return
                self.link.reason = one_line(str(error))
                self._link_changed(self.link.state, self.link.reason)
            except Exception as error:
                self.fail(error)
                return
            await asyncio.sleep(pause)
            pause = min(2.0 * pause, self.endpoint.backoff_most)

    async def _supervise(self) -> None:
        try:
            await self._keep_up()
        except Exception as error:
            self.fail(error)

    async def _keep_up(self) -> None:
        pause = self.endpoint.backoff_first
        while True:
            if self._lost.is_set():
                await asyncio.sleep(pause)
                pause = min(2.0 * pause, self.endpoint.backoff_most)
                try:
                    await self._start()
                except BrokerError:
                    continue
            if self.link.state is LinkState.READY:
                pause = self.endpoint.backoff_first
            self._beat()
            try:
                async with asyncio.timeout(_BEAT):
                    await self._lost.wait()
            except TimeoutError:
                pass

    def _beat(self) -> None:
        now = self.monotonic()
        try:
            if not self.endpoint.lockstep:
                self.link.pulse(now)
                if self.link.heartbeat_due(now):
                    self.ask_time()
                self.link.check(now)
                if self.link.is_dead(now) and self._socket is not None:
                    self._socket.abort(f"silent for {self.endpoint.times.dead_after:g} s")
            self.on_beat(now)
        except BrokerError:
            # The socket went while it was written to; its loss is told by itself.
            return
        except Exception as error:
            self.fail(error)

    async def disconnect(self) -> None:
        """Close the connection and stop keeping it up."""
        tasks = [task for task in self._tasks.values() if task is not asyncio.current_task()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._drop("disconnected on request")
        self._ended.set()

    async def wait_closed(self) -> None:
        """Wait until the connection is given up for good.

        Raises
        ------
        Exception
            What a listener raised, or BrokerError if the gateway forbids going on.
        """
        await self._ended.wait()
        if self.failure is not None:
            raise self.failure

    def fail(self, error: BaseException) -> None:
        """Give the connection up: whoever listens to it could not take what it said."""
        if self.failure is not None:
            return
        self.failure = error
        for task in self._tasks.values():
            if task is not asyncio.current_task():
                task.cancel()
        self._tasks.clear()
        self._drop(f"stopped: {error}")
        self._ended.set()

    def _link_changed(self, state: LinkState, reason: str) -> None:
        if state is LinkState.DEGRADED and self._first is not None and not self._first.done():
            self._first.set_result(None)
        super()._link_changed(state, reason)

    def _spawn(self, name: str, work: Any) -> None:
        old = self._tasks.pop(name, None)
        if old is not None and old is not asyncio.current_task():
            old.cancel()
        self._tasks[name] = asyncio.get_running_loop().create_task(work, name=f"ibkr {name}")


def _retire(future: "asyncio.Future[None]") -> None:
    if future.done() and not future.cancelled():
        future.exception()
    else:
        future.cancel()

"""State of a connection to a gateway, and what must be done after each change of it.

Pure logic: events and readings of a monotonic clock (seconds) go in, steps come out. The socket
may stand while the broker behind it is gone, one farm may be silent while another speaks, and a
frozen gateway says nothing at all; each of these is a gate of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from mia.core.broker_types import LinkState

NO_SERVER = 2110
BROKER_LOST = {1100, NO_SERVER}
DATA_LOST = 1101
DATA_KEPT = 1102
PORT_CHANGED = 1300
FARM_BROKEN = {2103, 2105, 2119, 2157}
FARM_RESTORED = {2104, 2106, 2158}
LIVE_UPDATES_LOST = 10182
COMPETING_SESSION = 10197


class Step(StrEnum):
    """What the owner of the connection does next."""

    RECONCILE = "RECONCILE"
    """Ask for positions, orders and executions, then call `synced`."""
    RESUBSCRIBE = "RESUBSCRIBE"
    """Open every subscription again: the broker has dropped them."""
    EXPECT_TICKS = "EXPECT_TICKS"
    """Watch every subscription, and open again those that stay silent."""
    STOP = "STOP"
    """Do not reconnect: a person has to act."""


@dataclass(frozen=True, slots=True)
class LinkTimes:
    """Patience of a connection, seconds.

    Attributes
    ----------
    heartbeat_every : float
        Between questions for the gateway's time; a live gateway ignores more than one a second.
    heartbeat_timeout : float
        Silence after a question that makes the connection DEGRADED.
    dead_after : float
        Silence after a question that makes it worth a new socket.
    tick_age : float
        Silence of a subscription that counts as stale.
    """

    heartbeat_every: float = 2.0
    heartbeat_timeout: float = 4.0
    dead_after: float = 20.0
    tick_age: float = 10.0


@dataclass(frozen=True, slots=True)
class Gates:
    """What stands and what does not, at one moment."""

    socket: bool
    broker_link: bool
    synced: bool
    heartbeat: bool
    farms: bool
    ticks: bool
    sole_session: bool
    reason: str

    @property
    def orders(self) -> bool:
        """Whether the connection may carry orders."""
        return self.socket and self.broker_link and self.synced and self.heartbeat

    @property
    def data(self) -> bool:
        """Whether market data may be believed."""
        return self.orders and self.farms and self.ticks and self.sole_session


class Link:
    """Connection state machine.

    Parameters
    ----------
    times : LinkTimes
    changed : callable
        Told every change of the state with its reason, before the method that caused it returns.
    """

    def __init__(self, times: LinkTimes, changed: Callable[[LinkState, str], None]) -> None:
        self.times = times
        self.state = LinkState.DISCONNECTED
        self.reason = "not connected yet"
        self._changed = changed
        self._broker_link = True
        self._lost_by = 0
        self._synced = False
        self._waiting_since: float | None = None
        self._asked = -1e18
        self._broken_farms: set[str] = set()
        self._competing = False
        self._last_tick: float | None = None
        self._pulsed = 1e18
        self.epoch = 0
        """Counts the occasions on which everything has to be reconciled anew."""

    def connecting(self, where: str) -> None:
        """Start to connect."""
        self._forget()
        self._move(LinkState.CONNECTING, f"connecting to {where}")

    def started(self, reason: str = "the gateway has greeted") -> list[Step]:
        """Note that the gateway has taken this client."""
        if self._broker_link:
            return self._resync(reason)
        self._move(LinkState.DEGRADED, "the gateway has no connection to the broker")
        return []

    def synced(self, epoch: int) -> bool:
        """Note that what the broker knows was read and reconciled.

        Parameters
        ----------
        epoch : int
            That of `epoch` when the reading began; nothing happens if the connection was lost
            or restored in the meantime, since what was read may be out of date.

        Returns
        -------
        bool
            Whether the connection is READY now.
        """
        if epoch != self.epoch or self.state is not LinkState.SYNCING:
            return False
        self._synced = True
        self._move(LinkState.READY, "reconciled")
        return True

    def lost(self, reason: str) -> None:
        """Note that the socket is gone."""
        self._forget()
        self._move(LinkState.DISCONNECTED, reason)

    def notice(self, code: int, text: str) -> list[Step]:
        """Take a message about the connection; those about other things change nothing."""
        if self.state in (LinkState.DISCONNECTED, LinkState.CONNECTING):
            # A gateway tells the state of its link and farms before it says that it is ready.
            if code in BROKER_LOST:
                self._broker_link = False
                self._lost_by = code
            return [Step.STOP] if code == PORT_CHANGED else []
        if code in BROKER_LOST:
            self._broker_link = False
            self._lost_by = code
            self._synced = False
            self._move(LinkState.DEGRADED, f"{code}: {text}")
        elif code in (DATA_LOST, DATA_KEPT):
            self._broker_link = True
            self._broken_farms.clear()
            after = Step.RESUBSCRIBE if code == DATA_LOST else Step.EXPECT_TICKS
            return [*self._resync(f"{code}: {text}"), after]
        elif code == PORT_CHANGED:
            self.lost(f"{code}: {text}")
            return [Step.STOP]
        elif code in FARM_BROKEN:
            self._broken_farms.add(farm_of(text))
        elif code in FARM_RESTORED:
            steps: list[Step] = []
            if not self._broker_link and self._lost_by == NO_SERVER:
                # 2110 has no opposite of its own: the first farm that speaks ends it.
                self._broker_link = True
                steps = self._resync(f"{code}: {text}")
            if farm_of(text) in self._broken_farms:
                self._broken_farms.discard(farm_of(text))
                steps.append(Step.EXPECT_TICKS)
            return steps
        elif code == LIVE_UPDATES_LOST:
            return [Step.EXPECT_TICKS]
        elif code == COMPETING_SESSION:
            self._competing = True
            return [Step.EXPECT_TICKS]
        return []

    def ticked(self, now: float) -> None:
        """Note that market data arrived."""
        self._last_tick = now
        self._competing = False

    def heartbeat_due(self, now: float) -> bool:
        """Whether the gateway should be asked for its time; again if it did not answer."""
        if self.state in (LinkState.DISCONNECTED, LinkState.CONNECTING):
            return False
        return now - self._asked >= self.times.heartbeat_every

    def may_ask(self, now: float, least: float) -> bool:
        """Whether `least` seconds passed since the gateway was asked for its time."""
        return now - self._asked >= least

    def asked(self, now: float) -> None:
        """Note that the gateway was asked for its time."""
        self._asked = now
        if self._waiting_since is None:
            self._waiting_since = now

    def answered(self) -> list[Step]:
        """Note its answer; after a long silence everything is to be reconciled."""
        self._waiting_since = None
        if self.state is LinkState.DEGRADED and self._broker_link:
            return self._resync("the gateway answers again")
        return []

    def check(self, now: float) -> None:
        """Look at the clock: a gateway that owes an answer for too long is not to be trusted."""
        if self._silence(now) < self.times.heartbeat_timeout:
            return
        if self.state in (LinkState.READY, LinkState.SYNCING):
            # Whatever was sent meanwhile is delivered when the gateway thaws.
            self._synced = False
            self._move(
                LinkState.DEGRADED, f"no answer from the gateway for {self._silence(now):.1f} s"
            )

    def pulse(self, now: float) -> None:
        """Note that the program runs; after it stood still nothing it knows is fresh."""
        still = now - self._pulsed
        self._pulsed = now
        if still >= self.times.heartbeat_timeout and self.state in (
            LinkState.READY,
            LinkState.SYNCING,
        ):
            self._synced = False
            self._asked = -1e18
            self._move(LinkState.DEGRADED, f"the program stood still for {still:.1f} s")

    def doubt(self, reason: str) -> list[Step]:
        """Note that something was said about orders that could not be understood."""
        if self.state in (LinkState.READY, LinkState.SYNCING):
            return self._resync(reason)
        return []

    def is_dead(self, now: float) -> bool:
        """Whether the gateway has been silent for so long that the socket is given up."""
        return self._silence(now) >= self.times.dead_after

    def gates(self, now: float, *, market_open: bool = True) -> Gates:
        """Return what stands at the moment."""
        ticks = not market_open or (
            self._last_tick is not None and now - self._last_tick <= self.times.tick_age
        )
        return Gates(
            socket=self.state not in (LinkState.DISCONNECTED, LinkState.CONNECTING),
            broker_link=self._broker_link,
            synced=self._synced,
            heartbeat=self._silence(now) < self.times.heartbeat_timeout,
            farms=not self._broken_farms,
            ticks=ticks,
            sole_session=not self._competing,
            reason=self.reason,
        )

    @property
    def broken_farms(self) -> frozenset[str]:
        """Names of the farms that are reported broken."""
        return frozenset(self._broken_farms)

    def _silence(self, now: float) -> float:
        return 0.0 if self._waiting_since is None else now - self._waiting_since

    def _resync(self, reason: str) -> list[Step]:
        self._synced = False
        self.epoch += 1
        self._move(LinkState.SYNCING, reason)
        return [Step.RECONCILE]

    def _forget(self) -> None:
        self.epoch += 1
        self._broker_link = True
        self._synced = False
        self._waiting_since = None
        self._asked = -1e18
        self._broken_farms.clear()
        self._competing = False
        self._last_tick = None
        self._pulsed = 1e18

    def _move(self, state: LinkState, reason: str) -> None:
        self.reason = reason
        if state is not self.state:
            self.state = state
            self._changed(state, reason)


def farm_of(text: str) -> str:
    """Return the name of the farm in a notice: ``Market data farm connection is OK:usfuture``."""
    return text.rpartition(":")[2].strip()

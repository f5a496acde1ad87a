"""How a gateway is run."""

from dataclasses import dataclass, field

from mia.errors import UsageError
from mia.gateway.limits import Limits

MIN_VERSION = 157
MAX_VERSION = 178
VERSION = 176


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """How a gateway is run.

    Attributes
    ----------
    port : int
        0 takes any free one.
    source : str
        ``synth:SEED[:DATE[:DAYS]]``, ``store:PATH`` or ``scid:FILE``.
    start : int
        Market time at the start, ns UTC; what lies before is history. 0 is the first trade.
    speed : float
        Market seconds a second; infinity is as fast as clients read.
    wall : bool
        Market time is the computer's time.
    lockstep : bool
        Market time moves only while every client waits for an answer to reqCurrentTime.
    lockstep_by_minute : bool
        What is left of a minute is one step while no order is live, instead of one a second.
    version : int
        Highest server version offered.
    zone : str
        Time zone of execution times and of the time on connecting, as the gateway's computer
        has it.
    cash : float
        USD in each account at the start.
    trades_per_day : int
        Of a synthetic market.
    while_down_s : float
        In lock-step, market seconds that pass after the last client has gone.
    """

    host: str = "127.0.0.1"
    port: int = 0
    source: str = "synth:1"
    start: int = 0
    speed: float = 1.0
    wall: bool = False
    lockstep: bool = False
    lockstep_by_minute: bool = False
    latency_ms: float = 20.0
    version: int = VERSION
    zone: str = "US/Central"
    accounts: tuple[str, ...] = ("DU1234567",)
    cash: float = 250_000.0
    trades_per_day: int = 50_000
    first_order_id: int = 1
    while_down_s: float = 0.0
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not MIN_VERSION <= self.version <= MAX_VERSION:
            raise UsageError(
                f"the server version must be {MIN_VERSION} to {MAX_VERSION}, was {self.version}"
            )
        if not self.speed > 0:
            raise UsageError(f"speed must be above 0, was {self.speed}")
        if self.wall and (self.lockstep or self.speed != 1.0):
            raise UsageError("a market at the present time runs at speed 1, and not in lock-step")
        if not self.accounts or not all(self.accounts):
            raise UsageError("a gateway needs at least one account with a name")

"""Where a gateway listens, as whom to speak to it, and with how much patience."""

from dataclasses import dataclass, field

from mia.core.ibkr.link import LinkTimes
from mia.core.ibkr.pacing import HistoryLimits, MessageLimits
from mia.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a gateway listens, and as whom to speak to it.

    Attributes
    ----------
    host, port
    client_id : int
        Fixed for a role: only the client that placed an order can change it. Not 0, to which
        the gateway binds orders placed by hand.
    account : str
        Has to be among those that the gateway manages.
    connect_timeout, request_timeout : float
        Seconds for each step of the greeting, and for the end of an answer.
    busy_for, busy_every : float
        Seconds for which a client id that is in use is asked for again, and how often.
    backoff_first, backoff_most : float
        Seconds between attempts to reconnect, doubled each time.
    tick_by_tick_every : float
        Seconds between two tick-by-tick requests for the same data, as the gateway demands.
    lockstep : bool
        The gateway moves market time only when it is asked for it: no heartbeat, no pace
        of messages; history keeps its own.
    messages : MessageLimits
    history : HistoryLimits
    times : LinkTimes
    """

    host: str
    port: int
    client_id: int
    account: str
    connect_timeout: float = 10.0
    request_timeout: float = 10.0
    busy_for: float = 60.0
    busy_every: float = 5.0
    backoff_first: float = 1.0
    backoff_most: float = 30.0
    tick_by_tick_every: float = 15.0
    lockstep: bool = False
    messages: MessageLimits = field(default_factory=MessageLimits)
    history: HistoryLimits = field(default_factory=HistoryLimits)
    times: LinkTimes = field(default_factory=LinkTimes)

    def __post_init__(self) -> None:
        """Refuse a client id that is bound to orders placed by hand, and no account."""
        if self.client_id < 1:
            raise ConfigError(
                f"client id must be at least 1, was {self.client_id}: the gateway binds orders "
                "placed by hand to client 0"
            )
        if not self.account:
            raise ConfigError("no account: name the one to trade, as the broker spells it")

    @property
    def where(self) -> str:
        """Address and client id in words."""
        return f"{self.host}:{self.port} as client {self.client_id}"

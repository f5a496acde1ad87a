"""What faults need of a gateway and of its connections."""

from collections.abc import Callable, Sequence
from typing import Protocol


class FaultLink(Protocol):
    """A connection of a client, as the faults need it."""

    @property
    def client_id(self) -> int:
        """Number of the client, -1 before it has said so."""
        ...

    @property
    def version(self) -> int:
        """Server version that was agreed."""
        ...

    def write(self, fields: Sequence[str]) -> None:
        """Put a message on the socket, past the faults."""
        ...

    def receive(self, fields: Sequence[str]) -> None:
        """Act on a message as if it had just arrived, past the faults."""
        ...

    def close(self, reset: bool) -> None:
        """Close the socket, orderly or with a reset."""
        ...

    def forget_subscriptions(self) -> None:
        """End all market data of the client, without a word."""
        ...


class FaultGateway(Protocol):
    """The gateway, as the faults need it."""

    @property
    def links(self) -> Sequence[FaultLink]:
        """Connections that are open."""
        ...

    @property
    def market_time(self) -> int:
        """Market time, ns UTC."""
        ...

    @property
    def start_time(self) -> int:
        """Market time at the start, ns UTC."""
        ...

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something after real seconds."""
        ...

    def refuse(self, seconds: float, port: int) -> None:
        """Refuse connections for real seconds, 0 for ever; then listen on `port`, 0 for the old."""
        ...

    def place_by_hand(
        self, symbol: str, side: str, quantity: int, order_type: str, price: float
    ) -> None:
        """Place an order as a person at the gateway's screen does."""
        ...

    def seed_position(self, symbol: str, quantity: int, price: float) -> None:
        """Set what the first account holds, without an order."""
        ...

    def correct_execution(self, exec_id: str, price: float) -> None:
        """Correct the price of a fill, for the accounts and for all that ask later."""
        ...

    def bust_execution(self, exec_id: str) -> None:
        """Undo a fill, for the accounts and for all that ask later."""
        ...

    def halt(self, halted: bool) -> None:
        """Stop trading, or let it go on; the clock runs in either case."""
        ...

    def limit_price(self, points: float) -> None:
        """Refuse limit orders further than so many points from the last price; 0 ends that."""
        ...

    def jump(self, seconds: float) -> None:
        """Let the market run on at once."""
        ...

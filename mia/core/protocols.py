"""What a level asks of something that is made above it; entry points plug the objects in."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from mia.core.base_types import Block
from mia.core.trading_types import BracketOrder, Context, Fill, Proposal


class Clock(Protocol):
    """Source of time."""

    def now(self) -> int:
        """Return the current time, ns UTC."""
        ...


class MarketFeed(Protocol):
    """Source of market data."""

    def blocks(self) -> Iterator[Block]:
        """Yield data in time order."""
        ...


class Broker(Protocol):
    """Where orders go; fills come back through `poll`."""

    def submit(self, order: BracketOrder) -> None:
        """Send a bracket."""
        ...

    def cancel_entry(self, bracket_id: str, ts: int) -> None:
        """Cancel what is unfilled of an entry; protection of what is filled stays."""
        ...

    def modify_stop(self, bracket_id: str, stop: int, ts: int) -> None:
        """Move the protective stop."""
        ...

    def flatten(self, bracket_id: str, ts: int) -> None:
        """Close the bracket's position at market; its protection ends when it is zero."""
        ...

    def position(self, bracket_id: str) -> int:
        """Return the signed position of a bracket."""
        ...

    def poll(self) -> Sequence[Fill]:
        """Return the fills since the last call, in order."""
        ...


class SignalFilter(Protocol):
    """A model that estimates the chance of a proposal to win."""

    def probability(self, context: Context, proposal: Proposal) -> float | None:
        """Return P(net R > 0), or None without a promoted model."""
        ...


class EventSink(Protocol):
    """Receives what happened; never raises into the cycle, never holds it."""

    def publish(self, topic: str, event: object) -> None:
        """Take one event."""
        ...

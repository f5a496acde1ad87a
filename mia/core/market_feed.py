"""What a live feed of trades hands on: trades with their time of receipt, and notices."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from mia.core.base_types import TradeBlock


@dataclass(frozen=True, slots=True)
class ReceivedTrades:
    """Trades as a feed received them in one go.

    Attributes
    ----------
    block : TradeBlock
        At least one trade, in the order of the source.
    seq : ndarray of int32
        Order within equal times, as far as the source has one, else 0.
    ts_recv : int
        When they were read, ns UTC.
    """

    block: TradeBlock
    seq: NDArray[np.int32]
    ts_recv: int

    @property
    def delay_ns(self) -> int:
        """From the exchange's time of the newest trade to its receipt, ns."""
        return self.ts_recv - int(self.block.ts_event[-1])

    @property
    def oldest_delay_ns(self) -> int:
        """From the exchange's time of the first trade to its receipt, ns."""
        return self.ts_recv - int(self.block.ts_event[0])


class FeedNoticeKind(StrEnum):
    """What happened to a feed."""

    WAITING = "WAITING"
    """The source is not there yet."""

    REWRITTEN = "REWRITTEN"
    """The source was replaced or shortened; nothing is taken until its place is found."""

    RESYNCED = "RESYNCED"
    """The place was found again: nothing lost as far as the source holds it, nothing doubled."""

    GAP = "GAP"
    """Trades between two times may be lost, and the source cannot tell."""

    REFUSED = "REFUSED"
    """Single trades were refused: unreadable, off the tick grid, not single trades."""

    ROLLED = "ROLLED"
    """The feed went on to another contract."""

    LINK_UP = "LINK_UP"
    LINK_DOWN = "LINK_DOWN"


@dataclass(frozen=True, slots=True)
class FeedNotice:
    """A notice about a feed.

    Attributes
    ----------
    kind : FeedNoticeKind
    text : str
        One line.
    ts_from, ts_to : int
        Span of a gap, ns UTC; 0 without one.
    """

    kind: FeedNoticeKind
    text: str
    ts_from: int = 0
    ts_to: int = 0


Notify = Callable[[FeedNotice], None]


def ignore_notices(_: FeedNotice) -> None:
    """Take a notice and do nothing."""

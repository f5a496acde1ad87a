"""A tape as the wire of Interactive Brokers shows it: whole seconds and inferred sides.

The wire has neither nanoseconds nor the aggressor. A backtest that is to equal a run through the
wire therefore reads its tape through this projection.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from mia.core import sessions
from mia.core.aggressor import Aggressor
from mia.core.base_types import MISSING_PRICE, BarBlock, Block, TradeBlock
from mia.data.digest import digest
from mia.errors import DataError

if TYPE_CHECKING:
    from mia.data.tape import Tape

SECOND_NS = 1_000_000_000


class WireProjection:
    """Projects blocks that follow one another; any split of a tape gives the same trades.

    A trade without a quote, or with a crossed one, has that of the trade before: the wire sends a
    quote only when it changes, and never takes one back. A contract begins without a quote, a
    session without a trade before.
    """

    def __init__(self) -> None:
        self._aggressor = Aggressor()
        self._contract = ""
        self._session_id = 0
        self._quote = (MISSING_PRICE, MISSING_PRICE)

    @classmethod
    def after(cls, block: TradeBlock) -> Self:
        """Return a projection that goes on after a block that was projected already."""
        made = cls()
        made._contract = block.contract
        made._session_id = sessions.session_id(int(block.ts_event[-1]))
        made._quote = (int(block.bid_price[-1]), int(block.ask_price[-1]))
        made._aggressor.price = int(block.price[-1])
        made._aggressor.side = int(block.aggressor_side[-1])
        return made

    @property
    def quote(self) -> tuple[int, int]:
        """Bid and ask that stand, ticks."""
        return self._quote

    @property
    def last(self) -> tuple[int | None, int]:
        """Price and side of the trade before, None and 0 without one."""
        return self._aggressor.price, self._aggressor.side

    def project(self, block: TradeBlock) -> TradeBlock:
        """Return the block with whole seconds, standing quotes and inferred sides."""
        if len(block) == 0:
            return block
        bid = np.empty_like(block.bid_price)
        ask = np.empty_like(block.ask_price)
        side = np.empty_like(block.aggressor_side)
        ids = sessions.session_ids(block.ts_event)
        cuts = np.flatnonzero(np.diff(ids)) + 1
        edges = [0, *cuts.tolist(), len(block)]
        for start, stop in itertools.pairwise(edges):
            if block.contract != self._contract:
                self._contract = block.contract
                self._session_id = 0
                self._quote = (MISSING_PRICE, MISSING_PRICE)
            if ids[start] != self._session_id:
                self._session_id = int(ids[start])
                self._aggressor.reset()
            part = slice(start, stop)
            bid[part], ask[part] = self._standing(block.bid_price[part], block.ask_price[part])
            side[part] = self._aggressor.infer_block(block.price[part], bid[part], ask[part])
        return replace(
            block,
            ts_event=block.ts_event // SECOND_NS * SECOND_NS,
            aggressor_side=side,
            bid_price=bid,
            ask_price=ask,
        )

    def _standing(
        self, bid: NDArray[np.int32], ask: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        has_bid, has_ask = bid != MISSING_PRICE, ask != MISSING_PRICE
        quoted = (has_bid | has_ask) & ~(has_bid & has_ask & (bid > ask))
        newest = np.maximum.accumulate(np.where(quoted, np.arange(len(bid)), -1))
        before = newest < 0
        standing_bid = np.where(before, self._quote[0], bid[newest]).astype(np.int32)
        standing_ask = np.where(before, self._quote[1], ask[newest]).astype(np.int32)
        self._quote = (int(standing_bid[-1]), int(standing_ask[-1]))
        return standing_bid, standing_ask


def wire_blocks(blocks: Iterable[Block]) -> Iterator[TradeBlock]:
    """Project blocks in time order.

    Raises
    ------
    DataError
        If there are bars among them.
    """
    projection = WireProjection()
    for block in blocks:
        if isinstance(block, BarBlock):
            raise DataError("the wire shows trades, and this source has bars: leave out --as-wire")
        yield projection.project(block)


def as_wire(tape: "Tape") -> "Tape":
    """Return a tape as the wire shows it; its name and its hash say so.

    Raises
    ------
    DataError
        If the tape has ready-made bars.
    """
    if tape.ready_made:
        raise DataError(f"{tape.name} has bars, and the wire shows trades: leave out --as-wire")
    return replace(
        tape,
        name=f"{tape.name} as wire",
        sha256=digest("as wire", tape.sha256),
        kind=f"{tape.kind}, as wire",
        blocks=lambda: wire_blocks(tape.blocks()),
    )


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often inferred sides are the true ones.

    Attributes
    ----------
    trades, contracts : int
        All, and those of them whose aggressor the source knows.
    known, known_contracts : int
        Of the latter.
    right, right_contracts : int
        Inferred as the source says.
    unknown : int
        Trades of known side for which nothing could be inferred.
    """

    trades: int = 0
    contracts: int = 0
    known: int = 0
    known_contracts: int = 0
    right: int = 0
    right_contracts: int = 0
    unknown: int = 0


def agreement(blocks: Iterable[Block]) -> Agreement:
    """Compare the inferred sides of a tape with those that its source knows.

    Raises
    ------
    DataError
        If there are bars among the blocks.
    """
    total = np.zeros(7, np.int64)
    projection = WireProjection()
    for block in blocks:
        if isinstance(block, BarBlock):
            raise DataError("bars have no aggressor to compare with: name a source of trades")
        inferred = projection.project(block).aggressor_side
        known = block.aggressor_side != 0
        right = known & (inferred == block.aggressor_side)
        size = block.size.astype(np.int64)
        total += (
            len(block),
            size.sum(),
            known.sum(),
            size[known].sum(),
            right.sum(),
            size[right].sum(),
            (known & (inferred == 0)).sum(),
        )
    return Agreement(*total.tolist())

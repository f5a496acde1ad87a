"""The tape behind the gateway, session by session, and where it comes from."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mia.core import sessions
from mia.core.base_types import MISSING_PRICE, TradeBlock
from mia.core.sessions import SECOND
from mia.data.synthetic.books import BookBlock, book_at_seconds
from mia.data.synthetic.conditions import Stream
from mia.data.synthetic.exact import generator
from mia.data.synthetic.market import SyntheticMarket
from mia.data.tape import Selection, open_tape
from mia.errors import DataError, UsageError

SYNTHETIC_START = 20250310
SYNTHETIC_DAYS = 5


class SessionTape:
    """The trades of one session as the wire shows them: whole seconds.

    Attributes
    ----------
    session_id : int
        yyyymmdd.
    contract : str
        As in ``ESZ25``.
    ts : ndarray of int64
        ns UTC, as recorded.
    second : ndarray of int64
        `ts` down to the full second, ns UTC.
    price, size, bid, ask : ndarray of int32
        Ticks and contracts; a quote that the tape does not know is `MISSING_PRICE`.
    block : TradeBlock
        The trades at full seconds, for matching.
    """

    def __init__(self, session_id: int, block: TradeBlock, synthetic: SyntheticMarket | None):
        self.session_id = session_id
        self.contract = block.contract
        self.ts = block.ts_event
        self.second: NDArray[np.int64] = block.ts_event // SECOND * SECOND
        self.price = block.price
        self.size = block.size
        self.bid = block.bid_price
        self.ask = block.ask_price
        self.block = replace(block, ts_event=self.second)
        self._synthetic = synthetic

    def __len__(self) -> int:
        """Count the trades."""
        return len(self.ts)

    @cached_property
    def books(self) -> BookBlock | None:
        """Order book at each full second, None where the source has none."""
        market = self._synthetic
        if market is None:
            return None
        for session in market.sessions():
            if session.session_id == self.session_id:
                tape = market.tape(session.ordinal)
                rng = generator(market.seed, session.ordinal, Stream.BOOK)
                return book_at_seconds(session, tape.block, tape.latent, tape.depth, rng)
        return None

    @cached_property
    def known_quotes(self) -> NDArray[np.bool_]:
        """Tell at which trades bid and ask are known."""
        known: NDArray[np.bool_] = (self.bid != MISSING_PRICE) & (self.ask != MISSING_PRICE)
        return known


@dataclass(frozen=True, slots=True)
class TapeSource:
    """A tape that can be read once, front to back.

    Attributes
    ----------
    name : str
        As the user knows it.
    tapes : iterator of SessionTape
    synthetic : SyntheticMarket or None
    seed : int
        Of what is made up beside the tape.
    """

    name: str
    tapes: Iterator[SessionTape]
    synthetic: SyntheticMarket | None
    seed: int


@contextmanager
def open_source(text: str, trades_per_day: int) -> Iterator[TapeSource]:
    """Open ``synth:SEED[:DATE[:DAYS]]``, ``store:PATH`` or ``scid:FILE``.

    Raises
    ------
    UsageError
        If the text is none of these, or a part of it is out of range.
    DataError
        If the store or the file cannot be read or has only bars.
    """
    kind, _, rest = text.partition(":")
    if kind == "synth" and rest:
        yield _synthetic(rest, trades_per_day)
        return
    if kind not in ("store", "scid") or not rest:
        raise UsageError(
            f"unknown market {text!r}: write synth:SEED[:DATE[:DAYS]], store:PATH or scid:FILE"
        )
    with ExitStack() as stack:
        tape = stack.enter_context(open_tape(Path(rest), Selection()))
        if tape.ready_made:
            raise DataError(f"{rest} holds bars: a gateway needs trades")
        blocks = (block for block in tape.blocks() if isinstance(block, TradeBlock))
        yield TapeSource(tape.name, _by_session(blocks), None, 0)


def _synthetic(text: str, trades_per_day: int) -> TapeSource:
    parts = text.split(":")
    if len(parts) > 3 or not all(part.isdigit() for part in parts):
        raise UsageError(f"unknown market synth:{text}: write synth:SEED[:DATE[:DAYS]]")
    seed = int(parts[0])
    start = int(parts[1]) if len(parts) > 1 else SYNTHETIC_START
    days = int(parts[2]) if len(parts) > 2 else SYNTHETIC_DAYS
    if days < 1:
        raise UsageError(f"a synthetic market needs at least one day, not {days}")
    market = SyntheticMarket(seed, start, days, trades_per_day=trades_per_day)
    tapes = (
        SessionTape(session.session_id, block, market)
        for session, block in zip(market.sessions(), market.blocks(), strict=True)
    )
    return TapeSource(f"synthetic market, seed {seed}", tapes, market, seed)


def _by_session(blocks: Iterator[TradeBlock]) -> Iterator[SessionTape]:
    """Put together what belongs to one session, whatever blocks it comes in."""
    held: list[TradeBlock] = []
    current = 0
    for block in blocks:
        ids = sessions.session_ids(block.ts_event)
        starts = np.flatnonzero(np.diff(ids, prepend=-1)).tolist()
        for start, stop in zip(starts, [*starts[1:], len(block)], strict=True):
            session_id = int(ids[start])
            if held and session_id != current:
                yield SessionTape(current, _joined(held), None)
                held = []
            current = session_id
            held.append(_cut(block, start, stop))
    if held:
        yield SessionTape(current, _joined(held), None)


def _cut(block: TradeBlock, start: int, stop: int) -> TradeBlock:
    return TradeBlock(
        block.contract,
        block.ts_event[start:stop],
        block.price[start:stop],
        block.size[start:stop],
        block.aggressor_side[start:stop],
        block.bid_price[start:stop],
        block.ask_price[start:stop],
        block.kind,
    )


def _joined(blocks: list[TradeBlock]) -> TradeBlock:
    if len(blocks) == 1:
        return blocks[0]
    return TradeBlock(
        blocks[0].contract,
        np.concatenate([block.ts_event for block in blocks]),
        np.concatenate([block.price for block in blocks]),
        np.concatenate([block.size for block in blocks]),
        np.concatenate([block.aggressor_side for block in blocks]),
        np.concatenate([block.bid_price for block in blocks]),
        np.concatenate([block.ask_price for block in blocks]),
        blocks[0].kind,
    )

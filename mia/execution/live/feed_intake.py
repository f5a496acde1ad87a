"""What comes from a feed other than the broker's, on its way into a live session.

Each batch goes through the gate into the cycle. Holes end here: a silence that no quiet market
explains, a gap that the feed tells of and cannot fill, trades that came after the clock had closed
their bar. What rests on all trades of the session is then invalid until it ends.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mia.core import sessions
from mia.core.base_types import TradeBlock
from mia.core.market_feed import FeedNotice, FeedNoticeKind, ReceivedTrades
from mia.data.feed_gate import FeedGate
from mia.data.history_stitch import Hole, cut, trading_spans
from mia.errors import DataError
from mia.execution.live.session import LiveSession

log = logging.getLogger(__name__)

SECOND = 1_000_000_000
_QUIET_KINDS = frozenset({FeedNoticeKind.LINK_UP, FeedNoticeKind.RESYNCED, FeedNoticeKind.ROLLED})
FAULTS = {
    FeedNoticeKind.WAITING: True,
    FeedNoticeKind.REWRITTEN: True,
    FeedNoticeKind.LINK_DOWN: True,
    FeedNoticeKind.RESYNCED: False,
    FeedNoticeKind.LINK_UP: False,
    FeedNoticeKind.GAP: False,
}
"""Notices after which the feed cannot be trusted, and those after which it can again."""


def log_notice(name: str, notice: FeedNotice) -> None:
    """Write a line of the log about a notice of a feed."""
    level = logging.INFO if notice.kind in _QUIET_KINDS else logging.WARNING
    log.log(level, "%s %s: %s", name, notice.kind.value, notice.text)


@dataclass(frozen=True, slots=True)
class Patience:
    """When silence is a hole, and when a trade is late.

    Attributes
    ----------
    rth_ns, open_ns : int
        Silence in regular hours, and at other times of trading, that is taken for a hole.
    late_ns : int
        Trades older than this when they come are learned from, and nothing is decided on them.
    """

    rth_ns: int
    open_ns: int
    late_ns: int

    def is_hole(self, since: int, until: int) -> bool:
        """Tell whether the market cannot have been silent between two instants (ns UTC)."""
        if until - since < min(self.rth_ns, self.open_ns):
            return False
        for start, end in trading_spans(since, until):
            day = sessions.session_id(start)
            row = sessions.session_table(day, day)[0]
            regular = min(end, int(row["t_rth_close"])) - max(start, int(row["t_rth_open"]))
            if end - start >= self.open_ns or regular >= self.rth_ns:
                return True
        return False


class FeedIntake:
    """Hands batches and notices of a feed to a session.

    Parameters
    ----------
    session : LiveSession
        Its ``ticks`` are `gate`.
    gate : FeedGate
    name : str
        Of the feed, for the log and events.
    patience : Patience

    Attributes
    ----------
    delay_ns : int
        From the exchange's time of the newest trade to its receipt, of the last batch.
    holes : int
        Told to the state since the start.
    """

    def __init__(self, session: LiveSession, gate: FeedGate, name: str, patience: Patience) -> None:
        self._session = session
        self._gate = gate
        self._name = name
        self._patience = patience
        self._newest = 0
        self._fault = ""
        self.delay_ns = 0
        self.holes = 0
        self._fills_gaps = False

    def begin(self, ts: int) -> None:
        """State from when on (ns UTC) the trades should be complete."""
        self._newest = ts

    def mend_gaps(self) -> None:
        """Leave gaps that the feed tells of to the session's ``repair``."""
        self._fills_gaps = True

    def fault(self) -> str:
        """Say why the feed cannot be trusted now, empty if it can."""
        return self._fault

    def learn(self, block: TradeBlock) -> None:
        """Take trades of the past: the state learns from them, nothing is decided."""
        self._switch(block.contract)
        for hole, part in self._pieces(block):
            if hole is not None:
                self._mark(hole)
            self._gate.on_block(part)
        self._observe()

    def take(self, batch: ReceivedTrades) -> None:
        """Take trades as they come."""
        session = self._session
        if self._fault and not session.is_mending:
            self._fault = ""
        self.delay_ns = batch.delay_ns
        block = batch.block
        session.hear_feed(int(block.ts_event[-1]))
        joins = session.is_mending or not session.is_ready
        if not session.options.lockstep and not joins:
            block = self._timely(block)
            late = session.now - self._patience.late_ns
            if len(old := cut(block, 0, late)):
                self._flush()
                self.learn(old)
                block = cut(block, late, 2**63 - 1)
        if not len(block):
            return
        self._switch(block.contract)
        if joins:
            # It is joined with what history tells, which finds the holes.
            self._gate.on_block(block)
            self._newest = int(block.ts_event[-1])
        else:
            for hole, part in self._pieces(block):
                if hole is not None:
                    self._mark(hole)
                self._gate.on_block(part)
        session.on_feed()

    def on_notice(self, notice: FeedNotice) -> None:
        """Take a notice of the feed: an event, a line of the log, and what follows from it."""
        log_notice(self._name, notice)
        self._session.tell("feed", (self._name, notice))
        self.heed(notice)

    def heed(self, notice: FeedNotice) -> None:
        """Do what follows from a notice that was told."""
        session = self._session
        if notice.kind in FAULTS:
            self._fault = f"{self._name}: {notice.text}" if FAULTS[notice.kind] else ""
        if notice.kind is FeedNoticeKind.REFUSED:
            self._gate.on_bad_tick(session.now)
        elif notice.kind is FeedNoticeKind.GAP:
            if self._fills_gaps and session.is_ready:
                session.lose_data()
            else:
                self.lose(notice.ts_from, notice.ts_to)
        session.follow_up()

    def lose(self, since: int, until: int) -> None:
        """Mark that trades between two times (ns UTC) are missing for good."""
        if until > since:
            self._mark(Hole(max(since, self._gate.newest), until))
            self._newest = max(self._newest, until)

    def _timely(self, block: TradeBlock) -> TradeBlock:
        """Leave out trades whose bar was closed by the clock."""
        closed = self._session.closed_until
        late = block.ts_event < closed
        if not late.any():
            return block
        first = int(block.ts_event[late][0])
        log.warning(
            "%s: %d trades came %.1f s late, after their bar was closed",
            self._name,
            np.count_nonzero(late),
            (self._session.now - first) / SECOND,
        )
        self._mark(Hole(max(self._gate.newest, first - 1), closed))
        return cut(block, closed, 2**63 - 1)

    def _pieces(self, block: TradeBlock) -> Iterator[tuple[Hole | None, TradeBlock]]:
        """Split a block where it was silent for too long."""
        ts = block.ts_event
        before = np.concatenate((np.array([self._newest or ts[0]]), ts[:-1]))
        shortest = min(self._patience.rth_ns, self._patience.open_ns)
        start, hole = 0, None
        for k in np.flatnonzero(ts - before >= shortest).tolist():
            span = Hole(int(before[k]), int(ts[k]))
            if not self._patience.is_hole(span.since, span.until):
                continue
            if k > start:
                yield hole, _rows(block, slice(start, k))
            start, hole = k, span
        self._newest = int(ts[-1])
        yield hole, _rows(block, slice(start, None))

    def _mark(self, hole: Hole) -> None:
        if hole.until <= hole.since:
            return
        self._flush()
        log.warning(
            "%s: a hole of %.0f s; what rests on all trades of the session is invalid until it "
            "ends",
            self._name,
            (hole.until - hole.since) / SECOND,
        )
        self._session.trader.mark_gap(hole.since, hole.until)
        self.holes += 1
        self._session.tell("hole", hole)

    def _flush(self) -> None:
        """Let the cycle take what the gate has collected."""
        if self._session.is_ready:
            self._session.drain()
        else:
            self._observe()

    def _observe(self) -> None:
        block = self._gate.take()
        if block is not None:
            self._session.trader.observe(block)
            self._session.status.on_trades(block)

    def _switch(self, contract: str) -> None:
        if contract == self._gate.contract:
            return
        if contract[:-3] != self._gate.contract[:-3]:
            raise DataError(f"{self._name} sends {contract}, not {self._gate.contract[:-3]}")
        self._flush()
        self._gate.start_contract(contract)


def _rows(block: TradeBlock, rows: slice) -> TradeBlock:
    return replace(
        block,
        ts_event=block.ts_event[rows],
        price=block.price[rows],
        size=block.size[rows],
        aggressor_side=block.aggressor_side[rows],
        bid_price=block.bid_price[rows],
        ask_price=block.ask_price[rows],
    )

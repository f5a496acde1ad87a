"""One tape's matching and the orders that are at it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mia._fast import matching
from mia.core.base_types import MISSING_PRICE, OrderType, TradeBlock
from mia.gateway.venue.order_book import Work

CAPACITY = 1024


@dataclass(frozen=True, slots=True)
class Match:
    """A fill as the matching reports it: contracts, ticks, ns."""

    work: Work
    quantity: int
    price: int
    ts: int


class Floor:
    """Keeps the matching in step with the gateway's orders.

    Requests arrive here when their latency is over: the matching itself has none.

    Parameters
    ----------
    slip_ticks : int
        Adverse slippage of market and stop fills.
    """

    def __init__(self, slip_ticks: int) -> None:
        self._engine = matching.MatchingEngine(CAPACITY, latency_ns=0, slip_ticks=slip_ticks)
        self._works: dict[int, Work] = {}
        self.halted = False
        self.has_untriggered = False
        self.limits: tuple[int, int] | None = None
        self.last_price: int | None = None

    @property
    def works(self) -> Sequence[Work]:
        """Orders at the matching."""
        return list(self._works.values())

    def leaves(self, work: Work) -> int:
        """Return the contracts for which an order is at work."""
        return self._engine.quantities(work.engine_id)[0] if work.engine_id else 0

    def is_tracked(self, work: Work) -> bool:
        """Tell whether the matching still knows an order or what it opened."""
        return bool(work.engine_id) and any(self._engine.quantities(work.engine_id))

    def submit(self, work: Work, quantity: int, ts: int, group: int = 0) -> None:
        """Bring an order that stands for itself, for `quantity` contracts."""
        self._enter(work, quantity, ts, 0, group)

    def attach(self, work: Work, ts: int) -> None:
        """Bring a child; its parent must be here."""
        assert work.parent is not None
        self._enter(work, 0, ts, work.parent.engine_id, 0)
        work.attached = True

    def move(self, work: Work, ts: int) -> None:
        """Take over a new price of an order with one price."""
        stops = work.matching_kind == OrderType.STOP
        self._engine.modify(work.engine_id, ts, work.terms.stop if stops else work.terms.limit)

    def end_rest(self, work: Work, ts: int) -> None:
        """Cancel what is unfilled of a parent; what it opened stays with its children."""
        if work.engine_id:
            self._engine.cancel(work.engine_id, ts)

    def withdraw(self, work: Work) -> None:
        """Take an order out, a parent with its attached children."""
        if not work.engine_id:
            return
        self._engine.release(work.engine_id)
        for each in (work, *work.children):
            if each is work or each.attached:
                self._works.pop(each.engine_id, None)
                each.engine_id = 0

    def advance(self, block: TradeBlock, start: int, stop: int) -> tuple[int, list[Match]]:
        """Match trades up to the first that fills an order."""
        if self.halted:
            return stop, []
        untriggered = self._untriggered()
        self.has_untriggered = bool(untriggered)
        before = [(work, self.leaves(work)) for work in untriggered]
        end = self._engine.advance(block.ts_event, block.price, block.size, start, stop)
        if end > start and self._engine.last_price != MISSING_PRICE:
            self.last_price = self._engine.last_price
        matches = [
            Match(
                self._works[int(record["order_id"])],
                int(record["quantity"]),
                int(record["price"]),
                int(record["ts"]),
            )
            for record in self._engine.fills
        ]
        for work, leaves in before:
            first = start if leaves else end - 1
            if leaves or self.leaves(work):
                self._look_for_trigger(work, block, max(first, start), end)
        return end, matches

    def forget_finished(self) -> list[Work]:
        """Drop what the matching no longer knows, and return it."""
        gone = [work for work in self._works.values() if not self._is_there(work)]
        for work in gone:
            del self._works[work.engine_id]
            work.engine_id = 0
        return gone

    def _is_there(self, work: Work) -> bool:
        if work.attached and work.parent is not None:
            return self.is_tracked(work.parent)
        return self.is_tracked(work)

    def _enter(self, work: Work, quantity: int, ts: int, parent: int, group: int) -> None:
        terms = work.terms
        work.engine_id = self._engine.submit(
            ts, terms.side, work.matching_kind, quantity, terms.stop, terms.limit, parent, group
        )
        work.ts_active = ts
        self._works[work.engine_id] = work

    def _untriggered(self) -> list[Work]:
        return [
            work
            for work in self._works.values()
            if work.terms.kind == OrderType.STOP_LIMIT and not work.triggered
        ]

    @staticmethod
    def _look_for_trigger(work: Work, block: TradeBlock, start: int, end: int) -> None:
        price, stop = block.price[start:end], work.terms.stop
        touched = price >= stop if work.terms.side > 0 else price <= stop
        seen = (block.ts_event[start:end] >= work.ts_active) & (block.size[start:end] > 0)
        work.triggered = bool(np.any(touched & seen))

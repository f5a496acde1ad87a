"""The order book of the live connection, as the trading cycle samples it.

A book is used from a second after it was built, for half a book is no book, and what it said is
forgotten once it has been silent or unusable for too long: a line that died looks like a market
in which nothing moves. Without a book the feature is not valid and the spread is not known.
"""

import asyncio
import logging
import time
from collections.abc import Callable

import numpy as np

from mia._fast.market_state import MarketState
from mia.core.ibkr.contracts import FutureContract
from mia.core.ibkr.streams import DepthBook
from mia.core.ibkr_connector import IbkrConnector
from mia.errors import BrokerError

log = logging.getLogger(__name__)

ROWS = 10
SETTLED_S = 1.0
_BEAT_S = 1.0
_CONFIRM_S = 2.0


class BookFeed:
    """Hands the book of one contract to a market state.

    Parameters
    ----------
    state : MarketState
    now : callable
        Time of the market, ns UTC.
    stale_s : float
        Silence after which the book is forgotten, seconds of the wall.
    monotonic : callable
        Seconds.

    Attributes
    ----------
    used, unused : int
        States of the book that were handed over, and that were not fit for it.
    """

    def __init__(
        self,
        state: MarketState,
        now: Callable[[], int],
        stale_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state = state
        self._now = now
        self._stale_s = stale_s
        self._monotonic = monotonic
        self._bids = np.zeros(ROWS, np.int64)
        self._asks = np.zeros(ROWS, np.int64)
        self._name = ""
        self._whole_since: float | None = None
        self._used_at: float | None = None
        self._book: DepthBook | None = None
        self._pending = False
        self.used = self.unused = 0

    def levels(self) -> tuple[list[list[int]], list[list[int]]]:
        """Return bids and asks from the best outward, empty while the book is not fit for use.

        They are those of the connection: valid until it brings the next change.
        """
        book = self._book
        return (
            (book.bids, book.asks) if book is not None and self._used_at is not None else ([], [])
        )

    async def open(self, market: IbkrConnector, contract: FutureContract) -> bool:
        """Subscribe; a refusal is a line in the log, and the book stays unknown."""
        self._name = contract.name
        self._whole_since = None
        try:
            await market.subscribe_depth(
                contract, self.on_depth, ROWS, confirm=_CONFIRM_S, refused=self._end
            )
        except BrokerError as error:
            self._end(str(error))
            self._name = ""
            return False
        return True

    async def close(self, market: IbkrConnector) -> None:
        """Give up the subscription, as before a change of contract."""
        name, self._name = self._name, ""
        self._book = None
        self.lose()
        if name:
            await market.unsubscribe(f"depth of {name}")

    async def watch(self) -> None:
        """Look every second whether the book is still alive; runs until cancelled."""
        while True:
            await asyncio.sleep(_BEAT_S)
            self.check()

    def check(self) -> None:
        """Forget a book that has not been fit for use for too long."""
        if self._used_at is not None and self._monotonic() - self._used_at > self._stale_s:
            log.warning("the order book of %s has been silent, it is unknown", self._name)
            self.lose()

    def lose(self) -> None:
        """Forget what the book said."""
        self._used_at = None
        self._state.lose_book()

    def on_depth(self, book: DepthBook) -> None:
        """Take a change of the book; what a packet brought is looked at once, when it is read."""
        if not (book.valid and book.bids and book.asks):
            self._whole_since = None
        elif self._whole_since is None:
            self._whole_since = self._monotonic()
        self._book = book
        if not self._pending:
            self._pending = True
            asyncio.get_running_loop().call_soon(self.sample)

    def sample(self) -> None:
        """Hand the book over if it can be believed."""
        self._pending = False
        book, since = self._book, self._whole_since
        if book is None or not self._name:
            return
        now = self._monotonic()
        if since is None or now - since < SETTLED_S or book.bids[0][0] >= book.asks[0][0]:
            self.unused += 1
            return
        if self._used_at is None:
            self._state.expect_book(True)
        self._used_at = now
        self.used += 1
        for sizes, levels in ((self._bids, book.bids), (self._asks, book.asks)):
            sizes.fill(0)
            for k, (_, size) in enumerate(levels[:ROWS]):
                sizes[k] = size
        self._state.on_book(self._now(), self._bids, self._asks, book.asks[0][0] - book.bids[0][0])

    def _end(self, why: str) -> None:
        log.warning("the order book stays unknown: %s", why)
        self.lose()
        self._state.expect_book(False)

"""The order book by rows, once a market second."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mia.config.instruments import TICK
from mia.core.sessions import SECOND
from mia.gateway.desks.line_desk import LineDesk
from mia.gateway.protocol import market_replies
from mia.gateway.protocol.query import ContractQuery

if TYPE_CHECKING:
    from mia.gateway.client_session import ClientSession

TOO_MANY = 309
NOT_SUPPORTED = 10092
NO_SUCH_LINE = 310
INSERT, UPDATE, DELETE = 0, 1, 2
ASK, BID = 0, 1
MAX_ROWS = 10

Row = tuple[int, int]


@dataclass(slots=True)
class DepthLine:
    """One subscription; `sent` are the rows that the client knows, asks and bids."""

    request_id: int
    rows: int
    smart: bool
    sent: list[list[Row]] = field(default_factory=lambda: [[], []])


class DepthDesk(LineDesk[DepthLine]):
    """Depth subscriptions of one client.

    Parameters
    ----------
    session : ClientSession
    """

    def __init__(self, session: "ClientSession") -> None:
        super().__init__(session)
        self._next = 0

    def on_depth(self, request_id: int, query: ContractQuery, rows: int, smart: bool) -> None:
        """Subscribe."""
        session, gateway = self._session, self._gateway
        contract = session.resolve(request_id, query)
        if contract is None or not gateway.has_data(session, request_id, contract):
            return
        if gateway.depth_lines() >= gateway.depth_line_limit():
            session.error(
                request_id,
                TOO_MANY,
                f"Max number ({gateway.depth_line_limit()}) of market depth requests "
                "has been reached",
            )
            return
        if contract.sec_type != "FUT" or not gateway.market.has_books:
            session.error(
                request_id,
                NOT_SUPPORTED,
                "Deep market data is not supported for this combination of security type/exchange",
            )
            return
        if not 1 <= rows <= MAX_ROWS:
            session.error(request_id, 321, f"Error validating request:-{rows} rows of depth")
            return
        self._lines[request_id] = DepthLine(request_id, rows, smart)
        self._update(self._lines[request_id])

    def on_cancel_depth(self, request_id: int, smart: bool) -> None:
        """Unsubscribe."""
        del smart
        if self._lines.pop(request_id, None) is None:
            self._session.error(
                request_id,
                NO_SUCH_LINE,
                f"Can't find the subscribed market depth with tickerId:{request_id}",
            )

    def sample(self, now: int) -> None:
        """Send the rows that have changed, once a second."""
        if self._lines and now >= self._next:
            self._next = now + SECOND
            for line in self._lines.values():
                self._update(line)

    def _update(self, line: DepthLine) -> None:
        bids, asks = self._gateway.market.book()
        for side, rows in ((ASK, asks), (BID, bids)):
            known, new = line.sent[side], rows[: line.rows]
            for k, row in enumerate(new):
                if k >= len(known):
                    self._send(line, k, INSERT, side, row)
                elif row != known[k]:
                    self._send(line, k, UPDATE, side, row)
            for k in range(len(known) - 1, len(new) - 1, -1):
                self._send(line, k, DELETE, side, (0, 0))
            line.sent[side] = new

    def _send(self, line: DepthLine, place: int, operation: int, side: int, row: Row) -> None:
        price, size = row[0] * TICK, row[1]
        self._session.send(
            *(
                market_replies.depth_smart(
                    line.request_id, place, "CME", operation, side, price, size
                )
                if line.smart
                else market_replies.depth(line.request_id, place, operation, side, price, size)
            )
        )

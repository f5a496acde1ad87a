"""Tick-by-tick data: every trade and every change of the quote."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mia.config.instruments import TICK
from mia.core.base_types import MISSING_PRICE
from mia.core.sessions import SECOND
from mia.gateway.desks.line_desk import LineDesk
from mia.gateway.market.tape_market import TapeSlice
from mia.gateway.model import ApiContract
from mia.gateway.protocol.query import ContractQuery
from mia.gateway.protocol.wire import double

if TYPE_CHECKING:
    from mia.gateway.client_session import ClientSession

TICK_BY_TICK = 99
KINDS = {"Last": "1", "AllLast": "2", "BidAsk": "3", "MidPoint": "4"}
LIMIT_REACHED = 10190
NOT_FOR_INDICES = 10189


@dataclass(slots=True)
class TickLine:
    """One subscription; `last` is the quote that was sent last, in ticks."""

    request_id: str
    kind: str
    contract: ApiContract
    ignore_size: bool
    last: tuple[int, int] | None = None


class TickDesk(LineDesk[TickLine]):
    """Tick-by-tick subscriptions of one client.

    Parameters
    ----------
    session : ClientSession
    """

    def __init__(self, session: "ClientSession") -> None:
        super().__init__(session)
        self._prices: dict[int, str] = {}

    def on_tick_by_tick(
        self, request_id: int, query: ContractQuery, kind: str, count: int, ignore_size: bool
    ) -> None:
        """Subscribe, and send the newest `count` ticks of the past first."""
        session, gateway = self._session, self._gateway
        if kind not in KINDS:
            session.error(request_id, 321, f"Error validating request:-tick type {kind}")
            return
        contract = session.resolve(request_id, query)
        if contract is None:
            return
        if contract.sec_type != "FUT":
            session.error(
                request_id,
                NOT_FOR_INDICES,
                "Failed to request tick-by-tick data:No market data permissions for "
                f"{contract.exchange} {contract.sec_type}",
            )
            return
        if gateway.tick_lines() >= gateway.tick_line_limit():
            session.error(
                request_id,
                LIMIT_REACHED,
                "Max number of tick-by-tick requests has been reached.",
            )
            return
        if not gateway.has_data(session, request_id, contract):
            return
        line = TickLine(str(request_id), KINDS[kind], contract, ignore_size)
        self._lines[request_id] = line
        if count > 0:
            self._send_past(line, min(count, 1000))

    def on_cancel_tick_by_tick(self, request_id: int) -> None:
        """Unsubscribe."""
        if self._lines.pop(request_id, None) is None:
            self._session.error(request_id, 300, f"Can't find EId with tickerId:{request_id}")

    def publish(self, piece: TapeSlice) -> None:
        """Send what is new on the tape, each change of the quote before its trade."""
        lines = [
            line
            for line in self._lines.values()
            if self._gateway.market.on_tape(line.contract, piece.tape)
        ]
        if lines:
            self._send(lines, piece)

    def _send_past(self, line: TickLine, count: int) -> None:
        for piece in reversed(self._gateway.market.passed()):
            if self._gateway.market.on_tape(line.contract, piece.tape):
                start = max(piece.stop - count, piece.start)
                self._send([line], TapeSlice(piece.tape, start, piece.stop))
                return

    def _send(self, lines: list[TickLine], piece: TapeSlice) -> None:
        send, price_text = self._session.send, self._text
        market, tape = self._gateway.market, piece.tape
        trades = [(line.request_id, line.kind) for line in lines if line.kind in "12"]
        quotes = [line for line in lines if line.kind in "34"]
        span = slice(piece.start, piece.stop)
        rows = zip(
            tape.second[span].tolist(),
            tape.price[span].tolist(),
            tape.size[span].tolist(),
            tape.bid[span].tolist(),
            tape.ask[span].tolist(),
            strict=True,
        )
        second, when, sizes = -1, "", ("1", "1")
        for ts, price, size, bid, ask in rows:
            if ts != second:
                second, when = ts, str(ts // SECOND)
                if quotes:
                    bid_size, ask_size = market.quote_sizes(tape, ts)
                    sizes = (str(bid_size), str(ask_size))
            for line in quotes:
                if (bid, ask) != line.last and MISSING_PRICE not in (bid, ask):
                    line.last = (bid, ask)
                    if line.kind == "3":
                        quote = (price_text(bid), price_text(ask), *sizes, "0")
                        send(TICK_BY_TICK, (line.request_id, "3", when, *quote))
                    else:
                        middle = double((bid + ask) * TICK / 2)
                        send(TICK_BY_TICK, (line.request_id, "4", when, middle))
            for request_id, kind in trades:
                tick = (price_text(price), str(size), "0", "CME", "")
                send(TICK_BY_TICK, (request_id, kind, when, *tick))

    def _text(self, ticks: int) -> str:
        """Spell a price; the few that occur are kept."""
        known = self._prices.get(ticks)
        if known is None:
            known = self._prices[ticks] = double(ticks * TICK)
        return known

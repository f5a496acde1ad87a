"""Bars of five seconds as they end."""

from dataclasses import dataclass

from mia.config.instruments import TICK
from mia.core import sessions
from mia.core.sessions import SECOND
from mia.gateway.desks.line_desk import LineDesk
from mia.gateway.market import bars
from mia.gateway.model import ApiContract
from mia.gateway.protocol import market_replies
from mia.gateway.protocol.market_replies import PriceBar
from mia.gateway.protocol.query import ContractQuery

WIDTH_S = 5
WIDTH = WIDTH_S * SECOND
INVALID = 321
NO_SUCH_LINE = 300
KINDS = ("TRADES", "MIDPOINT", "BID", "ASK")


@dataclass(slots=True)
class _Line:
    """One subscription; `done` is the end of the last bar that was sent, ns UTC."""

    request_id: int
    contract: ApiContract
    kind: str
    liquid: bool
    done: int
    close: float


class RealtimeDesk(LineDesk[_Line]):
    """Subscriptions of five-second bars of one client.

    Parameters
    ----------
    session : ClientSession
    """

    def on_realtime_bars(
        self, request_id: int, query: ContractQuery, seconds: int, what: str, use_rth: bool
    ) -> None:
        """Subscribe; bars last five seconds, whatever is asked for."""
        del seconds
        session, gateway = self._session, self._gateway
        contract = session.resolve(request_id, query)
        if contract is None or not gateway.has_data(session, request_id, contract):
            return
        if what not in KINDS or contract.sec_type != "FUT":
            session.error(
                request_id,
                INVALID,
                f"Error validating request:-no bars of {what} for {contract.local_symbol}",
            )
            return
        day, now = gateway.market.day, gateway.market.now
        close = (day.last or 0) * TICK
        self._lines[request_id] = _Line(
            request_id, contract, what, use_rth, now // WIDTH * WIDTH, close
        )

    def on_cancel_realtime_bars(self, request_id: int) -> None:
        """Unsubscribe."""
        if self._lines.pop(request_id, None) is None:
            self._session.error(
                request_id, NO_SUCH_LINE, f"Can't find EId with tickerId:{request_id}"
            )

    def sample(self, now: int) -> None:
        """Send every bar that has ended; without a trade it stands at the last close."""
        end = now // WIDTH * WIDTH
        market = self._gateway.market
        for line in self._lines.values():
            if end <= line.done:
                continue
            pieces = [p for p in market.recent() if market.on_tape(line.contract, p.tape)]
            made = bars.bars(pieces, line.done, end, WIDTH_S, line.kind, liquid=line.liquid)
            held = {bar.ts: bar for bar in made}
            for ts in range(line.done, end, WIDTH):
                if not _trades_at(ts) or (line.liquid and not sessions.in_rth(ts)):
                    continue
                volume, count = (0, 0) if line.kind == "TRADES" else (-1, -1)
                flat = PriceBar(
                    ts, line.close, line.close, line.close, line.close, volume, line.close, count
                )
                bar = held.get(ts, flat)
                line.close = bar.close
                self._session.send(*market_replies.realtime_bar(line.request_id, bar))
            line.done = end


def _trades_at(ts: int) -> bool:
    spans = sessions.expected_intervals(sessions.session_id(ts))
    return any(start <= ts < end for start, end in spans)

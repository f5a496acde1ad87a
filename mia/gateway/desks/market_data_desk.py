"""Level 1: the quote, the last trade and the figures of the day, sampled."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mia.config.instruments import TICK
from mia.core.sessions import SECOND
from mia.gateway.desks.line_desk import LineDesk
from mia.gateway.market.tape_market import DayFigures, TapeSlice
from mia.gateway.model import ApiContract
from mia.gateway.protocol import market_replies as messages
from mia.gateway.protocol import replies
from mia.gateway.protocol.market_replies import option_computation, tick_price, tick_size
from mia.gateway.protocol.query import ContractQuery
from mia.gateway.protocol.replies import Reply
from mia.gateway.protocol.wire import double

if TYPE_CHECKING:
    from mia.gateway.client_session import ClientSession

SAMPLE_NS = SECOND // 4
TOO_MANY = 101
INVALID = 321
NO_SUCH_LINE = 300
OPTION_OPEN_INTEREST, FUTURES_OPEN_INTEREST, RT_VOLUME, OPTION_VOLUME = 101, 588, 233, 100
LIVE, FROZEN = 1, 2

BID, ASK, LAST, HIGH, LOW, CLOSE, OPEN = 1, 2, 4, 6, 7, 9, 14
BID_SIZE, ASK_SIZE, LAST_SIZE, VOLUME = 0, 3, 5, 8
CALL_INTEREST, PUT_INTEREST, CALL_VOLUME, PUT_VOLUME = 27, 28, 29, 30
LAST_TIME, RT_TRADES, FUTURES_INTEREST = 45, 48, 86
OPEN_INTEREST = 2_000_000
"""Of the front future, contracts; tapes do not know it."""


@dataclass(slots=True)
class DataLine:
    """One subscription; `sent` is what the client knows, by tick type."""

    request_id: int
    contract: ApiContract
    generic: frozenset[int]
    sent: dict[int, object] = field(default_factory=dict)


class MarketDataDesk(LineDesk[DataLine]):
    """Level-1 subscriptions of one client.

    Parameters
    ----------
    session : ClientSession
    """

    def __init__(self, session: "ClientSession") -> None:
        super().__init__(session)
        self._next = 0
        self._kind = LIVE

    def on_market_data_type(self, kind: int) -> None:
        """Choose live, frozen, delayed or delayed-frozen data for requests to come."""
        if kind not in (1, 2, 3, 4):
            self._session.error(-1, INVALID, f"Error validating request:-data type {kind}")
            return
        self._kind = kind

    def on_market_data(
        self,
        request_id: int,
        query: ContractQuery,
        generic_ticks: str,
        snapshot: bool,
        regulatory_snapshot: bool,
    ) -> None:
        """Subscribe, or send what is known once and message 57."""
        session, gateway = self._session, self._gateway
        del regulatory_snapshot
        names = [name.partition(":")[0].strip() for name in generic_ticks.split(",") if name]
        if not all(name.isdigit() for name in names) or (snapshot and names):
            session.error(
                request_id, INVALID, "Error validating request:-'bR' : cause - generic ticks"
            )
            return
        contract = session.resolve(request_id, query)
        if contract is None or not gateway.has_data(session, request_id, contract, sampled=True):
            return
        if request_id in self._lines:
            session.error(request_id, 322, "Error processing request:-Duplicate ticker id")
            return
        if not snapshot and gateway.data_lines() >= gateway.options.limits.market_data_lines:
            session.error(request_id, TOO_MANY, "Max number of tickers has been reached")
            return
        line = DataLine(request_id, contract, frozenset(map(int, names)))
        frozen = self._kind in (2, 4) and not gateway.market.is_open
        session.send(*messages.market_data_type(request_id, FROZEN if frozen else LIVE))
        session.send(*messages.tick_request_parameters(request_id, contract.min_tick, "9c0001"))
        if not snapshot:
            self._lines[request_id] = line
        self._update(line)
        if snapshot:
            session.send(*replies.end("snapshot", request_id))

    def on_cancel_market_data(self, request_id: int) -> None:
        """Unsubscribe."""
        if self._lines.pop(request_id, None) is None:
            self._session.error(
                request_id, NO_SUCH_LINE, f"Can't find EId with tickerId:{request_id}"
            )

    def sample(self, now: int) -> None:
        """Send what has changed, every quarter of a second at most."""
        if not self._lines or now < self._next:
            return
        self._next = now + SAMPLE_NS
        for line in self._lines.values():
            self._update(line)

    def publish(self, piece: TapeSlice) -> None:
        """Send each trade to who asked for generic tick 233."""
        lines = [
            line
            for line in self._lines.values()
            if RT_VOLUME in line.generic and self._gateway.market.on_tape(line.contract, piece.tape)
        ]
        if not lines:
            return
        span, day = slice(piece.start, piece.stop), self._gateway.market.day
        prices, sizes = piece.tape.price[span].tolist(), piece.tape.size[span].tolist()
        volume = day.volume - sum(sizes)
        notional = day.notional - sum(p * s for p, s in zip(prices, sizes, strict=True))
        times = (piece.tape.second[span] // 1_000_000).tolist()
        for ms, price, size in zip(times, prices, sizes, strict=True):
            volume += size
            notional += price * size
            mean = double(notional / volume * TICK)
            text = f"{double(price * TICK)};{size};{ms};{volume};{mean};true"
            for line in lines:
                self._session.send(*messages.tick_string(line.request_id, RT_TRADES, text))

    def _update(self, line: DataLine) -> None:
        kind = line.contract.sec_type
        if kind == "FUT":
            self._update_future(line, self._gateway.market.figures(line.contract))
        elif kind == "IND":
            self._update_index(line)
        else:
            self._update_option(line)

    def _update_future(self, line: DataLine, day: DayFigures) -> None:
        bid_size, ask_size = self._gateway.market.sizes_now()
        self._price(line, BID, day.bid, BID_SIZE, bid_size)
        self._price(line, ASK, day.ask, ASK_SIZE, ask_size)
        self._price(line, LAST, day.last, LAST_SIZE, day.last_size)
        for kind, ticks in ((OPEN, day.open), (HIGH, day.high), (LOW, day.low), (CLOSE, day.close)):
            self._price(line, kind, ticks)
        if day.volume and self._new(line, VOLUME, day.volume):
            self._session.send(*tick_size(line.request_id, VOLUME, day.volume))
        seconds = day.last_ts // SECOND
        if seconds and self._new(line, LAST_TIME, seconds):
            self._session.send(*messages.tick_string(line.request_id, LAST_TIME, str(seconds)))
        if FUTURES_OPEN_INTEREST in line.generic and self._new(line, FUTURES_INTEREST, 1):
            self._session.send(*tick_size(line.request_id, FUTURES_INTEREST, OPEN_INTEREST))

    def _price(
        self, line: DataLine, kind: int, ticks: int | None, size_kind: int = -1, size: int = 0
    ) -> None:
        """Send a price with its size when either is new, and the size by itself as well."""
        if ticks is None:
            return
        price, sent = ticks * TICK, self._session.send
        size_is_new = size_kind >= 0 and self._new(line, size_kind, size)
        if self._new(line, kind, ticks) or (kind == LAST and size_is_new):
            sent(*tick_price(line.request_id, kind, price, size, 1 if kind in (BID, ASK) else 0))
        if size_is_new:
            sent(*tick_size(line.request_id, size_kind, size))

    def _update_index(self, line: DataLine) -> None:
        figures = self._gateway.option_market.index_day(line.contract.symbol)
        for kind, value in (
            (LAST, figures.last),
            (OPEN, figures.open),
            (HIGH, figures.high),
            (LOW, figures.low),
            (CLOSE, figures.close),
        ):
            if value is not None and self._new(line, kind, value):
                self._session.send(*tick_price(line.request_id, kind, value, 0))
        seconds = figures.ts // SECOND
        if self._new(line, LAST_TIME, seconds):
            self._session.send(*messages.tick_string(line.request_id, LAST_TIME, str(seconds)))

    def _update_option(self, line: DataLine) -> None:
        quote = self._gateway.option_market.quote(line.contract)
        if quote is None:
            return
        sent: list[Reply] = []
        number = line.request_id
        if self._new(line, BID, (quote.bid, quote.bid_size)):
            sent.append(tick_price(number, BID, quote.bid, quote.bid_size, 1))
            sent.append(tick_size(number, BID_SIZE, quote.bid_size))
        if self._new(line, ASK, (quote.ask, quote.ask_size)):
            sent.append(tick_price(number, ASK, quote.ask, quote.ask_size, 1))
            sent.append(tick_size(number, ASK_SIZE, quote.ask_size))
        computed = ((10, quote.bid_computation), (11, quote.ask_computation), (13, quote.model))
        for kind, each in computed:
            values = each.values(quote.underlying)
            if self._new(line, kind, values):
                sent.append(option_computation(number, kind, values))
        call = line.contract.right == "C"
        if OPTION_OPEN_INTEREST in line.generic:
            held = ((CALL_INTEREST, call), (PUT_INTEREST, not call))
            for kind, own in held:
                value = quote.open_interest if own else 0
                if self._new(line, kind, value):
                    sent.append(tick_size(number, kind, value))
        if self._new(line, VOLUME, quote.volume):
            sent.append(tick_size(number, VOLUME, quote.volume))
        if OPTION_VOLUME in line.generic:
            for kind, own in ((CALL_VOLUME, call), (PUT_VOLUME, not call)):
                value = quote.volume if own else 0
                if self._new(line, kind, value):
                    sent.append(tick_size(number, kind, value))
        for reply in sent:
            self._session.send(*reply)

    @staticmethod
    def _new(line: DataLine, kind: int, value: object) -> bool:
        if line.sent.get(kind) == value:
            return False
        line.sent[kind] = value
        return True

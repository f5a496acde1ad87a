"""Answers questions about the past: bars, ticks, and how far it goes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mia.config.instruments import TICK
from mia.core import sessions
from mia.core.sessions import SECOND
from mia.data.chains.option_clock import is_cash_day
from mia.gateway.market import bars
from mia.gateway.market.option_market import cash_span
from mia.gateway.market.tape_market import MONTH_SHARE, MONTH_TICKS, TapeSlice
from mia.gateway.model import ApiContract
from mia.gateway.protocol import market_replies
from mia.gateway.protocol.market_replies import HISTORICAL_TICKS, PriceBar
from mia.gateway.protocol.query import ContractQuery
from mia.gateway.protocol.wire import Value

if TYPE_CHECKING:
    from mia.gateway.client_session import ClientSession

SERVICE_ERROR = 162
INVALID = 321
NO_SUCH_QUERY = 366
MOST_TICKS = 1000
UPDATE_NS = 5 * SECOND
PACING = "Historical Market Data Service error message:Historical data request pacing violation"
NO_DATA = (
    "Historical Market Data Service error message:HMDS query returned no data: "
    "{name}@{place} {what}"
)


@dataclass(slots=True)
class _Question:
    """What a request for bars asks for; `start` to `end` is ns UTC, end excluded."""

    request_id: int
    contract: ApiContract
    start: int
    end: int
    width_s: int
    kind: str
    liquid: bool
    date_format: int
    sent: PriceBar | None = None


class HistoryDesk:
    """Requests for history of one client.

    Parameters
    ----------
    session : ClientSession
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, session: "ClientSession", clock: Callable[[], float] = time.monotonic):
        self._session = session
        self._gateway = session.gateway
        self._clock = clock
        self._live: dict[int, _Question] = {}
        self._next = 0

    @property
    def lines(self) -> int:
        """How many requests are kept up to date."""
        return len(self._live)

    def close(self) -> None:
        """Drop every subscription."""
        self._live.clear()

    def on_historical_data(
        self,
        request_id: int,
        query: ContractQuery,
        end: str,
        bar_size: str,
        duration: str,
        use_rth: int,
        what: str,
        date_format: int,
        keep_up_to_date: bool,
    ) -> None:
        """Answer with message 17, and go on with 90 if asked to."""
        session, gateway = self._session, self._gateway
        now, zone = gateway.market.now, gateway.zone
        contract = session.resolve(request_id, query)
        if contract is None:
            return
        width = bars.BAR_SIZES.get(bar_size)
        until = bars.parse_end(end, now + SECOND, zone)
        start = None if until is None else bars.start_of(duration, until)
        complaint = (
            f"Invalid bar size {bar_size}"
            if width is None
            else f"Invalid end {end}"
            if until is None
            else f"Invalid duration {duration}"
            if start is None
            else f"No data of kind {what}"
            if what not in bars.KINDS
            else f"Invalid date format {date_format}"
            if date_format not in (1, 2)
            else "Live updates need an empty end"
            if keep_up_to_date and end
            else ""
        )
        if complaint or width is None or until is None or start is None:
            session.error(request_id, INVALID, f"Error validating request:-{complaint}")
            return
        same = (contract.con_id, end, bar_size, duration, use_rth, what)
        if not self._allowed(request_id, contract, what, same):
            return
        asked = _Question(
            request_id,
            contract,
            start,
            min(until, now + SECOND),
            width,
            what,
            bool(use_rth),
            date_format,
        )
        made = self._bars(asked)
        if not made:
            session.error(
                request_id,
                SERVICE_ERROR,
                NO_DATA.format(name=contract.local_symbol, place=contract.exchange, what=what),
            )
            return
        dated = [(bars.bar_date(bar, width, date_format, zone), bar) for bar in made]
        first, last = (gateway.text_of_time(ts) for ts in (start, until))
        session.send(*market_replies.historical_data(request_id, first, last, dated))
        if keep_up_to_date:
            asked.sent = made[-1]
            self._live[request_id] = asked

    def on_cancel_historical_data(self, request_id: int) -> None:
        """End a request that is kept up to date."""
        if self._live.pop(request_id, None) is None:
            self._session.error(
                request_id,
                NO_SUCH_QUERY,
                f"No historical data query found for ticker id:{request_id}",
            )

    def on_head_timestamp(
        self, request_id: int, query: ContractQuery, use_rth: int, what: str, date_format: int
    ) -> None:
        """Answer with message 88: the first trade of the tape."""
        del use_rth, what
        contract = self._session.resolve(request_id, query)
        if contract is None:
            return
        first = int(self._gateway.market.tapes[0].second[0])
        seconds = str(first // SECOND)
        text = seconds if date_format == 2 else self._gateway.text_of_time(first, utc=True)
        self._session.send(88, (request_id, text))

    def on_cancel_head_timestamp(self, request_id: int) -> None:
        """Take it: the answer has been given."""
        del request_id

    def on_historical_ticks(
        self,
        request_id: int,
        query: ContractQuery,
        start: str,
        end: str,
        count: int,
        what: str,
        use_rth: int,
        ignore_size: bool,
    ) -> None:
        """Answer with message 96, 97 or 98: `count` ticks from `start` on, or up to `end`.

        The last second is told whole, even beyond the count asked for.
        """
        session, gateway = self._session, self._gateway
        del ignore_size
        contract = session.resolve(request_id, query)
        if contract is None:
            return
        zone = gateway.zone
        since = bars.parse_end(start, -1, zone)
        until = bars.parse_end(end, -1, zone)
        complaint = (
            f"Invalid kind of ticks {what}"
            if what not in HISTORICAL_TICKS
            else f"Invalid number of ticks {count}"
            if not 1 <= count <= MOST_TICKS
            else "Invalid time"
            if since is None or until is None
            else "Give either a start or an end"
            if (since < 0) == (until < 0)
            else ""
        )
        if complaint or since is None or until is None:
            session.error(request_id, INVALID, f"Error validating request:-{complaint}")
            return
        same = (contract.con_id, start, end, count, what, use_rth)
        if not self._allowed(request_id, contract, what, same):
            return
        rows: list[tuple[Value, ...]] = []
        pieces = self._pieces(contract)
        for piece in pieces if since >= 0 else reversed(pieces):
            rows_here = self._ticks(piece, since, until, count - len(rows), what, bool(use_rth))
            rows = rows + rows_here if since >= 0 else rows_here + rows
            if len(rows) >= count:
                break
        session.send(*market_replies.historical_ticks(request_id, what, rows, True))

    def sample(self, now: int) -> None:
        """Send bars that are kept up to date, every five seconds."""
        if not self._live or now < self._next:
            return
        self._next = now + UPDATE_NS
        for asked in self._live.values():
            asked.end = now + SECOND
            if asked.sent is not None:
                asked.start = asked.sent.ts
            for bar in self._bars(asked):
                if bar != asked.sent:
                    asked.sent = bar
                    zone = self._gateway.zone
                    date = bars.bar_date(bar, asked.width_s, asked.date_format, zone)
                    self._session.send(
                        *market_replies.historical_data_update(asked.request_id, date, bar)
                    )

    def _allowed(
        self, request_id: int, contract: ApiContract, what: str, same: tuple[object, ...]
    ) -> bool:
        weight = 2 if what == "BID_ASK" else 1
        kind = (self._session.client_id, contract.con_id, what)
        if self._gateway.pacing.allows(self._clock(), kind, same, weight):
            return True
        self._session.error(request_id, SERVICE_ERROR, PACING)
        return False

    def _pieces(self, contract: ApiContract) -> list[TapeSlice]:
        market = self._gateway.market
        return [piece for piece in market.passed() if market.on_tape(contract, piece.tape)]

    def _bars(self, asked: _Question) -> list[PriceBar]:
        if asked.contract.sec_type == "IND":
            return self._index_bars(asked)
        made: list[PriceBar] = []
        market = self._gateway.market
        for piece in market.passed():
            away = market.quarters_away(asked.contract, piece.tape)
            if away is None:
                continue
            span = (asked.start, asked.end, asked.width_s, asked.kind)
            found = bars.bars([piece], *span, liquid=asked.liquid)
            if away:
                found = [bars.shifted(bar, away * MONTH_TICKS, MONTH_SHARE) for bar in found]
            made += found
        return made

    def _index_bars(self, asked: _Question) -> list[PriceBar]:
        """Return bars of an index: its levels at begin, end and quarters of each."""
        options, symbol = self._gateway.option_market, asked.contract.symbol
        begin = max(asked.start, int(self._gateway.market.tapes[0].second[0]))
        days = [day for day in bars.days_between(begin, asked.end) if is_cash_day(day)]
        times = bars.index_times(begin, asked.end, asked.width_s, map(cash_span, days))
        made = []
        for ts in times:
            width = asked.width_s * SECOND
            if asked.width_s == bars.DAILY:
                opened, closed = cash_span(sessions.session_id(ts))
                width = closed - opened
            last = min(ts + width, asked.end) - SECOND
            levels = [options.level(symbol, ts + (last - ts) * k // 4) for k in range(5)]
            made.append(PriceBar(ts, levels[0], max(levels), min(levels), levels[-1], 0, 0.0, 0))
        return made

    def _ticks(
        self, piece: TapeSlice, since: int, until: int, count: int, what: str, liquid: bool
    ) -> list[tuple[Value, ...]]:
        tape = piece.tape
        rows = np.arange(piece.start, piece.stop)
        if what != "TRADES":
            bid, ask = tape.bid[rows], tape.ask[rows]
            moved = np.ones(len(rows), bool)
            moved[1:] = (bid[1:] != bid[:-1]) | (ask[1:] != ask[:-1])
            rows = rows[moved & tape.known_quotes[rows]]
        if liquid:
            rows = rows[sessions.in_rth_mask(tape.second[rows])]
        seconds = tape.second[rows]
        if since >= 0:
            first = int(np.searchsorted(seconds, since, side="left"))
            last = min(first + count, len(rows))
            if first < last:
                last = int(np.searchsorted(seconds, seconds[last - 1], side="right"))
        else:
            last = int(np.searchsorted(seconds, until, side="left"))
            first = max(last - count, 0)
            if first < last:
                first = int(np.searchsorted(seconds, seconds[first], side="left"))
        return [self._tick(piece, int(row), what) for row in rows[first:last]]

    def _tick(self, piece: TapeSlice, row: int, what: str) -> tuple[Value, ...]:
        tape = piece.tape
        second = int(tape.second[row])
        if what == "TRADES":
            price = int(tape.price[row]) * TICK
            return second // SECOND, 0, price, int(tape.size[row]), "CME", ""
        bid, ask = int(tape.bid[row]) * TICK, int(tape.ask[row]) * TICK
        if what == "MIDPOINT":
            return second // SECOND, 0, (bid + ask) / 2, 0
        sizes = self._gateway.market.quote_sizes(tape, second)
        return second // SECOND, 0, bid, ask, *sizes

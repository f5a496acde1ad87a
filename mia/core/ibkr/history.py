"""History from a gateway: ticks a thousand at a time, bars, within the pace it grants."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.core.ibkr.backend import Backend
from mia.core.ibkr.contracts import INDEX_EXCHANGE, FutureContract
from mia.core.ibkr.pacing import HistoryBudget
from mia.core.ibkr.requests import RequestRefusedError
from mia.core.ibkr.session import Session
from mia.core.ibkr.wire_time import SECOND, parse_time, utc_dash
from mia.errors import BrokerError

PAGE = 1000
_REFUSED = 162
_PASSING = {_REFUSED, 366, 420}
_TIMEOUT = 60.0
_PACING_WAITS = (15.0, 60.0, 240.0)
_TICK_FIELDS = 6
_BAR_FIELDS = 8


@dataclass(frozen=True, slots=True)
class HistoricalTrades:
    """Trades as the wire has them, oldest first.

    Attributes
    ----------
    ts_event : ndarray of int64
        Whole seconds, ns UTC.
    price, size : ndarray of int32
        Ticks, contracts.
    flags : ndarray of int32
        Mask of the wire: 1 past limit, 2 unreported.
    refused : int
        Ticks left out: off grid, not positive, or without a size.
    truncated : tuple of int
        Seconds (ns UTC) that had more trades than a gateway gives for one second.
    """

    ts_event: NDArray[np.int64]
    price: NDArray[np.int32]
    size: NDArray[np.int32]
    flags: NDArray[np.int32]
    refused: int
    truncated: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HistoricalQuotes:
    """Best bids and asks, oldest first; ticks, contracts and ns UTC as in `HistoricalTrades`."""

    ts_event: NDArray[np.int64]
    bid_price: NDArray[np.int32]
    ask_price: NDArray[np.int32]
    bid_size: NDArray[np.int32]
    ask_size: NDArray[np.int32]
    refused: int
    truncated: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HistoricalBars:
    """Bars, oldest first.

    Attributes
    ----------
    ts_event : ndarray of int64
        Start of the bar, ns UTC; of a daily bar, midnight UTC of its date.
    open, high, low, close : ndarray of float64
        Points.
    volume : ndarray of float64
        Contracts; 0 for an index.
    """

    ts_event: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]


class History:
    """Questions for history on one connection.

    Parameters
    ----------
    session : Session
    backend : Backend
    """

    def __init__(self, session: Session, backend: Backend) -> None:
        self._session = session
        self._backend = backend
        self._budget = HistoryBudget(session.endpoint.history)
        self._lock = asyncio.Lock()
        # These only sort fields into rows, so that all of it counts as reading.
        session.handle(17, self._bars, lambda none: None)
        session.handle(97, self._ticks, lambda none: None)
        session.handle(98, self._ticks, lambda none: None)

    def _ticks(self, fields: list[str]) -> None:
        number, count = int(fields[1]), int(fields[2])
        end = 3 + count * _TICK_FIELDS
        done = fields[end] in ("1", "True", "true")
        for k in range(3, end, _TICK_FIELDS):
            self._session.requests.row(number, fields[k : k + _TICK_FIELDS])
        if done:
            self._session.requests.end(number)

    def _bars(self, fields: list[str]) -> None:
        number, count = int(fields[1]), int(fields[4])
        if len(fields) < 5 + count * _BAR_FIELDS:
            raise ValueError(f"{count} bars were announced, the message is shorter")
        for k in range(5, 5 + count * _BAR_FIELDS, _BAR_FIELDS):
            self._session.requests.row(number, fields[k : k + _BAR_FIELDS])
        self._session.requests.end(number)

    async def trades(self, contract: FutureContract, start: int, end: int) -> HistoricalTrades:
        """See `IbkrConnector.historical_trades`."""
        rows, truncated = await self._pages(contract, "TRADES", start, end, 1)
        table = np.array(
            [(float(row[0]), float(row[2]), float(row[3]), float(row[1])) for row in rows],
            np.float64,
        ).reshape(-1, 4)
        price, size = table[:, 1] / contract.min_tick, table[:, 2]
        good = _on_grid(price) & _whole(size, 1)
        return HistoricalTrades(
            ts_event=table[good, 0].astype(np.int64) * SECOND,
            price=price[good].astype(np.int32),
            size=size[good].astype(np.int32),
            flags=table[good, 3].astype(np.int32),
            refused=int((~good).sum()),
            truncated=truncated,
        )

    async def quotes(self, contract: FutureContract, start: int, end: int) -> HistoricalQuotes:
        """See `IbkrConnector.historical_quotes`."""
        rows, truncated = await self._pages(contract, "BID_ASK", start, end, 2)
        table = np.array(
            [[float(row[k]) for k in (0, 2, 3, 4, 5)] for row in rows], np.float64
        ).reshape(-1, 5)
        bid, ask = table[:, 1] / contract.min_tick, table[:, 2] / contract.min_tick
        good = _on_grid(bid) & _on_grid(ask) & _whole(table[:, 3], 0) & _whole(table[:, 4], 0)
        return HistoricalQuotes(
            ts_event=table[good, 0].astype(np.int64) * SECOND,
            bid_price=bid[good].astype(np.int32),
            ask_price=ask[good].astype(np.int32),
            bid_size=table[good, 3].astype(np.int32),
            ask_size=table[good, 4].astype(np.int32),
            refused=int((~good).sum()),
            truncated=truncated,
        )

    async def _pages(
        self, contract: FutureContract, what: str, start: int, end: int, weight: int
    ) -> tuple[list[list[str]], tuple[int, ...]]:
        """Walk forward from `start`, asking for the last second of each page once more.

        Whether a gateway fills the last second of a page beyond a thousand ticks is not
        documented; asking for it again is right in both cases.
        """
        if end <= start:
            raise BrokerError(f"history must end after it starts, was {start} to {end}")
        client = self._session.client
        wire = self._backend.contract(
            conId=contract.con_id,
            symbol=contract.symbol,
            secType="FUT",
            exchange=contract.exchange,
            currency=contract.currency,
        )
        series = f"{what} of {contract.name}"
        kept: list[list[str]] = []
        truncated: list[int] = []
        second, last = -(-start // SECOND), -(-end // SECOND)
        while second < last:
            at = utc_dash(second * SECOND)
            page = await self._ask(
                series,
                at,
                weight,
                partial(_ask_page, client, wire, at, what),
            )
            page = [row for row in page if int(row[0]) >= second]
            if not page:
                break
            newest = int(page[-1][0])
            if len(page) < PAGE:
                kept += page
                second = newest + 1
            elif newest == second:
                # One second fills the page: there may be more of it that cannot be asked for.
                kept += page
                truncated.append(second * SECOND)
                second += 1
            else:
                kept += [row for row in page if int(row[0]) < newest]
                second = newest
        return [row for row in kept if int(row[0]) < last], tuple(truncated)

    async def bars(
        self,
        contract: FutureContract | str,
        end: int,
        duration: str,
        bar_size: str,
        what: str,
        use_rth: bool,
    ) -> HistoricalBars:
        """See `IbkrConnector.historical_bars`."""
        client = self._session.client
        if isinstance(contract, str):
            name = contract
            wire = self._backend.contract(
                symbol=contract, secType="IND", exchange=INDEX_EXCHANGE, currency="USD"
            )
        else:
            name = contract.name
            wire = self._backend.contract(
                conId=contract.con_id,
                symbol=contract.symbol,
                secType="FUT",
                exchange=contract.exchange,
                currency=contract.currency,
            )
        until = utc_dash(end)
        rows = await self._ask(
            f"{what} bars of {name}",
            f"{until} {duration} {bar_size} {use_rth}",
            2 if what == "BID_ASK" else 1,
            lambda number: client.reqHistoricalData(
                number, wire, until, duration, bar_size, what, int(use_rth), 2, False, []
            ),
        )
        table = np.array([[float(x) for x in row[1:6]] for row in rows], np.float64).reshape(-1, 5)
        return HistoricalBars(
            ts_event=np.array([_bar_time(row[0]) for row in rows], np.int64),
            open=table[:, 0].copy(),
            high=table[:, 1].copy(),
            low=table[:, 2].copy(),
            close=table[:, 3].copy(),
            volume=np.maximum(table[:, 4], 0.0),
        )

    async def _ask(
        self, series: str, request: str, weight: int, send: Callable[[int], None]
    ) -> list[Any]:
        async with self._lock:
            for wait in (*_PACING_WAITS, 0.0):
                await self._pace(series, request, weight)
                try:
                    answer = await self._session.requests.ask(series, send, timeout=_TIMEOUT)
                    return answer.rows
                except RequestRefusedError as error:
                    text = error.notice.text.lower()
                    if error.notice.code == _REFUSED and "no data" in text:
                        return []
                    # Pacing violations come under several codes and texts; a missing
                    # permission is the one refusal that waiting does not mend.
                    if not wait or error.notice.code not in _PASSING or "permission" in text:
                        raise
                    await asyncio.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    async def _pace(self, series: str, request: str, weight: int) -> None:
        while True:
            now = self._session.monotonic()
            delay = self._budget.delay(now, series, request, weight)
            if not delay:
                self._budget.spend(now, series, request, weight)
                return
            await asyncio.sleep(delay)


def _ask_page(client: Any, contract: Any, at: str, what: str, number: int) -> None:
    client.reqHistoricalTicks(number, contract, at, "", PAGE, what, 0, False, [])


def _on_grid(ticks: NDArray[np.float64]) -> NDArray[np.bool_]:
    return _whole(ticks, 1)


def _whole(values: NDArray[np.float64], least: int) -> NDArray[np.bool_]:
    good: NDArray[np.bool_] = (
        np.isfinite(values) & (values == np.floor(values)) & (values >= least) & (values < 2**31)
    )
    return good


def _bar_time(text: str) -> int:
    return parse_time(f"{text}-00:00:00" if len(text) == 8 else text)

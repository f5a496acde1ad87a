"""History and chains of IQFeed, through IQConnect's lookup port."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import TypeVar

import numpy as np

from mia.core.base_types import BarBlock, TradeBlock
from mia.core.iqfeed.eastern_time import SECOND_NS, to_eastern
from mia.core.iqfeed.line_socket import IQFeedSocket
from mia.core.iqfeed.messages import IntervalDecoder, TickDecoder, chain_symbols
from mia.errors import DataError, FormatError

LOOKUP_PORT = 9100
REQUESTS_PER_S = 50
OLDEST_FIRST = 1
PER_SEND = 2500

T = TypeVar("T")


class IQFeedHistory:
    """Asks for history and chains, one request at a time on one connection.

    Parameters
    ----------
    host, port
        Where IQConnect listens for lookups.
    requests_per_s : float
        IQFeed refuses more than about 50.
    page : int
        Ticks that one request of a span asks for.
    silence_s : float
        After so long without a line a request has failed.
    monotonic : callable
        Gives ns, for the rate.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = LOOKUP_PORT,
        requests_per_s: float = REQUESTS_PER_S,
        page: int = 100_000,
        silence_s: float = 30.0,
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if page < 1 or not requests_per_s > 0:
            raise ValueError(f"page {page} and rate {requests_per_s} must be positive")
        self._host, self._port = host, port
        self._pause_ns = round(1e9 / requests_per_s)
        self._page = page
        self._silence_s = silence_s
        self._monotonic = monotonic
        self._next_ns = 0
        self._ids = count(1)
        self._lock = asyncio.Lock()
        self._socket: IQFeedSocket | None = None

    async def ticks(
        self, symbol: str, contract: str, start: int, end: int
    ) -> AsyncIterator[TradeBlock]:
        """Yield the trades of a span, oldest first, page by page (``HTT``).

        Parameters
        ----------
        symbol : str
            As in ``@ESZ25``.
        contract : str
            Name that the blocks get.
        start, end : int
            ns UTC, `end` not included.

        Raises
        ------
        DataError
            If IQConnect cannot be reached, refuses, or sends what cannot be read.
        """
        begin, page = start - start % SECOND_NS, self._page
        last = to_eastern(end + SECOND_NS - 1)
        passed, mark = 0, (0, 0, 0)
        while begin < end:
            first = to_eastern(begin)
            lines = await self._ask(
                f"HTT,{symbol},{first:%Y%m%d %H%M%S},{last:%Y%m%d %H%M%S},{page},,,{OLDEST_FIRST}"
            )
            decoder = TickDecoder(contract, not_before=begin)
            for line in lines:
                _read(decoder.add, line)
            block = decoder.columns.block()
            wanted = (block.ts_event >= start) & (block.ts_event < end)
            # Requests begin with a whole second: what came of it before is passed over.
            if passed and (len(block) < passed or _row(block, passed - 1) != mark):
                raise DataError(
                    f"IQFeed's history of {symbol} changed while it was read: ask again"
                )
            wanted[:passed] = False
            if wanted.any():
                yield _part(block, np.flatnonzero(wanted))
            if len(lines) < page:
                return
            newest = int(block.ts_event[-1]) if len(block) else begin
            resume = newest - newest % SECOND_NS
            mark = _row(block, -1) if len(block) else mark
            if resume <= begin:
                # One second holds more than a page.
                page *= 2
                passed = max(passed, len(block))
            else:
                passed = int(np.count_nonzero(block.ts_event >= resume))
                begin = resume

    async def last_ticks(self, symbol: str, contract: str, number: int) -> TradeBlock:
        """Return the newest trades, oldest first (``HTX``); errors as of `ticks`."""
        return await self._ticks(contract, f"HTX,{symbol},{number},{OLDEST_FIRST}")

    async def day_ticks(self, symbol: str, contract: str, days: int) -> TradeBlock:
        """Return the trades of the last days, today included (``HTD``); errors as of `ticks`."""
        return await self._ticks(contract, f"HTD,{symbol},{days},,,,{OLDEST_FIRST}")

    async def bars(
        self, symbol: str, contract: str, width_s: int, start: int, end: int
    ) -> BarBlock:
        """Return the bars that begin in a span (``HIT``), without volume by side.

        Raises
        ------
        DataError
            As of `ticks`.
        """
        first, last = to_eastern(start), to_eastern(end)
        span = f"{first:%Y%m%d %H%M%S},{last:%Y%m%d %H%M%S}"
        block = await self._bars(
            contract, width_s, f"HIT,{symbol},{width_s},{span},,,,{OLDEST_FIRST}"
        )
        return _bars_between(block, start, end)

    async def last_bars(self, symbol: str, contract: str, width_s: int, number: int) -> BarBlock:
        """Return the newest bars, oldest first (``HIX``); errors as of `ticks`."""
        request = f"HIX,{symbol},{width_s},{number},{OLDEST_FIRST}"
        return await self._bars(contract, width_s, request)

    async def day_bars(self, symbol: str, contract: str, width_s: int, days: int) -> BarBlock:
        """Return the bars of the last days (``HID``); errors as of `ticks`."""
        request = f"HID,{symbol},{width_s},{days},,,,{OLDEST_FIRST}"
        return await self._bars(contract, width_s, request)

    async def futures_chain(self, root: str, months: str, years: str) -> list[str]:
        """Return the symbols of futures: root ``@ES``, months ``HMUZ``, last digits of years.

        Raises
        ------
        DataError
            As of `ticks`.
        """
        calls, _ = await self._chain("CFU", f"{root},{months},{years},")
        return calls

    async def future_options(
        self, root: str, months: str, years: str
    ) -> tuple[list[str], list[str]]:
        """Return the symbols of calls and puts on a future; errors as of `ticks`."""
        return await self._chain("CFO", f"{root},cp,{months},{years},")

    async def index_options(self, root: str, near_months: int) -> tuple[list[str], list[str]]:
        """Return the symbols of calls and puts on an index or a share; errors as of `ticks`."""
        return await self._chain("CEO", f"{root},cp,,{near_months},0,,", tail=",0")

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _ticks(self, contract: str, request: str) -> TradeBlock:
        decoder = TickDecoder(contract)
        for line in await self._ask(request):
            _read(decoder.add, line)
        return decoder.columns.block()

    async def _bars(self, contract: str, width_s: int, request: str) -> BarBlock:
        decoder = IntervalDecoder()
        lines = await self._ask(request, tail=",s,1")
        bars = [_read(decoder.read, line) for line in lines]
        none = np.zeros(len(bars), np.int64)
        return BarBlock(
            contract,
            width_s,
            np.array([bar.t_open for bar in bars], np.int64),
            np.array([bar.open for bar in bars], np.int32),
            np.array([bar.high for bar in bars], np.int32),
            np.array([bar.low for bar in bars], np.int32),
            np.array([bar.close for bar in bars], np.int32),
            np.array([bar.volume for bar in bars], np.int64),
            none,
            none.copy(),
            np.array([bar.trades for bar in bars], np.int64),
        )

    async def _chain(
        self, command: str, request: str, tail: str = ""
    ) -> tuple[list[str], list[str]]:
        calls: list[str] = []
        puts: list[str] = []
        for line in await self._ask(f"{command},{request}", per_send=False, tail=tail):
            some_calls, some_puts = _read(chain_symbols, line)
            calls += some_calls
            puts += some_puts
        return calls, puts

    async def _ask(self, request: str, *, per_send: bool = True, tail: str = "") -> list[bytes]:
        """Send a request and return the lines of its answer; none if there is no data."""
        async with self._lock:
            wait = self._next_ns - self._monotonic()
            if wait > 0:
                await asyncio.sleep(wait / 1e9)
            self._next_ns = self._monotonic() + self._pause_ns
            name = f"R{next(self._ids)}"
            command = f"{request},{name}{f',{PER_SEND}' if per_send else ''}{tail}"
            try:
                return await self._answer(command, name.encode())
            except OSError as error:
                self.close()
                raise DataError(
                    f"IQConnect at {self._host}:{self._port} does not answer {request}: "
                    f"{str(error) or 'no line in time'}; is it running and logged in?"
                ) from error
            except BaseException:
                # What is left of the answer must not meet the next request.
                self.close()
                raise

    async def _answer(self, command: str, name: bytes) -> list[bytes]:
        if self._socket is None:
            self._socket = await IQFeedSocket.connect(self._host, self._port)
        await self._socket.send(command)
        found: list[bytes] = []
        prefix, end = name + b",", name + b",!ENDMSG!"
        failed = False
        while True:
            async with asyncio.timeout(self._silence_s):
                lines = await self._socket.lines()
            for line in lines:
                if line.startswith(end):
                    if failed:
                        return []
                    return found
                if line.startswith(name + b",E,"):
                    text = line[len(name) + 3 :].decode("ascii", "replace").strip(",")
                    if "!NO_DATA!" not in text:
                        raise DataError(f"IQFeed refuses {command}: {text}")
                    failed = True
                elif line.startswith(prefix):
                    found.append(line)
                elif line.startswith(b"E,"):
                    text = line[2:].decode("ascii", "replace").strip(",")
                    raise DataError(f"IQFeed refuses {command}: {text}")


def _read(reader: Callable[[bytes], T], line: bytes) -> T:
    try:
        return reader(line)
    except ValueError as error:
        raise FormatError(f"IQFeed's history cannot be read: {error}") from None


def _row(block: TradeBlock, k: int) -> tuple[int, int, int]:
    return int(block.ts_event[k]), int(block.price[k]), int(block.size[k])


def _part(block: TradeBlock, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> TradeBlock:
    return TradeBlock(
        block.contract,
        block.ts_event[rows],
        block.price[rows],
        block.size[rows],
        block.aggressor_side[rows],
        block.bid_price[rows],
        block.ask_price[rows],
    )


def _bars_between(block: BarBlock, start: int, end: int) -> BarBlock:
    rows = (block.t_open >= start) & (block.t_open < end)
    return BarBlock(
        block.contract,
        block.width_s,
        block.t_open[rows],
        block.open[rows],
        block.high[rows],
        block.low[rows],
        block.close[rows],
        block.volume[rows],
        block.bid_volume[rows],
        block.ask_volume[rows],
        block.trades[rows],
    )

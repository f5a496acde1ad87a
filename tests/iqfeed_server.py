"""A simulated IQConnect over real TCP: level 1, lookups and depth, fed from a tape."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from mia.core.base_types import MISSING_PRICE, TradeBlock

NEW_YORK = ZoneInfo("America/New_York")
SIDES = {1: 1, -1: 2, 0: 3}
NS = 1_000_000_000


def eastern(ts: int) -> tuple[str, str]:
    """Return date and time of New York, the time with microseconds."""
    at = datetime.fromtimestamp(ts // NS, NEW_YORK)
    return at.strftime("%Y-%m-%d"), at.strftime("%H:%M:%S") + f".{ts % NS // 1000:06d}"


def points(ticks: int) -> str:
    return "" if ticks == MISSING_PRICE else f"{ticks / 4:.2f}"


def rows(block: TradeBlock):
    names = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")
    return list(zip(*(getattr(block, name).tolist() for name in names), strict=True))


def tick_lines(block: TradeBlock, basis="C") -> list[str]:
    """Return ticks as protocol 6.2 gives them, without request id."""
    lines, total = [], 0
    for k, (ts, price, size, side, bid, ask) in enumerate(rows(block)):
        day, time = eastern(ts)
        total += size
        lines.append(
            f"LH,{day} {time},{points(price)},{size},{total},{points(bid)},{points(ask)},"
            f"{k},{basis},43,01,{SIDES[side]},{datetime.fromisoformat(day).day},"
        )
    return lines


class IQConnect:
    """What the three ports share: the tape, faults, and what clients sent.

    Attributes
    ----------
    received : list of str
        Commands in order, of all ports.
    drop_after : list of int
        Trades after which a level-1 connection is cut, one entry for each connection.
    stalls : dict of int to float
        Seconds for which nothing comes before a trade; once each.
    no_history : bool
        Lookups are refused.
    ends_again : bool
        A connection that comes after the end of the tape gets its last trade.
    upto : callable, optional
        Time (ns UTC) up to which the market has traded; all of it at once without one.
    missed : int
        Trades that happen while a connection that was cut is down, and that only history tells.
    """

    def __init__(self, block: TradeBlock, symbol: str = "@ESH25", protocol: str = "6.2") -> None:
        self.block = block
        self.symbol = symbol
        self.protocol = protocol
        self.received: list[str] = []
        self.drop_after: list[int] = []
        self.missed = 0
        self.upto: Callable[[], int] | None = None
        self.refusing = False
        self.stalls: dict[int, float] = {}
        self._streams = 0
        self.ends_again = self.no_history = False
        self.extra: dict[int, list[str]] = {}
        self.sent = 0
        self.chunk = 5000
        self.depth: list[str] = []
        self.ports: dict[str, int] = {}
        self.silent = False
        self.connections = 0
        self.live = True
        self._writers: set[asyncio.StreamWriter] = set()
        self._lines = tick_lines(block)

    @asynccontextmanager
    async def running(self):
        servers = []
        for name in ("level1", "lookup", "depth"):
            server = await asyncio.start_server(self._handler(name), "127.0.0.1", 0)
            self.ports[name] = server.sockets[0].getsockname()[1]
            servers.append(server)
        try:
            yield self
        finally:
            for server in servers:
                server.close()
            for writer in list(self._writers):
                writer.close()
            await asyncio.sleep(0)

    def _handler(self, name):
        async def handle(reader, writer):
            self._writers.add(writer)
            self.connections += 1
            try:
                await getattr(self, f"_{name}")(reader, writer)
            except (ConnectionError, asyncio.CancelledError):
                pass
            finally:
                writer.close()
                self._writers.discard(writer)

        return handle

    async def _commands(self, reader, writer):
        while line := await reader.readline():
            command = line.decode().rstrip("\r\n")
            self.received.append(command)
            if command.startswith("S,SET PROTOCOL,"):
                await self._send(writer, [f"S,CURRENT PROTOCOL,{self.protocol},"])
            else:
                yield command

    async def _send(self, writer, lines: list[str]) -> None:
        data = "".join(line + "\r\n" for line in lines).encode()
        for k in range(0, len(data), self.chunk):
            writer.write(data[k : k + self.chunk])
            await writer.drain()
            if self.chunk < 1000:
                await asyncio.sleep(0)

    def cut_all(self) -> None:
        """Cut every connection, and take no more."""
        self.refusing = True
        for writer in list(self._writers):
            writer.close()

    async def _level1(self, reader, writer):
        if self.refusing:
            return
        await self._send(writer, ["S,KEY,12345,", "S,SERVER CONNECTED,", "S,CUST,real_time,,,"])
        fields: list[str] = []
        async for command in self._commands(reader, writer):
            if command.startswith("S,SELECT UPDATE FIELDS,"):
                fields = ["Symbol", *command.split(",")[2:]]
                await self._send(writer, ["S,CURRENT UPDATE FIELDNAMES," + ",".join(fields) + ","])
            elif command == f"w{self.symbol}":
                if await self._stream(writer, fields):
                    return
            elif command.startswith("w"):
                await self._send(writer, [f"n,{command[1:]},"])

    async def _stream(self, writer, fields: list[str]) -> bool:
        """Send the rest of the tape; true if the connection was then cut on purpose."""
        self._streams += 1
        ours = self._streams
        tape = rows(self.block)
        if self.ends_again:
            self.sent = min(self.sent, len(tape) - 1)
        total = sum(row[2] for row in tape[: self.sent])
        cut = self.drop_after.pop(0) if self.drop_after else None
        await self._send(writer, [self._update("P", fields, tape[self.sent - 1], total, "Cbav")])
        lines: list[str] = ["T,20250310 18:00:00"]
        for k in range(self.sent, len(tape)):
            if cut == k:
                await self._send(writer, lines)
                self.sent = min(k + self.missed, len(tape) - 1)
                return True
            if self.upto is not None and tape[k][0] > self.upto():
                await self._send(writer, lines)
                lines = []
                while tape[k][0] > self.upto():
                    await asyncio.sleep(0.02)
                    await self._send(writer, ["T,20250310 18:00:00"])
            if (seconds := self.stalls.pop(k, 0.0)) > 0.0:
                await self._send(writer, lines)
                lines = []
                await asyncio.sleep(seconds)
                if self._streams != ours:
                    # The client has come back meanwhile.
                    return True
            lines += self.extra.get(k, [])
            total += tape[k][2]
            lines.append(self._update("Q", fields, tape[k], total, "Cbav"))
            if k % 3 == 0:
                lines.append(self._update("Q", fields, tape[k], total, "ba"))
            self.sent = k + 1
            if len(lines) > 50:
                await self._send(writer, lines)
                lines = []
        await self._send(writer, lines)
        return False

    def _update(self, kind: str, fields: list[str], row, total: int, contents: str) -> str:
        ts, price, size, side, bid, ask = row
        day, time = eastern(ts)
        year, month, date = day.split("-")
        values = {
            "Symbol": self.symbol,
            "Most Recent Trade": points(price),
            "Most Recent Trade Size": size,
            "Most Recent Trade Date": f"{month}/{date}/{year}",
            "Most Recent Trade Time": time,
            "Most Recent Trade Aggressor": SIDES[side],
            "Bid": points(bid),
            "Bid Size": 12,
            "Ask": points(ask),
            "Ask Size": 15,
            "Total Volume": total,
            "Message Contents": contents,
        }
        return ",".join([kind, *(str(values[name]) for name in fields), ""])

    async def _lookup(self, reader, writer):
        async for command in self._commands(reader, writer):
            if not self.silent:
                await self._send(writer, self.answer(command))

    def answer(self, command: str) -> list[str]:
        word, *args = command.split(",")
        if word in {"HTX", "HTD", "HTT"}:
            name = args[-2]
            lines = self._ticks_of(word, args)
        elif word in {"HIX", "HID", "HIT"}:
            name = args[-4]
            lines = self._bars_of(word, args)
        elif word == "CFU":
            name = args[-1]
            lines = ["LC," + ",".join(f"{args[0]}{m}25" for m in args[1]) + ","]
        elif word in {"CEO", "CFO"}:
            name = args[-2] if word == "CEO" else args[-1]
            lines = ["LC,SPXC100,SPXC200,:,SPXP100,SPXP200,"]
        else:
            return [f"E,!SYNTAX_ERROR!,{command},"]
        if self.no_history:
            return [f"{name},E,Unauthorized user ID.,", f"{name},!ENDMSG!,"]
        if args[0] not in {self.symbol, "@ES", "SPX"}:
            return [f"{name},E,Invalid symbol.,", f"{name},!ENDMSG!,"]
        if not lines:
            return [f"{name},E,!NO_DATA!,,", f"{name},!ENDMSG!,"]
        return [f"{name},{line}" for line in lines] + [f"{name},!ENDMSG!,"]

    def _ticks_of(self, word: str, args: list[str]) -> list[str]:
        lines = self._lines
        if word == "HTX":
            return lines[-int(args[1]) :]
        if word == "HTD":
            days = sorted({line[3:13] for line in lines})[-int(args[1]) :]
            return [line for line in lines if line[3:13] in days]
        begin, end = (_wall(text) for text in args[1:3])
        # To the second, the last one included.
        found = [line for line in lines if begin <= line[3:22] <= end]
        return found[: int(args[3])]

    def _bars_of(self, word: str, args: list[str]) -> list[str]:
        width = int(args[1])
        lines = bar_lines(self.block, width)
        if word == "HIX":
            return lines[-int(args[2]) :]
        if word == "HID":
            days = sorted({line[3:13] for line in lines})[-int(args[2]) :]
            return [line for line in lines if line[3:13] in days]
        begin, end = (_wall(text) for text in args[2:4])
        return [line for line in lines if begin <= line[3:22] <= end]

    async def _depth(self, reader, writer):
        async for command in self._commands(reader, writer):
            if command.split(",")[-1] != self.symbol:
                await self._send(writer, [f"n,{command.split(',')[-1]},"])
                continue
            await self._send(writer, self.depth)
            if self.drop_after:
                self.drop_after.pop(0)
                return


def _wall(text: str) -> str:
    day, time = text.split(" ")
    return f"{day[:4]}-{day[4:6]}-{day[6:]} {time[:2]}:{time[2:4]}:{time[4:]}"


def bar_lines(block: TradeBlock, width_s: int) -> list[str]:
    """Return bars labelled by their beginning: high, low, open, close."""
    slot = block.ts_event // (width_s * NS)
    lines, total = [], 0
    for value in np.unique(slot):
        chosen = slot == value
        price, size = block.price[chosen], block.size[chosen]
        total += int(size.sum())
        day, time = eastern(int(value) * width_s * NS)
        shown = [points(int(p)) for p in (price.max(), price.min(), price[0], price[-1])]
        lines.append(
            f"LH,{day} {time[:8]},{','.join(shown)},{total},{int(size.sum())},{len(price)},"
        )
    return lines

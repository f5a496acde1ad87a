"""Updates of IQFeed's level 1: trades and quotes of watched symbols."""

from dataclasses import dataclass

from mia.core.base_types import TradeBlock
from mia.core.iqfeed.eastern_time import EasternTime
from mia.core.iqfeed.messages import Ticks, TradeColumns, aggressor, whole
from mia.errors import FormatError

UPDATE_FIELDS = (
    "Most Recent Trade",
    "Most Recent Trade Size",
    "Most Recent Trade Date",
    "Most Recent Trade Time",
    "Most Recent Trade Aggressor",
    "Bid",
    "Bid Size",
    "Ask",
    "Ask Size",
    "Total Volume",
    "Message Contents",
)
"""Fields that are asked for; the answer says in which order they come."""


@dataclass(frozen=True, slots=True)
class Level1Quote:
    """Best bid and ask in ticks and contracts; `MISSING_PRICE` and 0 where there is none."""

    bid_price: int
    bid_size: int
    ask_price: int
    ask_size: int


@dataclass(slots=True)
class Level1Counts:
    """What became of the updates of a contract.

    Attributes
    ----------
    updates, trades : int
        All, and those that are trades.
    other : int
        Trades that do not count for the last price, as reported late: left out.
    refused : int
        Lines that could not be read.
    missing_volume : int
        Contracts by which the day's volume grew without a trade that explains it.
    """

    updates: int = 0
    trades: int = 0
    other: int = 0
    refused: int = 0
    missing_volume: int = 0


class Level1Decoder:
    """Reads the updates of watched symbols.

    Parameters
    ----------
    contracts : dict of bytes to str
        Contract by symbol, as ``ESZ25`` by ``@ESZ25``.
    """

    def __init__(self, contracts: dict[bytes, str]) -> None:
        self.counts = {contract: Level1Counts() for contract in contracts.values()}
        self.quotes: dict[str, Level1Quote] = {}
        self.last_trade: dict[str, int] = {}
        self._contracts = contracts
        self._columns = {name: TradeColumns(name) for name in contracts.values()}
        self._volume: dict[str, int] = {}
        self._eastern = EasternTime()
        self._ticks = Ticks()
        self._at: tuple[int, ...] | None = None
        self._fields = 0
        self._quote_texts: dict[str, tuple[bytes, bytes, bytes, bytes]] = {}

    @property
    def ready(self) -> bool:
        """Whether the order of the fields is known."""
        return self._at is not None

    def set_fields(self, names: list[str]) -> None:
        """Learn the order of the fields, from the symbol on.

        Raises
        ------
        FormatError
            If one that is needed is missing.
        """
        missing = [name for name in ("Symbol", *UPDATE_FIELDS) if name not in names]
        if missing:
            raise FormatError(f"IQFeed's updates have no field {missing[0]!r}")
        # The kind of the message comes before the symbol.
        self._at = tuple(names.index(name) + 1 for name in UPDATE_FIELDS)
        self._fields = len(names) + 1

    def update(self, line: bytes, not_before: int) -> None:
        """Take a line that begins with ``P,`` or ``Q,``.

        Raises
        ------
        ValueError
            If it cannot be read. It then counts as refused and changes nothing.
        """
        at = self._at
        parts = line.split(b",")
        if at is None or len(parts) < self._fields:
            raise ValueError(f"{line[:80]!r} has {len(parts)} fields")
        contract = self._contracts.get(parts[1])
        if contract is None:
            raise ValueError(f"{parts[1]!r} is not watched")
        counts = self.counts[contract]
        counts.updates += 1
        try:
            self._read(line[:1] == b"Q", contract, counts, parts, at, not_before)
        except ValueError:
            counts.refused += 1
            raise

    def _read(
        self,
        update: bool,
        contract: str,
        counts: Level1Counts,
        parts: list[bytes],
        at: tuple[int, ...],
        not_before: int,
    ) -> None:
        price, size, day, time, side, bid, bid_size, ask, ask_size, volume, contents = at
        texts = parts[bid], parts[bid_size], parts[ask], parts[ask_size]
        bid_price, ask_price = self._ticks.quote(texts[0]), self._ticks.quote(texts[2])
        what = parts[contents]
        is_trade = update and (b"C" in what or b"E" in what)
        if is_trade:
            ts = self._eastern.ns(parts[day], parts[time], not_before)
            ticks = self._ticks.of(parts[price])
            lots = whole(parts[size])
            who = aggressor(parts[side])
            if lots == 0:
                raise ValueError("a trade has no size")
        if texts != self._quote_texts.get(contract):
            self.quotes[contract] = Level1Quote(
                bid_price, whole(texts[1] or b"0"), ask_price, whole(texts[3] or b"0")
            )
            self._quote_texts[contract] = texts
        total = whole(parts[volume] or b"0", 10**15)
        known = self._volume.get(contract)
        self._volume[contract] = total
        if is_trade:
            columns = self._columns[contract]
            columns.ts_event.append(ts)
            columns.price.append(ticks)
            columns.size.append(lots)
            columns.aggressor_side.append(who)
            columns.bid_price.append(bid_price)
            columns.ask_price.append(ask_price)
            counts.trades += 1
            self.last_trade[contract] = ts
            if known is not None and total > known + lots:
                counts.missing_volume += total - known - lots
        elif update and b"O" in what:
            counts.other += 1

    def take(self) -> list[TradeBlock]:
        """Return the trades read since the last call, one block for each contract with any."""
        blocks = []
        for contract, columns in self._columns.items():
            if len(columns):
                blocks.append(columns.block())
                self._columns[contract] = TradeColumns(contract)
        return blocks

"""Column names of plain tables of trades and bars, and what they mean.

This table is the schema of `docs/data-schema.md`: the first name of each column is the one to
write, the others are understood. Names are compared without case, blanks and underscores.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mia.config.instruments import TICK
from mia.data.importers.delimited import normal
from mia.errors import FormatError

TIME = ("ts_event", "ts_utc", "t_open", "timestamp", "datetime", "time_utc")
CONTRACT = ("contract", "symbol")

TRADES = {
    "ts_event": TIME,
    "price": ("price", "trade_price"),
    "size": ("size", "qty", "quantity", "volume"),
    "aggressor_side": ("aggressor_side", "side"),
    "bid_price": ("bid_price", "bid"),
    "ask_price": ("ask_price", "ask"),
    "bid_size": ("bid_size",),
    "ask_size": ("ask_size",),
    "ts_recv": ("ts_recv",),
    "seq": ("seq", "sequence"),
    "contract": CONTRACT,
}
BARS = {
    "t_open": ("t_open", *(name for name in TIME if name != "t_open")),
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("close", "last"),
    "volume": ("volume", "size"),
    "bid_volume": ("bid_volume", "bid_vol"),
    "ask_volume": ("ask_volume", "ask_vol"),
    "trades": ("trades", "fills", "number_of_trades"),
    "front": ("front",),
    "contract": CONTRACT,
}
PRICES = ("price", "bid_price", "ask_price", "open", "high", "low", "close")
TICKS = "_tick"
"""What a price column is called in addition if it counts ticks, as in ``close_tick``."""

NEEDED = {
    "trades": ("ts_event", "price", "size"),
    "bars": ("t_open", "open", "high", "low", "close", "volume"),
}

SIDES = {
    "1": 1,
    "+1": 1,
    "b": 1,
    "buy": 1,
    "-1": -1,
    "s": -1,
    "sell": -1,
    "0": 0,
    "n": 0,
    "": 0,
}
"""Aggressors. ``A`` is absent: to one vendor it is the seller, to another the ask, so the buyer."""


UNKNOWN = {"bid_size": -1, "ask_size": -1}
"""Counts that may be missing, and what then stands for them."""


@dataclass(frozen=True, slots=True)
class TableColumns:
    """Which columns of a table hold what.

    Attributes
    ----------
    kind : str
        ``trades`` or ``bars``.
    source : dict of str to str
        Name in the file by name of the column here.
    in_ticks : bool
        Whether prices count ticks rather than points.
    """

    kind: str
    source: dict[str, str]
    in_ticks: bool

    @property
    def price_scale(self) -> float | None:
        """Points per unit of price; None: points, or hundredths of them."""
        return TICK if self.in_ticks else None


def match_columns(names: Sequence[str], file_name: str) -> TableColumns:
    """Find out what a table holds.

    Raises
    ------
    FormatError
        If it has the columns of neither trades nor bars, or prices in both units.
    """
    best: list[str] = []
    for kind, table in (("bars", BARS), ("trades", TRADES)):
        found = _match(names, table)
        missing = [name for name in NEEDED[kind] if name not in found]
        if not missing:
            ticks = {is_ticks for name, (_, is_ticks) in found.items() if name in PRICES}
            if len(ticks) == 2:
                raise FormatError(f"{file_name} has prices in points and in ticks: use one unit")
            source = {name: column for name, (column, _) in found.items()}
            return TableColumns(kind, source, ticks == {True})
        best.append(f"{kind} lack {', '.join(missing)}")
    shown = ", ".join(map(str, names[:12]))
    raise FormatError(
        f"{file_name} has the columns of neither trades nor bars ({'; '.join(best)}): "
        f"it has {shown}; see docs/data-schema.md"
    )


def _match(names: Sequence[str], table: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, bool]]:
    known = {}
    for name in reversed(names):
        known[normal(name)] = name
    found = {}
    for column, spellings in table.items():
        for spelling in spellings:
            key = normal(spelling)
            if key in known:
                found[column] = (known[key], False)
                break
            if column in PRICES and key + normal(TICKS) in known:
                found[column] = (known[key + normal(TICKS)], True)
                break
    return found

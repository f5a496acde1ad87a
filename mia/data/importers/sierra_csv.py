"""Text exports of Sierra Chart: bars in the chart's time zone, and trades in UTC.

A bar export names ``Date, Time, Open, High, Low, Last, Volume, NumberOfTrades, BidVolume,
AskVolume``; the study "Write Bar Data" spells them apart, adds averages and may repeat names,
of which the first counts. A trade export is separated by semicolons and gives the fraction of
a second as a count of microseconds without leading zeros: ``.5000`` is 5 ms. Its last three
digits count the trades of a millisecond, so `ts_event` keeps the millisecond.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.data.importers.contracts import contract_of_file
from mia.data.importers.delimited import (
    US_PER_DAY,
    Rows,
    Table,
    days,
    times_of_day,
    wall_to_utc,
)
from mia.data.importers.reading import (
    ImportLog,
    Progress,
    ReadOptions,
    bar_seconds,
    no_progress,
    zone,
)
from mia.data.importers.scale import PriceScale
from mia.data.raw import RawBars, RawTrades
from mia.errors import FormatError

CHART_ZONE = "America/Chicago"
NS_PER_MS = 1_000_000

BAR_COLUMNS = {
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("last", "close"),
    "volume": ("volume",),
    "trades": ("numberoftrades", "#oftrades", "numtrades"),
    "bid_volume": ("bidvolume",),
    "ask_volume": ("askvolume",),
}
OPTIONAL = ("trades", "bid_volume", "ask_volume")
TRADE_COLUMNS = ("date", "time", "sequence", "price", "volume", "tradetype")
QUOTE_COLUMNS = ("bidprice", "askprice", "bidsize", "asksize")


def is_trade_export(names: list[str]) -> bool:
    """Tell whether column names are those of a trade export."""
    return set(TRADE_COLUMNS) <= set(names)


def is_bar_export(names: list[str]) -> bool:
    """Tell whether column names are those of a bar export."""
    return {"date", "time", "open", "high", "low", "volume"} <= set(names)


def read_bars(
    path: Path, options: ReadOptions, log: ImportLog, progress: Progress = no_progress
) -> Iterator[RawBars]:
    """Read a bar export.

    Raises
    ------
    ConfigError
        If the time zone is unknown.
    DataError
        If the file cannot be read.
    FormatError
        If it lacks a column, does not say its contract, or its bars have no fixed width.
    """
    tz = zone(options.time_zone or CHART_ZONE)
    contract = contract_of_file(path, options.contract)
    table = Table(path, ",")
    places = {}
    for column, spellings in BAR_COLUMNS.items():
        found = [name for name in spellings if name in table.names]
        if found:
            places[column] = found[0]
        elif column not in OPTIONAL:
            raise FormatError(f"{path.name} has no column {spellings[0]!r}")
    if ("bid_volume" in places) != ("ask_volume" in places):
        raise FormatError(f"{path.name} has one of BidVolume and AskVolume: both or none needed")

    scales = PriceScale(contract, path.name, options.price_scale, log)
    width = options.bar_seconds
    wanted = ["date", "time", *places.values()]
    for rows in table.blocks(wanted, options.chunk_rows, log, progress):
        wall = _wall_us(rows, counted=False)
        t_open = wall_to_utc(wall, tz, rows)
        prices = {name: rows.floats(places[name]) for name in ("open", "high", "low", "close")}
        counts = {
            name: rows.integers(place) for name, place in places.items() if name not in prices
        }
        good = rows.usable(log)
        if len(good) == 0:
            continue
        width = bar_seconds(t_open[good], path.name, width)
        yield RawBars(
            contract=contract,
            width_s=width,
            t_open=t_open[good],
            open=prices["open"][good],
            high=prices["high"][good],
            low=prices["low"][good],
            close=prices["close"][good],
            volume=counts["volume"][good],
            bid_volume=counts["bid_volume"][good] if "bid_volume" in counts else None,
            ask_volume=counts["ask_volume"][good] if "ask_volume" in counts else None,
            trades=counts["trades"][good] if "trades" in counts else None,
            price_scale=scales.of(prices["close"][good]),
            row=rows.numbers[good],
        )


def read_trades(
    path: Path, options: ReadOptions, log: ImportLog, progress: Progress = no_progress
) -> Iterator[RawTrades]:
    """Read a trade export; its book, if it has one, is left out.

    Raises
    ------
    DataError
        If the file cannot be read.
    FormatError
        If it lacks a column or does not say its contract.
    """
    contract = contract_of_file(path, options.contract)
    table = Table(path, ";")
    missing = [name for name in TRADE_COLUMNS if name not in table.names]
    if missing:
        raise FormatError(f"{path.name} has no column {missing[0]!r}")
    quoted = all(name in table.names for name in QUOTE_COLUMNS)
    wanted = [*TRADE_COLUMNS, *(QUOTE_COLUMNS if quoted else ())]
    scales = PriceScale(contract, path.name, options.price_scale, log)
    for rows in table.blocks(wanted, options.chunk_rows, log, progress):
        utc_ms = _wall_us(rows, counted=True) // 1000
        price = rows.floats("price")
        size = rows.integers("volume")
        trade_type = rows.integers("tradetype")
        seq = rows.integers("sequence")
        quote: dict[str, NDArray[Any]] = {}
        if quoted:
            for side in ("bid", "ask"):
                points = rows.floats(f"{side}price")
                quote[f"{side}_price"] = np.where(points > 0.0, points, np.nan)
                quote[f"{side}_size"] = rows.integers(f"{side}size")
        good = rows.usable(log)
        if len(good) == 0:
            continue
        yield RawTrades(
            contract=contract,
            ts_event=utc_ms[good] * NS_PER_MS,
            price=price[good],
            size=size[good],
            aggressor_side=_sides(trade_type[good]),
            seq=seq[good],
            seq_unique=True,
            kind="fill",
            price_scale=scales.of(price[good]),
            row=rows.numbers[good],
            **_chosen(quote, good),
        )


def _wall_us(rows: Rows, *, counted: bool) -> NDArray[np.int64]:
    return days(rows.fields["date"], rows) * US_PER_DAY + times_of_day(
        rows.fields["time"], rows, counted=counted
    )


def _chosen(columns: dict[str, NDArray[Any]], good: NDArray[np.int64]) -> dict[str, Any]:
    return {name: column[good] for name, column in columns.items()}


def _sides(trade_type: NDArray[np.int64]) -> NDArray[np.int8]:
    """Type 1 traded at the bid, so that the seller was the aggressor; 2 at the ask."""
    return np.where(trade_type == 2, 1, np.where(trade_type == 1, -1, 0)).astype(np.int8)

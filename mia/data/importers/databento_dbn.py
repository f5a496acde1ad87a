"""Databento Binary Encoding: trades, tbbo, mbp-1 and ohlcv of versions 1 to 3.

Needs the package ``databento``, an optional dependency. On a trade, side ``A`` is a seller
("ask", the side on which he offered before he crossed) and ``B`` a buyer. Of mbp-1 the trades
are taken; their quote is the book before the trade.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mia.data.importers.contracts import FULL, SHORT, check_contract, resolve_contract
from mia.data.importers.reading import (
    ImportLog,
    Progress,
    RawBlock,
    ReadOptions,
    check_file,
    no_progress,
    one_line,
)
from mia.data.importers.scale import PriceScale
from mia.data.raw import RawBars, RawTrades
from mia.errors import FormatError, MiaError

TRADE_SCHEMAS = ("trades", "tbbo", "mbp-1")
BAR_SECONDS = {"ohlcv-1s": 1, "ohlcv-1m": 60, "ohlcv-1h": 3600, "ohlcv-1d": 86_400}
ACCEPTED = (*TRADE_SCHEMAS, "ohlcv-1s", "ohlcv-1m", "ohlcv-1h", "ohlcv-1d")
UNDEFINED = 2**63 - 1
PER_POINT = 1e9
NS_PER_DAY = 86_400 * 10**9
LATEST_NS = 2**63 - 1

DBN_MAGIC = b"DBN"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def read(
    path: Path, options: ReadOptions, log: ImportLog, progress: Progress = no_progress
) -> Iterator[RawBlock]:
    """Read the trades or bars of a file, each block of one contract.

    Raises
    ------
    MiaError
        If the package ``databento`` is not installed.
    DataError
        If the file cannot be read.
    FormatError
        If it is damaged, of a schema without trades, or does not say its contracts.
    """
    size = check_file(path)
    with path.open("rb") as file:
        store = _open(_Source(path.name, size, file))
        schema = str(store.schema) if store.schema is not None else "several schemas"
        if schema not in ACCEPTED:
            raise FormatError(f"{path.name} holds {schema}: accepted are {', '.join(ACCEPTED)}")
        symbols = _Symbols(path.name, store.mappings, options.contract)
        scales: dict[str, PriceScale] = {}
        done = 0
        for records in _arrays(path.name, store, options.chunk_rows, log):
            usable = _usable(records, schema, done, log)
            for contract, which in symbols.split(records, usable):
                if contract not in scales:
                    scales[contract] = PriceScale(contract, path.name, options.price_scale, log)
                chosen = records[which]
                row = which + done
                if schema in BAR_SECONDS:
                    yield _bars(chosen, row, contract, BAR_SECONDS[schema], scales[contract])
                else:
                    yield _trades(chosen, row, contract, scales[contract])
            done += len(records)
            progress(file.tell(), size)
        symbols.report(log)
        if done == 0:
            raise FormatError(f"{path.name} has no records")


@dataclass(slots=True)
class _Source:
    """What `databento.DBNStore` reads from; its own one is never closed."""

    name: str
    nbytes: int
    file: BinaryIO

    @property
    def reader(self) -> BinaryIO:
        self.file.seek(0)
        return self.file


def _open(source: Any) -> Any:
    try:
        import databento
    except ImportError:
        raise MiaError(
            f"{source.name} is a Databento file: pip install mia-trading[databento] to read it"
        ) from None
    try:
        return databento.DBNStore(source)
    except Exception as error:
        # The package raises what its decoders raise: ValueError, BentoError, RuntimeError.
        raise FormatError(f"{source.name} is no readable DBN file: {one_line(error)}") from None


def _arrays(name: str, store: Any, count: int, log: ImportLog) -> Iterator[NDArray[np.void]]:
    arrays = iter(store.to_ndarray(count=count))
    while True:
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                records = next(arrays)
        except StopIteration:
            return
        except Exception as error:
            raise FormatError(f"{name} is damaged: {one_line(error)}") from None
        for warning in caught:
            log.note(f"{name}: {warning.message}")
        yield records


def _usable(
    records: NDArray[np.void], schema: str, first_row: int, log: ImportLog
) -> NDArray[np.bool_]:
    """Tell the trades and bars from what else a file holds, and reject what has no price."""
    names = ("open", "high", "low", "close") if schema in BAR_SECONDS else ("price",)
    usable = np.ones(len(records), np.bool_)
    if schema == "mbp-1":
        usable = records["action"] == b"T"
    undefined = np.zeros(len(records), np.bool_)
    for name in names:
        undefined |= records[name] == UNDEFINED
    timeless = records["ts_event"] > LATEST_NS
    for wrong, reason in ((undefined, "the price is undefined"), (timeless, "no time")):
        for index in np.flatnonzero(wrong & usable):
            log.reject(first_row + int(index), str(records[index]), reason)
        usable = usable & ~wrong
    return usable


class _Symbols:
    """Finds the contract of each instrument id by the map in the file's metadata."""

    def __init__(self, name: str, mappings: dict[str, list[Any]], wanted: str | None) -> None:
        self._name = name
        self._wanted = None if wanted is None else check_contract(wanted)
        self._spans: dict[int, list[tuple[date, date, str]]] = {}
        for symbol, spans in mappings.items():
            for span in spans:
                identity = span["symbol"]
                # It is empty on days on which the symbol stood for nothing.
                if not identity:
                    continue
                if not (identity.isascii() and identity.isdigit()):
                    raise FormatError(
                        f"{name} maps {symbol} to {identity[:20]!r}, which is no instrument id"
                    )
                entry = (span["start_date"], span["end_date"], symbol)
                self._spans.setdefault(int(identity), []).append(entry)
        self._nameless: int | None = None
        self._skipped: dict[str, int] = {}
        self._taken = 0

    def split(
        self, records: NDArray[np.void], usable: NDArray[np.bool_]
    ) -> Iterator[tuple[str, NDArray[np.int64]]]:
        """Yield each contract with the places of its records."""
        ids = records["instrument_id"]
        for instrument_id in np.unique(ids[usable]).tolist():
            places = np.flatnonzero(usable & (ids == instrument_id))
            days = (records["ts_event"][places] // np.uint64(NS_PER_DAY)).astype(np.int64)
            cuts = np.flatnonzero(np.diff(days)) + 1
            runs: dict[str, list[NDArray[np.int64]]] = {}
            for run, day in zip(np.split(places, cuts), days[[0, *cuts]].tolist(), strict=True):
                traded = date(1970, 1, 1) + timedelta(days=day)
                contract = self._contract(instrument_id, traded, len(run))
                if contract is not None and self._wanted in (None, contract):
                    runs.setdefault(contract, []).append(run)
            for contract, parts in runs.items():
                which = np.concatenate(parts)
                self._taken += len(which)
                yield contract, which

    def report(self, log: ImportLog) -> None:
        """Tell the log what was left out.

        Raises
        ------
        FormatError
            If that was everything.
        """
        for symbol, count in self._skipped.items():
            log.note(f"{count} records of {symbol}, which is no single contract, were left out")
        if self._skipped and not self._taken:
            shown = ", ".join(list(self._skipped)[:5])
            raise FormatError(
                f"{self._name} holds {shown} and no contract such as ESU4: ask for raw symbols, "
                "or give the contract if it holds one"
            )

    def _contract(self, instrument_id: int, traded: date, count: int) -> str | None:
        spans = self._spans.get(instrument_id, [])
        symbols = {symbol for _, _, symbol in spans}
        if len(symbols) > 1:
            symbols = {symbol for start, end, symbol in spans if start <= traded < end}
        for symbol in sorted(symbols):
            # A continuous symbol may name the same id as a raw one.
            if SHORT.fullmatch(symbol) or FULL.fullmatch(symbol):
                return resolve_contract(symbol, traded)
        symbol = min(symbols, default=f"instrument {instrument_id}")
        if (
            self._wanted is not None
            and "-" not in symbol
            and self._nameless in (None, instrument_id)
        ):
            self._nameless = instrument_id
            return self._wanted
        self._skipped[symbol] = self._skipped.get(symbol, 0) + count
        return None


def _points(prices: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(prices == UNDEFINED, np.nan, prices / PER_POINT)


def _trades(
    records: NDArray[np.void], row: NDArray[np.int64], contract: str, scales: PriceScale
) -> RawTrades:
    side = records["side"]
    price = _points(records["price"])
    quote: dict[str, Any] = {}
    if "bid_px_00" in (records.dtype.names or ()):
        for name in ("bid", "ask"):
            quote[f"{name}_price"] = _points(records[f"{name}_px_00"])
            quote[f"{name}_size"] = records[f"{name}_sz_00"].astype(np.int64)
    received = records["ts_recv"]
    return RawTrades(
        contract=contract,
        ts_event=records["ts_event"].astype(np.int64),
        price=price,
        size=records["size"].astype(np.int64),
        aggressor_side=(side == b"B").astype(np.int8) - (side == b"A").astype(np.int8),
        ts_recv=np.where(received > LATEST_NS, -1, received.astype(np.int64)),
        seq=records["sequence"].astype(np.int64),
        price_scale=scales.of(price),
        row=row,
        **quote,
    )


def _bars(
    records: NDArray[np.void],
    row: NDArray[np.int64],
    contract: str,
    width_s: int,
    scales: PriceScale,
) -> RawBars:
    close = _points(records["close"])
    return RawBars(
        contract=contract,
        width_s=width_s,
        t_open=records["ts_event"].astype(np.int64),
        open=_points(records["open"]),
        high=_points(records["high"]),
        low=_points(records["low"]),
        close=close,
        volume=np.minimum(records["volume"], LATEST_NS).astype(np.int64),
        price_scale=scales.of(close),
        row=row,
    )

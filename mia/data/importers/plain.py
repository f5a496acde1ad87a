"""Blocks out of the columns of a plain table, whichever file they come from."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.data.importers.columns import PRICES, TableColumns
from mia.data.importers.reading import ImportLog, RawBlock, ReadOptions, bar_seconds
from mia.data.importers.scale import PriceScale
from mia.data.raw import RawBars, RawTrades

Values = Mapping[str, NDArray[Any]]


class PlainBlocks:
    """Makes blocks of the rows of one file, a contract each.

    Parameters
    ----------
    name : str
        Of the file, for messages.
    columns : TableColumns
        What it holds.
    options : ReadOptions
        Contract, price scale and width of bars, if they are given.
    log : ImportLog
        Told when prices are scaled.
    kind : str
        ``summary`` or ``fill``, of trades.
    """

    def __init__(
        self,
        name: str,
        columns: TableColumns,
        options: ReadOptions,
        log: ImportLog,
        kind: str = "summary",
    ) -> None:
        self._name = name
        self._columns = columns
        self._options = options
        self._log = log
        self._kind = kind
        self._width = options.bar_seconds
        self._scales: dict[str, PriceScale] = {}

    def of(
        self, values: Values, contracts: NDArray[np.str_], row: NDArray[np.int64]
    ) -> Iterator[RawBlock]:
        """Split rows by contract.

        Parameters
        ----------
        values : mapping of str to ndarray
            Columns by the names of `mia.data.importers.columns`, equally long.
        contracts : ndarray of str
            Contract of each row.
        row : ndarray of int64
            Number of each row in the file.

        Raises
        ------
        FormatError
            If bars have no fixed width or prices are not plausible.
        """
        if len(row) == 0:
            return
        if self._columns.kind == "bars":
            # Contracts share their slots, so the distances between all of them tell the width.
            self._width = bar_seconds(np.unique(values["t_open"]), self._name, self._width)
        wanted = self._options.contract
        for contract in dict.fromkeys(contracts.tolist()):
            if wanted in (None, contract):
                which = contracts == contract
                chosen = {name: column[which] for name, column in values.items()}
                yield self._block(contract, chosen, row[which])

    def _block(self, contract: str, values: dict[str, Any], row: NDArray[np.int64]) -> RawBlock:
        scale = self._price_scale(contract, values)
        if self._columns.kind == "bars":
            assert self._width is not None
            return RawBars(contract, self._width, row=row, price_scale=scale, **values)
        if "aggressor_side" not in values:
            values["aggressor_side"] = np.zeros(len(row), np.int8)
        for name in ("bid_price", "ask_price"):
            if name in values:
                values[name] = np.where(values[name] > 0.0, values[name], np.nan)
        return RawTrades(contract, kind=self._kind, row=row, price_scale=scale, **values)

    def _price_scale(self, contract: str, values: Values) -> float:
        if self._columns.price_scale is not None:
            return self._columns.price_scale
        if contract not in self._scales:
            self._scales[contract] = PriceScale(
                contract, self._name, self._options.price_scale, self._log
            )
        name = "close" if self._columns.kind == "bars" else "price"
        return self._scales[contract].of(values[name])


def sort_of(column: str) -> str:
    """Return how a column is parsed: price, time, side, mark, name or count."""
    if column in PRICES:
        return "price"
    if column in ("ts_event", "t_open", "ts_recv"):
        return "time"
    return {"aggressor_side": "side", "front": "mark", "contract": "name"}.get(column, "count")

"""`MarketState` behind the face of the plain-Python engine, its records as plain Python rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia._fast import market_state, records
from mia.core import sessions
from mia.core.kernel_params import kernel_params

CODES = {"globex": 0, "rth": 1, "none": 0, "tick_rule": 1}
NESTED = ("bar", "battle", "regime")
SETUP = ("kind", "side", "quality", "level", "stop", "target", "traded")


def split_params(params: Mapping[str, Any]) -> tuple[NDArray[np.void], dict[str, str]]:
    """Return the kernels' record of dotted or flattened names, and the streams by name."""
    flat = {name.replace(".", "_"): value for name, value in params.items()}
    streams = {
        name.removeprefix("stream_"): str(flat.pop(name))
        for name in ("stream_primary", "stream_micro")
        if name in flat
    }
    coded = {name: CODES.get(value, value) for name, value in flat.items()}
    return kernel_params(**coded), streams


def session_rows(ts: Sequence[int], early_closes: bool = False) -> NDArray[np.void]:
    """Return the sessions of all dates from the first instant to the last."""
    first, last = sessions.session_id(min(ts)), sessions.session_id(max(ts))
    return sessions.session_table(first, last, early_closes)


def trade_columns(trades: Sequence[tuple[int, int, int, int]]) -> tuple[NDArray[Any], ...]:
    """Return ts, price, size and side as the kernels take them."""
    columns = zip(*trades, strict=True) if trades else ((), (), (), ())
    types = (np.int64, np.int32, np.int32, np.int8)
    return tuple(np.array(column, dtype) for column, dtype in zip(columns, types, strict=True))


def bar_records(bars: Sequence[Sequence[int]]) -> NDArray[np.void]:
    """Return ready-made bars, times first, as the kernels take them."""
    names = ("t_open", "t_close", "open", "high", "low", "close")
    names += ("volume", "bid_volume", "ask_volume")
    out = np.zeros(len(bars), records.BAR_DTYPE)
    for k, name in enumerate(names):
        out[name] = [bar[k] for bar in bars]
    out["flags"] = 4
    return out


def flat_rows(rows: NDArray[np.void]) -> list[dict[str, Any]]:
    """Return each row as plain values by flat names; setups by kind, LONG first."""
    names = rows.dtype.names or ()
    columns: dict[str, list[Any]] = {}
    for name in names:
        if name in NESTED:
            for inner in rows[name].dtype.names or ():
                columns[f"{name}.{inner}"] = rows[name][inner].tolist()
        elif not name.startswith("setup_"):
            columns[name] = rows[name].tolist()
    flat = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    for row, record in zip(flat, rows, strict=True):
        found = [record[f"setup_{field}"][: row["n_setups"]].tolist() for field in SETUP]
        row["setups"] = sorted(zip(*found, strict=True), key=lambda setup: (setup[0], -setup[1]))
    return flat


class CompiledEngine:
    """A recording `MarketState`; see `reference.engine.ReferenceEngine`.

    Parameters
    ----------
    params : mapping
        Dotted or flattened names to values that differ from the defaults.
    table : ndarray of records.SESSION_DTYPE
        Sessions of the data.
    ready_made : bool
        Whether bars come instead of trades.
    """

    def __init__(
        self,
        params: Mapping[str, Any],
        table: NDArray[np.void],
        ready_made: bool = False,
        rows: int = 64,
        **ring: int,
    ) -> None:
        record, streams = split_params(params)
        self.state = market_state.MarketState(
            record, table, ready_made=ready_made, rows=rows, **streams, **ring
        )
        self.state.record = True
        self.state.wake = 0
        self._taken: list[NDArray[np.void]] = []

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All rows so far."""
        self.take()
        return flat_rows(np.concatenate(self._taken))

    @property
    def rejected(self) -> int:
        return self.state.rejected

    def take(self) -> None:
        """Empty the buffer of rows."""
        self._taken.append(self.state.take_rows())

    def set_contract(self, ordinal: int) -> None:
        self.state.set_contract(ordinal)

    def set_options(self, **values: Any) -> None:
        """Replace the options; what is not given is missing."""
        record = np.zeros(1, records.OPTIONS_DTYPE)
        for name in ("gamma_flip", "call_wall", "put_wall"):
            record[name] = np.nan
        for name, value in values.items():
            record[name] = value
        self.state.set_options(record)

    def on_book(self, ts: int, bids: Sequence[int], asks: Sequence[int], spread: int) -> None:
        self.state.on_book(ts, np.array(bids, np.int64), np.array(asks, np.int64), spread)

    def on_trades(self, trades: Sequence[tuple[int, int, int, int]]) -> None:
        """Take trades as one batch."""
        columns = trade_columns(trades)
        done = 0
        while done < len(trades):
            done = self.state.advance(*columns, done)
            self.take()

    def on_bars(self, bars: Sequence[Sequence[int]]) -> None:
        """Take ready-made bars as one batch."""
        given, done = bar_records(bars), 0
        while done < len(bars):
            done = self.state.advance_bars(given, done)
            self.take()

    def mark_gap(self, since: int, until: int) -> None:
        self.state.mark_gap(since, until)

    def advance(self, now: int) -> None:
        self.state.advance_clock(now)

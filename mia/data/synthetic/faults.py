"""Damage that vendors' data really shows, injected on purpose and written down."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from mia.config.instruments import TICK
from mia.core.base_types import TradeBlock
from mia.errors import UsageError


class FaultKind(IntEnum):
    """What was done to the data."""

    GAP = 0
    """Trades are missing."""
    DUPLICATE = 1
    """A run of trades appears twice."""
    OUT_OF_ORDER = 2
    """A run of trades arrives after later ones."""
    NAN = 3
    """The price is not a number."""
    OFF_GRID = 4
    """The price lies between two ticks."""
    CROSSED = 5
    """The bid is above the ask."""
    STALL = 6
    """The feed stood still: a span of trades bears one time, that of its end."""
    SCALE = 7
    """A run of prices and quotes is a hundred times too large."""
    ROLL = 8
    """The contract changes within the session."""
    PARTIAL = 9
    """The last record is cut: its later fields are missing."""


FAULT_DTYPE = np.dtype(
    [
        ("ts_event", np.int64),
        ("kind", np.int64),
        ("first", np.int64),
        ("count", np.int64),
    ]
)
"""A row of the truth: time of the first trade concerned in the clean block (ns UTC), `FaultKind`,
its row in the clean block, how many rows."""

RUN = {
    FaultKind.GAP: 400,
    FaultKind.DUPLICATE: 60,
    FaultKind.OUT_OF_ORDER: 25,
    FaultKind.NAN: 1,
    FaultKind.OFF_GRID: 1,
    FaultKind.CROSSED: 5,
    FaultKind.STALL: 300,
    FaultKind.SCALE: 80,
    FaultKind.ROLL: 0,
    FaultKind.PARTIAL: 1,
}
"""Rows that a fault of each kind concerns; a roll concerns the rest of the session."""

ROLL_POINTS = 15.0


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """How many faults of each kind to inject in each session.

    Attributes
    ----------
    per_session : mapping of FaultKind to int
        Rolls and partial records count at most once a session.
    """

    per_session: Mapping[FaultKind, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the ranges."""
        for kind, count in self.per_session.items():
            if not 0 <= count <= 100:
                raise UsageError(f"faults of a kind must be 0 to 100, {kind.name} was {count}")

    @classmethod
    def each(cls, count: int = 1) -> "FaultPlan":
        """Return a plan with `count` faults of every kind."""
        return cls(dict.fromkeys(FaultKind, count))


@dataclass(frozen=True, slots=True)
class RawColumns:
    """Trades as a vendor delivers them, not yet checked: floats, index points.

    Attributes
    ----------
    contract : str
        As in ``ESZ25``.
    ts_event : ndarray of int64
        ns UTC, in the order of arrival.
    price, bid_price, ask_price : ndarray of float64
        Index points, nan where missing.
    size : ndarray of float64
        Contracts, nan where missing.
    aggressor_side : ndarray of int8
        +1 buyer, -1 seller, 0 unknown.
    """

    contract: str
    ts_event: NDArray[np.int64]
    price: NDArray[np.float64]
    size: NDArray[np.float64]
    aggressor_side: NDArray[np.int8]
    bid_price: NDArray[np.float64]
    ask_price: NDArray[np.float64]

    def __len__(self) -> int:
        """Count the trades."""
        return len(self.ts_event)

    def rows(self, index: NDArray[np.int64] | slice) -> "RawColumns":
        """Return the rows at `index`."""
        return RawColumns(
            self.contract,
            self.ts_event[index],
            self.price[index],
            self.size[index],
            self.aggressor_side[index],
            self.bid_price[index],
            self.ask_price[index],
        )


def raw_columns(block: TradeBlock) -> RawColumns:
    """Return a clean block as a vendor would deliver it."""
    return RawColumns(
        block.contract,
        block.ts_event.copy(),
        block.price.astype(np.float64) * TICK,
        block.size.astype(np.float64),
        block.aggressor_side.copy(),
        block.bid_price.astype(np.float64) * TICK,
        block.ask_price.astype(np.float64) * TICK,
    )


def next_contract(contract: str) -> str:
    """Return the contract of the quarter after `contract`."""
    root, month, year = contract[:-3], contract[-3], int(contract[-2:])
    order = "HMUZ"
    following = order[(order.index(month) + 1) % 4]
    return f"{root}{following}{(year + (month == 'Z')) % 100:02d}"


def _place(plan: FaultPlan, rows: int, rng: np.random.Generator) -> list[tuple[int, FaultKind]]:
    """Return where each fault begins, by row, such that none touches another."""
    kinds: list[FaultKind] = [
        kind
        for kind in FaultKind
        if kind not in (FaultKind.ROLL, FaultKind.PARTIAL)
        for _ in range(plan.per_session.get(kind, 0))
    ]
    need = sum(2 * RUN[kind] + 2 for kind in kinds)
    if need > rows:
        raise UsageError(f"{rows} trades are too few for the faults asked for, which need {need}")
    kinds = [kinds[k] for k in np.argsort(rng.random(len(kinds)), kind="stable")]
    cuts = np.sort((rng.random(len(kinds)) * (rows - need + 1)).astype(np.int64))
    placed: list[tuple[int, FaultKind]] = []
    used = 0
    for cut, kind in zip(cuts.tolist(), kinds, strict=True):
        placed.append((cut + used + 1, kind))
        used += 2 * RUN[kind] + 2
    return placed


def inject(
    block: TradeBlock, plan: FaultPlan, rng: np.random.Generator
) -> tuple[tuple[RawColumns, ...], NDArray[np.void]]:
    """Damage a block.

    Parameters
    ----------
    block : TradeBlock
        A clean session.
    plan : FaultPlan
        What to inject.
    rng : Generator
        Stream of the faults.

    Returns
    -------
    pieces : tuple of RawColumns
        The session; two pieces if the contract rolls within it.
    truth : ndarray of FAULT_DTYPE
        What was injected, by row of the clean block.

    Raises
    ------
    UsageError
        If the block is too short for the plan.
    """
    raw = raw_columns(block)
    n = len(block)
    order = np.arange(n, dtype=np.int64)
    parts: list[NDArray[np.int64]] = []
    done = 0
    rows = [(first, kind, RUN[kind]) for first, kind in _place(plan, n, rng)]
    for first, kind, count in rows:
        run = slice(first, first + count)
        if kind is FaultKind.GAP:
            parts += [order[done:first]]
            done = first + count
        elif kind is FaultKind.DUPLICATE:
            parts += [order[done : first + count], order[run]]
            done = first + count
        elif kind is FaultKind.OUT_OF_ORDER:
            late = first + 2 * count
            parts += [order[done:first], order[first + count : late], order[run]]
            done = late
        elif kind is FaultKind.NAN:
            raw.price[run] = np.nan
        elif kind is FaultKind.OFF_GRID:
            raw.price[run] += TICK * 0.4
        elif kind is FaultKind.CROSSED:
            raw.bid_price[run] = raw.ask_price[run] + TICK
        elif kind is FaultKind.STALL:
            raw.ts_event[run] = raw.ts_event[first + count - 1]
        elif kind is FaultKind.SCALE:
            for column in (raw.price, raw.bid_price, raw.ask_price):
                column[run] *= 100.0
    parts.append(order[done:])
    if n and plan.per_session.get(FaultKind.PARTIAL, 0):
        for column in (raw.price, raw.size, raw.bid_price, raw.ask_price):
            column[-1] = np.nan
        raw.aggressor_side[-1] = 0
        rows.append((n - 1, FaultKind.PARTIAL, 1))
    index = np.concatenate(parts)
    pieces: tuple[RawColumns, ...] = (raw.rows(index),)
    if n and plan.per_session.get(FaultKind.ROLL, 0):
        cut = int((0.25 + 0.5 * rng.random()) * n)
        where = int(np.searchsorted(np.maximum.accumulate(index), cut))
        later = raw.rows(index[where:])
        for column in (later.price, later.bid_price, later.ask_price):
            np.add(column, ROLL_POINTS, out=column)
        pieces = (
            raw.rows(index[:where]),
            replace(later, contract=next_contract(block.contract)),
        )
        rows.append((cut, FaultKind.ROLL, n - cut))
    rows.sort()
    truth = np.zeros(len(rows), FAULT_DTYPE)
    for out, (first, kind, count) in zip(truth, rows, strict=True):
        out["ts_event"] = block.ts_event[first]
        out["kind"], out["first"], out["count"] = kind, first, count
    return pieces, truth

"""Turn the columns of any source into a `Chain`: one place for roots, settlement and sentinels.

Adapters translate a format into `RawColumns` and judge nothing. Here rows that cannot be
trusted are set aside as issues that name file and row; a value that cannot be is unknown (nan).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mia.core.chain import Chain, ChainIssue, ChainMeta, Root
from mia.data.chains import option_clock
from mia.errors import FormatError

ROOTS = {b"SPX": Root.SPX, b"SPXW": Root.SPXW}
TAIL = 15
"""Characters of an option symbol after its root: yymmdd, C or P, strike in thousandths."""

LONGEST = TAIL + 7
"""Characters from which on no root is that long."""

Floats = NDArray[np.float64]
COLUMNS = (
    "bid",
    "ask",
    "open_interest",
    "volume",
    "vendor_iv",
    "vendor_delta",
    "vendor_gamma",
)


@dataclass(frozen=True, slots=True)
class RawColumns:
    """Contracts as a source has them, in its order.

    Attributes
    ----------
    name : str
        File, for messages.
    symbol : sequence of str
        As ``SPXW240108C02600000``; blanks within are ignored.
    row : ndarray of int64
        Where in the file, from 1.
    bid, ask, open_interest, volume, vendor_iv, vendor_delta, vendor_gamma : ndarray of float64
        nan where the source says nothing.
    issues : tuple of ChainIssue
        Rows that the adapter could not read.
    """

    name: str
    symbol: Sequence[str]
    row: NDArray[np.int64]
    bid: Floats
    ask: Floats
    open_interest: Floats
    volume: Floats
    vendor_iv: Floats
    vendor_delta: Floats
    vendor_gamma: Floats
    issues: tuple[ChainIssue, ...] = ()


@dataclass(slots=True)
class _Symbols:
    """What the symbols say; `root` is -1 where one is not understood."""

    root: NDArray[np.int8]
    expiry: NDArray[np.int32]
    strike: Floats
    right: NDArray[np.int8]
    foreign: set[str] = field(default_factory=set)


def normalise(raw: RawColumns, meta: ChainMeta) -> Chain:
    """Build a chain, ordered and without doubtful rows.

    Series that were settled at `meta.quotes_asof` (of a payload without quotes, at
    `meta.received_at`) are dropped, one issue each.

    Raises
    ------
    FormatError
        If the payload holds options of another underlying, or none.
    """
    issues = list(raw.issues)
    if not len(raw.symbol):
        raise FormatError(f"{raw.name} holds no contracts: fetch it again")
    symbols = _parse_symbols(raw.symbol)
    if not (symbols.root >= 0).any():
        if symbols.foreign:
            found = ", ".join(sorted(symbols.foreign)[:3])
            raise FormatError(f"{raw.name} holds options on {found}, not on SPX")
        raise FormatError(f"{raw.name} holds no SPX option symbol, first is {raw.symbol[0]!r:.40}")

    def set_aside(mask: NDArray[np.bool_], reason: str, text: Sequence[str] | None = None) -> None:
        issues.extend(
            ChainIssue(raw.name, int(raw.row[k]), reason, text[k] if text is not None else "")
            for k in np.flatnonzero(mask).tolist()
        )

    unknown = symbols.root < 0
    set_aside(unknown, "not an SPX option symbol", raw.symbol)
    settle, alive = _settlements(symbols, ~unknown)
    set_aside(~unknown & ~alive, "expiry is no date", raw.symbol)
    zero_strike = alive & (symbols.strike <= 0.0)
    set_aside(zero_strike, "strike is zero", raw.symbol)
    alive &= ~zero_strike
    now = meta.quotes_asof or meta.received_at
    expired = alive & (settle <= now)
    issues.extend(_expired_series(raw, symbols, expired))
    alive &= ~expired

    columns = {name: np.array(getattr(raw, name), np.float64) for name in COLUMNS}
    for reason, mask in _repair(columns, alive):
        set_aside(mask, reason, raw.symbol)
    issues.extend(_empty_columns(raw.name, columns, alive))

    rows = np.flatnonzero(alive)
    keys = (symbols.right, symbols.strike, symbols.expiry, settle, symbols.root)
    rows = rows[np.lexsort(tuple(key[rows] for key in keys))]
    rows = rows[_keep_single(raw, columns, keys, rows, issues)]
    issues.sort(key=lambda issue: issue.row)
    return Chain(
        meta=replace(meta),
        root=symbols.root[rows],
        settle_ns=settle[rows],
        expiry=symbols.expiry[rows],
        strike=symbols.strike[rows],
        right=symbols.right[rows],
        issues=tuple(issues),
        **{name: column[rows] for name, column in columns.items()},
    )


def _parse_symbols(symbols: Sequence[str]) -> _Symbols:
    text = np.array([symbol.replace(" ", "")[:LONGEST] for symbol in symbols], "U")
    if (text.view(np.uint32) > 127).any():
        text = np.where([word.isascii() for word in text.tolist()], text, "")
    text = text.astype("S")
    count = len(text)
    parsed = _Symbols(
        np.full(count, -1, np.int8),
        np.zeros(count, np.int32),
        np.zeros(count),
        np.zeros(count, np.int8),
    )
    letters = text.view(np.uint8).reshape(count, -1)
    lengths = np.char.str_len(text)
    for length in np.unique(lengths).tolist():
        if not TAIL < length < LONGEST:
            continue
        rows = np.flatnonzero(lengths == length)
        block = letters[rows, :length]
        split = length - TAIL
        digits = np.delete(block[:, split:], 6, axis=1).astype(np.int64) - ord("0")
        side = block[:, split + 6]
        valid = ((digits >= 0) & (digits <= 9)).all(axis=1) & np.isin(side, (ord("C"), ord("P")))
        names = np.ascontiguousarray(block[:, :split]).view(f"S{split}")[:, 0]
        date = 20_000_000 + digits[:, :6] @ np.array([100000, 10000, 1000, 100, 10, 1])
        strike = (digits[:, 6:] @ 10 ** np.arange(7, -1, -1)) / 1000.0
        for name in np.unique(names[valid]).tolist():
            here = valid & (names == name)
            if name not in ROOTS:
                parsed.foreign.add(name.decode("ascii"))
                continue
            at = rows[here]
            parsed.root[at] = ROOTS[name]
            parsed.expiry[at] = date[here]
            parsed.strike[at] = strike[here]
            parsed.right[at] = np.where(side[here] == ord("C"), 1, -1)
    return parsed


def _settlements(
    symbols: _Symbols, known: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    settle = np.zeros(len(known), np.int64)
    good = known.copy()
    series = symbols.root.astype(np.int64) * 100_000_000 + symbols.expiry
    for key in np.unique(series[known]).tolist():
        here = known & (series == key)
        try:
            settle[here] = option_clock.settlement(Root(key // 100_000_000), key % 100_000_000)
        except ValueError:
            good &= ~here
    return settle, good


def _expired_series(
    raw: RawColumns, symbols: _Symbols, expired: NDArray[np.bool_]
) -> Iterable[ChainIssue]:
    rows = np.flatnonzero(expired)
    series = symbols.root[rows].astype(np.int64) * 100_000_000 + symbols.expiry[rows]
    keys, first, count = np.unique(series, return_index=True, return_counts=True)
    for key, k, contracts in zip(keys.tolist(), first.tolist(), count.tolist(), strict=True):
        yield ChainIssue(
            raw.name,
            int(raw.row[rows[k]]),
            f"series expired before the quotes: {contracts} contracts dropped",
            f"{Root(key // 100_000_000).name} {key % 100_000_000}",
        )


def _repair(
    columns: dict[str, Floats], alive: NDArray[np.bool_]
) -> Iterable[tuple[str, NDArray[np.bool_]]]:
    """Make impossible values unknown, in place; yield what was found."""
    missing = alive & np.isnan(columns["open_interest"])
    for name in COLUMNS:
        endless = alive & np.isinf(columns[name])
        columns[name][np.isinf(columns[name])] = np.nan
        yield f"{name} is infinite", endless
    for name in ("bid", "ask", "open_interest", "volume"):
        negative = alive & (columns[name] < 0.0)
        columns[name][negative] = np.nan
        yield f"{name} is negative", negative
    bid, ask = columns["bid"], columns["ask"]
    crossed = alive & (bid > ask)
    for side in (bid, ask):
        side[crossed] = np.nan
    yield "quote is crossed", crossed
    if not missing[alive].all():
        yield "open_interest is unknown", missing
    with np.errstate(invalid="ignore"):
        columns["vendor_iv"][~(columns["vendor_iv"] > 0.0)] = np.nan
        columns["vendor_delta"][~(np.abs(columns["vendor_delta"]) <= 1.0)] = np.nan
        columns["vendor_gamma"][~(columns["vendor_gamma"] >= 0.0)] = np.nan


def _empty_columns(
    name: str, columns: dict[str, Floats], alive: NDArray[np.bool_]
) -> Iterable[ChainIssue]:
    if not alive.any():
        yield ChainIssue(name, 0, "no series is alive")
        return
    quotes = np.stack([columns["bid"][alive], columns["ask"][alive]])
    if not np.isnan(quotes).all() and not (quotes > 0.0).any():
        yield ChainIssue(name, 0, "no contract is quoted")
    held = columns["open_interest"][alive]
    if not np.isnan(held).all() and not (held > 0.0).any():
        yield ChainIssue(name, 0, "no contract has open interest")


def _keep_single(
    raw: RawColumns,
    columns: dict[str, Floats],
    keys: tuple[NDArray[np.generic], ...],
    rows: NDArray[np.intp],
    issues: list[ChainIssue],
) -> NDArray[np.bool_]:
    """Tell which sorted rows stay: of equal repetitions the first, of contradictory ones none."""
    keep = np.ones(len(rows), bool)
    if len(rows) < 2:
        return keep
    same = np.ones(len(rows) - 1, bool)
    for key in keys:
        ordered = key[rows]
        same &= ordered[1:] == ordered[:-1]
    if not same.any():
        return keep
    starts = np.flatnonzero(np.concatenate([[True], ~same]))
    values = np.column_stack([columns[name] for name in COLUMNS])
    for start, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
        if stop - start < 2:
            continue
        group = rows[start:stop]
        agree = all(np.array_equal(values[group[0]], values[k], equal_nan=True) for k in group)
        keep[start + 1 : stop] = False
        keep[start] = agree
        reason = "contract is repeated" if agree else "contract is repeated with other values"
        issues.extend(
            ChainIssue(raw.name, int(raw.row[k]), reason, raw.symbol[k])
            for k in (group[1:] if agree else group)
        )
    return keep

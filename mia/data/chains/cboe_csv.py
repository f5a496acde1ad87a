"""Cboe's delayed quotes as the page saves them: ``quotedata.csv``.

Three lines of preamble (index and its last level, date of the download in the user's language,
an optional blank line), a header, then one line per strike with the call on the left and the
put on the right. The terms of Cboe allow personal use and forbid redistribution.
"""

import csv
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mia.core.chain import Chain, ChainIssue
from mia.data.chains.download_date import parse_download_date
from mia.data.chains.normaliser import RawColumns, normalise
from mia.data.chains.payload import Payload
from mia.errors import FormatError

SOURCE = "cboe-csv"
HEADER_START = "Expiration Date,Calls,"
QUOTE_FIELDS = ["Last Sale", "Net", "Bid", "Ask", "Volume", "IV", "Delta", "Gamma", "Open Interest"]
HEADER = ["Expiration Date", "Calls", *QUOTE_FIELDS, "Strike", "Puts", *QUOTE_FIELDS]
PREAMBLE_LINES = 10
"""Lines within which the header must come."""

EXPIRY, CALL, STRIKE, PUT = 0, 1, 11, 12
TAKEN = {
    "bid": 3,
    "ask": 4,
    "volume": 5,
    "vendor_iv": 6,
    "vendor_delta": 7,
    "vendor_gamma": 8,
    "open_interest": 9,
}
"""Fields after the symbol, by column."""

DATE_LINE = re.compile(r"Date:\s*(.*?)\s*,\s*Bid:")
LAST = re.compile(r"Last:\s*([0-9.]+)")
MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"


def recognises(content: bytes) -> bool:
    """Tell whether a payload looks like this format."""
    return HEADER_START.encode() in content[:4096]


def parse(payload: Payload) -> Chain:
    """Read a payload.

    Raises
    ------
    FormatError
        If it is truncated, of another format or underlying, or if its date line cannot be read
        and `payload.quotes_asof` is not given.
    """
    lines = _decode(payload.content).splitlines()
    start = next(
        (k for k, line in enumerate(lines[:PREAMBLE_LINES]) if line.startswith(HEADER_START)), None
    )
    if start is None:
        raise FormatError(f"{payload.name} has no header of Cboe's quotes in its first lines")
    if lines[start].rstrip(",").split(",") != HEADER:
        raise FormatError(f"{payload.name}:{start + 1}: other columns than Cboe's quotes have")
    preamble = "\n".join(line.replace('"', "") for line in lines[:start])
    date = DATE_LINE.search(preamble)
    shown = date.group(1) if date is not None else "no date line"
    last = LAST.search(preamble)
    meta = payload.cboe_meta(
        SOURCE,
        parse_download_date(shown) if date is not None else None,
        _level(last.group(1)) if last is not None else float("nan"),
        f"the date of the download cannot be read ({shown!r:.60}): give quotes_asof",
    )
    return normalise(_columns(payload.name, lines, start + 1), meta)


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _level(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _columns(name: str, lines: list[str], start: int) -> RawColumns:
    issues: list[ChainIssue] = []
    rows: list[list[str]] = []
    numbers: list[int] = []
    body = csv.reader(lines[start:])
    try:
        for fields in body:
            number = start + body.line_num
            while len(fields) > len(HEADER) and not fields[-1]:
                fields.pop()
            if len(fields) == len(HEADER):
                rows.append(fields)
                numbers.append(number)
            elif any(fields):
                issues.append(
                    ChainIssue(name, number, f"{len(fields)} fields of {len(HEADER)}", fields[0])
                )
    except csv.Error as error:
        raise FormatError(f"{name}:{start + body.line_num}: {error}") from None
    if not rows:
        raise FormatError(f"{name} has a header but no contracts: fetch it again")
    if issues and issues[-1].row > numbers[-1]:
        raise FormatError(f"{name}:{issues[-1].row}: the file ends within a row: fetch it again")
    fields_of = list(zip(*rows, strict=True))
    for side in (CALL, PUT):
        fields_of[side] = tuple(symbol.strip() for symbol in fields_of[side])
    row = np.array(numbers, np.int64)
    good = _consistent(name, fields_of, row, issues)
    columns = {
        column: np.concatenate(
            [
                _numbers(name, fields_of[side + at], row, good, column, issues)
                for side in (CALL, PUT)
            ]
        )
        for column, at in TAKEN.items()
    }
    symbols = [
        symbol
        for side in (CALL, PUT)
        for symbol, kept in zip(fields_of[side], good.tolist(), strict=True)
        if kept
    ]
    return RawColumns(name, symbols, np.tile(row[good], 2), issues=tuple(issues), **columns)


def _numbers(
    name: str,
    texts: Sequence[str],
    row: NDArray[np.int64],
    good: NDArray[np.bool_],
    column: str,
    issues: list[ChainIssue],
) -> NDArray[np.float64]:
    """Return the values of the good rows; what is no number is unknown and noted."""
    try:
        return np.fromiter(map(float, texts), np.float64, len(texts))[good]
    except ValueError:
        pass
    values = np.full(len(texts), np.nan)
    for k, text in enumerate(texts):
        try:
            values[k] = float(text) if text.strip() else np.nan
        except ValueError:
            if good[k]:
                issues.append(ChainIssue(name, int(row[k]), f"{column} is no number", text))
    return values[good]


def _consistent(
    name: str,
    fields_of: list[tuple[str, ...]],
    row: NDArray[np.int64],
    issues: list[ChainIssue],
) -> NDArray[np.bool_]:
    """Tell which rows have symbols that agree with their expiry and strike."""
    dates: dict[str, str] = {}
    good = np.ones(len(row), bool)
    columns = (fields_of[k] for k in (EXPIRY, STRIKE, CALL, PUT))
    for k, (expiry, strike, call, put) in enumerate(zip(*columns, strict=True)):
        if expiry not in dates:
            dates[expiry] = _yymmdd(expiry)
        try:
            tail = f"{round(float(strike) * 1000):08d}"
        except (ValueError, OverflowError):
            tail = ""
        if (
            call[-15:] != f"{dates[expiry]}C{tail}"
            or put[-15:] != f"{dates[expiry]}P{tail}"
            or call[:-15] != put[:-15]
        ):
            good[k] = False
            issues.append(
                ChainIssue(
                    name,
                    int(row[k]),
                    "symbols contradict expiry or strike",
                    f"{expiry} {strike} {call}",
                )
            )
    return good


def _yymmdd(text: str) -> str:
    """Return the date of ``Mon Jan 08 2024`` as in a symbol, "?" if it is none."""
    words = text.split()
    if len(words) != 4 or len(words[1]) != 3 or not (words[2] + words[3]).isdecimal():
        return "?"
    month, part = divmod(MONTHS.find(words[1]), 3)
    return "?" if part else f"{words[3][-2:]}{month + 1:02d}{words[2]:0>2}"

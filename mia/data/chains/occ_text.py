"""Open interest from the series search of the clearing house (OCC).

Some lines of title, then one line per strike, separated by tabs: root, an empty field, year,
month, day, strike, its thousandths, sides, open interest of the call and of the put, position
limit. The text has no date and no quotes. Roots of adjusted contracts start with a digit.
"""

import re

import numpy as np

from mia.core.chain import Chain, ChainIssue, ChainMeta
from mia.data.chains import option_clock
from mia.data.chains.normaliser import RawColumns, normalise
from mia.data.chains.payload import Payload
from mia.errors import FormatError

SOURCE = "occ"
FIRST_ROW = re.compile(rb"^[0-9A-Z]{1,6}[ ]*\t[ ]*\t\d{4}\t", re.MULTILINE)
TITLE = "productsymbol"
FIELDS = 9
"""Fields that matter, the empty one left out."""


def recognises(content: bytes) -> bool:
    """Tell whether a payload looks like this format."""
    head = content[:4096]
    return TITLE.encode() in head.lower() or FIRST_ROW.search(head) is not None


def parse(payload: Payload) -> Chain:
    """Read a payload; all columns but open interest are unknown and `quotes_asof` is 0.

    Raises
    ------
    FormatError
        If it holds no row, is of another underlying, or if `payload.received_at` is not given.
    """
    if payload.received_at is None:
        raise FormatError(f"{payload.name}: open interest of OCC has no date: give received_at")
    issues: list[ChainIssue] = []
    symbols: list[str] = []
    rows: list[int] = []
    held: list[float] = []
    lines = payload.content.decode("utf-8", "replace").splitlines()
    first = next((k for k, line in enumerate(lines, 1) if line.lower().startswith(TITLE)), 0)
    for number, line in enumerate(lines[first:], start=first + 1):
        if "\t" not in line:
            continue
        found = _contracts(line)
        if isinstance(found, str):
            issues.append(ChainIssue(payload.name, number, found, line[:60]))
            continue
        for symbol, open_interest in found:
            symbols.append(symbol)
            rows.append(number)
            held.append(open_interest)
    unknown = np.full(len(symbols), np.nan)
    raw = RawColumns(
        payload.name,
        symbols,
        np.array(rows, np.int64),
        bid=unknown,
        ask=unknown,
        open_interest=np.array(held, np.float64),
        volume=unknown,
        vendor_iv=unknown,
        vendor_delta=unknown,
        vendor_gamma=unknown,
        issues=tuple(issues),
    )
    return normalise(
        raw,
        ChainMeta(
            source=payload.source or SOURCE,
            underlying="SPX",
            quotes_asof=0,
            oi_session=option_clock.occ_session(payload.received_at),
            received_at=payload.received_at,
        ),
    )


def _contracts(line: str) -> list[tuple[str, float]] | str:
    """Return symbols and open interest of a row, or why it has none."""
    fields = [field.strip() for field in line.split("\t")]
    if len(fields) > 1 and not fields[1]:
        del fields[1]
    if len(fields) < FIELDS:
        return f"{len(fields)} fields of at least {FIELDS}"
    root, year, month, day, strike, thousandths, sides, *held = fields[:FIELDS]
    if root[:1].isdigit():
        return "adjusted contract"
    date = year + month.zfill(2) + day.zfill(2)
    digits = "".join((date, strike, thousandths))
    if len(date) != 8 or not date.startswith("20") or not (digits.isascii() and digits.isdigit()):
        return "expiry or strike is no number"
    # One digit could be thousandths or tenths.
    plain = len(thousandths) == 3 or thousandths == "0"
    if not 1 <= len(strike) <= 5 or not plain:
        return "strike is not understood"
    if not sides or sides.strip("CP "):
        return "sides are neither C nor P"
    tail = f"{int(strike):05d}{int(thousandths):03d}"
    return [
        (f"{root}{date[2:]}{side}{tail}", _held(text))
        for side, text in zip("CP", held, strict=True)
        if side in sides
    ]


def _held(text: str) -> float:
    digits = text.removeprefix("-").replace(",", "")
    if not (digits.isascii() and digits.isdigit()):
        return float("nan")
    return -float(digits) if text.startswith("-") else float(digits)

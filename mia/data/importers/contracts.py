"""Names of futures contracts, in files and in feeds."""

import re
from datetime import date, timedelta
from pathlib import Path

from mia.config.instruments import INSTRUMENTS, MONTH_CODES, Instrument
from mia.data.contracts import MONTH_OF, third_friday
from mia.errors import FormatError

ROOTS = "|".join(sorted(INSTRUMENTS, key=len, reverse=True))
CODES = "".join(MONTH_OF)

FULL = re.compile(rf"({ROOTS})([{CODES}])(\d\d)")
SHORT = re.compile(rf"({ROOTS})([{CODES}])(\d)")
IN_FILE_NAME = re.compile(rf"(?<![A-Z])({ROOTS})([{CODES}])(20)?(\d\d)(?!\d)")

AFTER_EXPIRY = timedelta(days=7)
"""How long after its last trade a contract may still be spoken of."""


def check_contract(name: str) -> str:
    """Return `name` if it is a contract such as ``ESU19``.

    Raises
    ------
    FormatError
        If it is not one of an instrument that MIA knows.
    """
    if FULL.fullmatch(name) is None:
        raise FormatError(
            f"{name!r} is not a contract: expected one of {', '.join(INSTRUMENTS)}, "
            f"a month of {', '.join(CODES)} and two digits of the year, as in ESU19"
        )
    return name


def instrument_of(contract: str) -> Instrument:
    """Return the instrument of a contract such as ``ESU19``.

    Raises
    ------
    FormatError
        If the name is not one of a contract.
    """
    return INSTRUMENTS[check_contract(contract)[:-3]]


def contract_of_month(root: str, year: int, month: int) -> str:
    """Return the name of the contract that expires in a month, as ``ESZ13``.

    Raises
    ------
    FormatError
        If there is no such contract.
    """
    code = MONTH_CODES.get(month)
    if code is None or root not in INSTRUMENTS:
        raise FormatError(f"there is no contract {root} {year:04d}-{month:02d}")
    return f"{root}{code}{year % 100:02d}"


def resolve_contract(symbol: str, traded: date) -> str:
    """Give a one-digit year its decade: the contract alive on a day, or the next to come.

    ``ESU4`` is ``ESU24`` on 2024-07-01 and ``ESU34`` in October of that year.

    Raises
    ------
    FormatError
        If the symbol is neither of this form nor one with two digits.
    """
    if FULL.fullmatch(symbol):
        return symbol
    match = SHORT.fullmatch(symbol)
    if match is None:
        raise FormatError(f"symbol {symbol!r} is not one contract of {', '.join(INSTRUMENTS)}")
    root, code, digit = match.groups()
    month = MONTH_OF[code]
    year = traded.year - traded.year % 10 + int(digit) - 10
    while third_friday(year, month) + AFTER_EXPIRY < traded:
        year += 10
    return contract_of_month(root, year, month)


def contract_of_file(path: Path, given: str | None) -> str:
    """Return the contract of a file that holds one: the one given, or that of its name.

    ``ESH20-CME.scid_BarData__5m.txt`` is ``ESH20``.

    Raises
    ------
    FormatError
        If the name says none and none is given.
    """
    if given is not None:
        return check_contract(given)
    match = IN_FILE_NAME.search(path.name)
    if match is None:
        raise FormatError(
            f"the name {path.name} does not say which contract it holds: "
            "give it with --symbol, as in --symbol ESU19"
        )
    root, code, _, year = match.groups()
    return f"{root}{code}{year}"

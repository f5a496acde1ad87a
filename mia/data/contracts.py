"""Names and expiries of the quarterly index futures."""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

from mia.config.instruments import MONTH_CODES
from mia.core import calendar_table, sessions
from mia.errors import DataError

NAME = re.compile(r"([A-Z0-9]{1,4})([FGHJKMNQUVXZ])([0-9]{2})")
MONTH_OF = {code: month for month, code in MONTH_CODES.items()}

# The opening auction of the stocks settles an expiring contract: 09:30 ET.
SETTLES = "t_rth_open"


def third_friday(year: int, month: int) -> date:
    """Return the day on which the contract of a month expires, unless the market is closed."""
    first = date(year, month, 1)
    return first + timedelta(days=(4 - first.weekday()) % 7 + 14)


@dataclass(frozen=True, slots=True, order=True)
class Contract:
    """A listed month, ordered by expiry.

    Attributes
    ----------
    year, month : int
        Of expiry.
    root : str
        As in ``ES``.
    """

    year: int
    month: int
    root: str

    def __str__(self) -> str:
        """Name of the contract, as in ``ESU19``."""
        return f"{self.root}{MONTH_CODES[self.month]}{self.year % 100:02d}"

    @property
    def last_session(self) -> int:
        """Session of the last trade: the third Friday, or the last cash day before it."""
        day = third_friday(self.year, self.month)
        while not calendar_table.cash_market_opens(calendar_table.to_session_id(day)):
            day -= timedelta(days=1)
        return calendar_table.to_session_id(day)

    @property
    def expiry(self) -> int:
        """Time after which it no longer trades, ns UTC."""
        row = sessions.session_table(self.last_session, self.last_session)[0]
        return int(row[SETTLES])


@cache
def parse_contract(name: str) -> Contract:
    """Take the name of a quarterly contract apart.

    Raises
    ------
    DataError
        If it is not a root, a quarterly month code and a year of two digits.
    """
    match = NAME.fullmatch(name)
    if match is None or match[2] not in MONTH_OF:
        raise DataError(
            f"{name!r} names no quarterly contract: write root, month and year as in ESU19"
        )
    return Contract(2000 + int(match[3]), MONTH_OF[match[2]], match[1])


def is_contract(name: str) -> bool:
    """Tell whether a name is that of a contract rather than of a root."""
    return NAME.fullmatch(name) is not None


def front_by_calendar(root: str, session_id: int, last_days: int) -> str:
    """Name the nearest contract that has more than some calendar days to its last session.

    Parameters
    ----------
    root : str
        As in ``ES``.
    session_id : int
    last_days : int
    """
    day = date(session_id // 10_000, session_id // 100 % 100, session_id % 100)
    year, month = day.year, -(-day.month // 3) * 3
    while True:
        last = Contract(year, month, root).last_session
        end = date(last // 10_000, last // 100 % 100, last % 100)
        if (end - day).days > last_days:
            return str(Contract(year, month, root))
        year, month = (year, month + 3) if month < 12 else (year + 1, 3)


def open_hours(contract: str, session_id: int) -> list[tuple[int, int]]:
    """Return the spans of a session in which the contract trades, ns UTC.

    Raises
    ------
    DataError
        If the calendar does not cover the session or its expiry.
    """
    expiry = parse_contract(contract).expiry
    spans = sessions.expected_intervals(session_id)
    return [(start, min(end, expiry)) for start, end in spans if start < expiry]

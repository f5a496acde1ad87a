"""Write mia/core/cme_globex_equity.csv: the days on which ES does not trade its regular hours.

The days come from pandas_market_calendars and from the corrections below. Run it after an
update of that package and read the difference before it is committed.
"""

import sys
from datetime import date
from pathlib import Path

import pandas as pd
import pandas_market_calendars

CALENDAR = "CME Globex Equity"
FIRST_YEAR = 2008
LAST_YEAR = 2030
REGULAR_CLOSE = "16:00"
TARGET = Path(__file__).parent.parent / "mia" / "core" / "cme_globex_equity.csv"

NO_PAYROLL = "Good Friday without a payroll report"

CORRECTIONS: dict[date, tuple[str, str]] = {
    date(2012, 10, 29): ("08:15", "hurricane Sandy"),
    date(2012, 10, 30): ("08:15", "hurricane Sandy"),
    date(2018, 12, 5): ("08:30", "day of mourning"),
    date(2024, 3, 29): ("", NO_PAYROLL),
    date(2025, 1, 9): ("08:30", "day of mourning"),
    date(2025, 4, 18): ("", NO_PAYROLL),
    date(2027, 3, 26): ("", NO_PAYROLL),
    date(2028, 4, 14): ("", NO_PAYROLL),
    date(2029, 3, 30): ("", NO_PAYROLL),
    date(2030, 4, 19): ("", NO_PAYROLL),
}
"""Close (Central time, empty: no trading) and reason of days that the package has wrong."""

KINDS = {
    "08:15": "Good Friday with a payroll report",
    "10:30": "holiday of the cash market",
    "12:00": "holiday of the cash market",
    "12:15": "half day of the cash market",
}


def special_days() -> dict[date, tuple[str, str]]:
    """Collect close and reason of each weekday that is not regular."""
    first, last = f"{FIRST_YEAR}-01-01", f"{LAST_YEAR}-12-31"
    schedule = pandas_market_calendars.get_calendar(CALENDAR).schedule(first, last)
    close = schedule["market_close"].dt.tz_convert("America/Chicago").dt.strftime("%H:%M")
    days = {day.date(): (time, KINDS[time]) for day, time in close.items() if time != REGULAR_CLOSE}
    for day in pd.bdate_range(first, last).difference(schedule.index):
        days[day.date()] = ("", "closed")
    return dict(sorted((days | CORRECTIONS).items()))


def render() -> str:
    """Return the text of the table."""
    lines = ["date,close_ct,reason"]
    lines += [f"{day},{close},{reason}" for day, (close, reason) in special_days().items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
    sys.stdout.write(f"wrote {TARGET}\n")

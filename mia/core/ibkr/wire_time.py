"""Times as TWS writes them, in any zone that a gateway was seen to run in.

A gateway writes times of executions in the zone of its own settings: an IANA name, a Windows
name with blanks, an abbreviation, or UTC with a dash and no name at all.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo

SECOND = 1_000_000_000

_STAMP = re.compile(
    r"(?P<year>\d{4})-?(?P<month>\d{2})-?(?P<day>\d{2})(?P<gap>-|T|\s+)"
    r"(?P<hour>\d{2}):(?P<minute>\d{2}):(?P<second>\d{2})(?:\.(?P<fraction>\d{1,9}))?"
    r"(?:\s*(?P<zone>\S.*))?"
)
_EPOCH = re.compile(r"\d{9,13}")
_OFFSET = re.compile(r"(?:UTC|GMT)?(?P<sign>[+-])(?P<hour>\d{1,2}):?(?P<minute>\d{2})?")

# Names that Windows gives to zones, with the IANA zone that CLDR makes of each.
WINDOWS_ZONES = {
    "Dateline Standard Time": "Etc/GMT+12",
    "Hawaiian Standard Time": "Pacific/Honolulu",
    "Alaskan Standard Time": "America/Anchorage",
    "Pacific Standard Time": "America/Los_Angeles",
    "US Mountain Standard Time": "America/Phoenix",
    "Mountain Standard Time": "America/Denver",
    "Central America Standard Time": "America/Guatemala",
    "Central Standard Time": "America/Chicago",
    "Central Standard Time (Mexico)": "America/Mexico_City",
    "Canada Central Standard Time": "America/Regina",
    "SA Pacific Standard Time": "America/Bogota",
    "Eastern Standard Time": "America/New_York",
    "US Eastern Standard Time": "America/Indiana/Indianapolis",
    "Venezuela Standard Time": "America/Caracas",
    "Atlantic Standard Time": "America/Halifax",
    "SA Western Standard Time": "America/La_Paz",
    "Pacific SA Standard Time": "America/Santiago",
    "Newfoundland Standard Time": "America/St_Johns",
    "E. South America Standard Time": "America/Sao_Paulo",
    "Argentina Standard Time": "America/Argentina/Buenos_Aires",
    "SA Eastern Standard Time": "America/Cayenne",
    "Azores Standard Time": "Atlantic/Azores",
    "UTC": "UTC",
    "Coordinated Universal Time": "UTC",
    "GMT Standard Time": "Europe/London",
    "Greenwich Standard Time": "Atlantic/Reykjavik",
    "W. Europe Standard Time": "Europe/Berlin",
    "Central Europe Standard Time": "Europe/Budapest",
    "Central European Standard Time": "Europe/Warsaw",
    "Romance Standard Time": "Europe/Paris",
    "Morocco Standard Time": "Africa/Casablanca",
    "W. Central Africa Standard Time": "Africa/Lagos",
    "GTB Standard Time": "Europe/Bucharest",
    "FLE Standard Time": "Europe/Kyiv",
    "E. Europe Standard Time": "Europe/Chisinau",
    "Egypt Standard Time": "Africa/Cairo",
    "South Africa Standard Time": "Africa/Johannesburg",
    "Israel Standard Time": "Asia/Jerusalem",
    "Turkey Standard Time": "Europe/Istanbul",
    "Arab Standard Time": "Asia/Riyadh",
    "Russian Standard Time": "Europe/Moscow",
    "Arabian Standard Time": "Asia/Dubai",
    "Pakistan Standard Time": "Asia/Karachi",
    "India Standard Time": "Asia/Kolkata",
    "Bangladesh Standard Time": "Asia/Dhaka",
    "SE Asia Standard Time": "Asia/Bangkok",
    "China Standard Time": "Asia/Shanghai",
    "Singapore Standard Time": "Asia/Singapore",
    "Taipei Standard Time": "Asia/Taipei",
    "W. Australia Standard Time": "Australia/Perth",
    "Korea Standard Time": "Asia/Seoul",
    "Tokyo Standard Time": "Asia/Tokyo",
    "Cen. Australia Standard Time": "Australia/Adelaide",
    "AUS Central Standard Time": "Australia/Darwin",
    "AUS Eastern Standard Time": "Australia/Sydney",
    "E. Australia Standard Time": "Australia/Brisbane",
    "New Zealand Standard Time": "Pacific/Auckland",
}

# Abbreviations as Java, in which TWS is written, reads them: CST is Chicago, not Shanghai.
ABBREVIATIONS = {
    "Z": "UTC",
    "GMT": "UTC",
    "EST": "America/New_York",
    "EDT": "America/New_York",
    "CST": "America/Chicago",
    "CDT": "America/Chicago",
    "MST": "America/Denver",
    "MDT": "America/Denver",
    "PST": "America/Los_Angeles",
    "PDT": "America/Los_Angeles",
    "BST": "Europe/London",
    "WET": "Europe/Lisbon",
    "CET": "Europe/Paris",
    "CEST": "Europe/Paris",
    "MET": "Europe/Paris",
    "MEZ": "Europe/Berlin",
    "MESZ": "Europe/Berlin",
    "EET": "Europe/Athens",
    "MSK": "Europe/Moscow",
    "IST": "Asia/Kolkata",
    "HKT": "Asia/Hong_Kong",
    "SGT": "Asia/Singapore",
    "JST": "Asia/Tokyo",
    "KST": "Asia/Seoul",
    "AEST": "Australia/Sydney",
    "AEDT": "Australia/Sydney",
    "NZST": "Pacific/Auckland",
}


@cache
def zone(name: str) -> tzinfo | None:
    """Return the zone that a gateway means by `name`, or None if nothing is known by it."""
    name = name.strip()
    if name.endswith("Daylight Time") or name.endswith("Summer Time"):
        name = name.replace("Daylight", "Standard").replace("Summer", "Standard")
    known = WINDOWS_ZONES.get(name) or ABBREVIATIONS.get(name)
    if known is None:
        offset = _OFFSET.fullmatch(name)
        if offset is not None:
            return _fixed(offset)
    try:
        return ZoneInfo(known or name)
    except (KeyError, ValueError, OSError):
        return None


def _fixed(offset: re.Match[str]) -> tzinfo | None:
    size = timedelta(hours=int(offset["hour"]), minutes=int(offset["minute"] or 0))
    if size >= timedelta(hours=24):
        return None
    return timezone(size if offset["sign"] == "+" else -size)


def parse_time(text: str, default_zone: tzinfo | None = None, near: int | None = None) -> int:
    """Read a time of an execution or a handshake.

    Parameters
    ----------
    text : str
        ``20260413 15:27:04 US/Central``, ``20260413-15:27:04`` (UTC),
        ``20260413  15:27:04`` (`default_zone`), or seconds since 1970.
    default_zone : tzinfo, optional
        Of a time that names no zone.
    near : int, optional
        ns UTC; chooses between the two instants of an hour that a clock shows twice.

    Returns
    -------
    int
        ns UTC.

    Raises
    ------
    ValueError
        If it is no time, names a zone that is unknown, or names none and there is no default.
    """
    text = text.strip()
    if _EPOCH.fullmatch(text):
        seconds = int(text)
        return seconds * (1_000_000 if len(text) == 13 else SECOND)
    match = _STAMP.fullmatch(text)
    if match is None:
        raise ValueError(f"time {text!r} is in no known format")
    naive = datetime(
        int(match["year"]),
        int(match["month"]),
        int(match["day"]),
        int(match["hour"]),
        int(match["minute"]),
        int(match["second"]),
    )
    fraction = int((match["fraction"] or "").ljust(9, "0"))
    if match["zone"] is not None:
        place = zone(match["zone"])
        if place is None:
            raise ValueError(f"time {text!r} is in the unknown zone {match['zone']!r}")
    elif match["gap"] == "-":
        place = UTC
    elif default_zone is None:
        raise ValueError(f"time {text!r} names no zone, and the gateway told none")
    else:
        place = default_zone
    first, second = (_instant(naive.replace(tzinfo=place, fold=fold)) for fold in (0, 1))
    if near is not None and abs(second - near) < abs(first - near):
        first = second
    return first + fraction


def _instant(moment: datetime) -> int:
    return round(moment.timestamp()) * SECOND


def handshake_zone(text: str) -> tzinfo | None:
    """Return the zone in the time that a gateway greets with, or None without a known one."""
    match = _STAMP.fullmatch(text.strip())
    return zone(match["zone"]) if match is not None and match["zone"] is not None else None


def utc_dash(ts: int) -> str:
    """Write a time as requests for history take it: ``20260413-15:27:04``, UTC."""
    return datetime.fromtimestamp(ts // SECOND, UTC).strftime("%Y%m%d-%H:%M:%S")

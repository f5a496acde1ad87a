"""Read the date line of a downloaded file, which a browser wrote in the language of its user.

A date is read only if it can mean one instant: month by name, day, year, time of day, and a
zone with a known offset. All else is no date.
"""

import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone

SECOND = 1_000_000_000

# English, Spanish, French, Russian, German, Italian, Portuguese; genitive where dates use it.
MONTHS = (
    "january jan enero ene janvier janv января янв januar gennaio gen janeiro",
    "february feb febrero février févr февраля февр februar febbraio fevereiro fev",
    "march mar marzo mars марта мар märz março",
    "april apr abril abr avril avr апреля апр aprile",
    "may mayo mai мая maggio mag maio",
    "june jun junio juin июня июн juni giugno giu junho",
    "july jul julio juillet juil июля июл juli luglio lug julho",
    "august aug agosto ago août августа авг",
    "september sep sept septiembre septembre сентября сент settembre set setembro",
    "october oct octubre octobre октября окт oktober okt ottobre ott outubro out",
    "november nov noviembre novembre ноября нояб novembro",
    "december dec diciembre dic décembre déc декабря дек dezember dez dicembre dezembro",
)
MONTH_OF = {word: k for k, words in enumerate(MONTHS, start=1) for word in words.split()}

# Names that browsers write for one zone only.
ZONES = {
    "utc": 0, "gmt": 0, "z": 0, "est": -300, "edt": -240, "cst": -360, "cdt": -300, "mst": -420,
    "mdt": -360, "pst": -480, "pdt": -420, "bst": 60, "wet": 0, "west": 60, "cet": 60, "cest": 120,
    "mez": 60, "mesz": 120, "eet": 120, "eest": 180, "msk": 180, "мск": 180,
}  # fmt: skip

TIME = re.compile(r"\b(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?\s*([ap]\.?\s?m\b\.?)?", re.IGNORECASE)
ZONE = re.compile(r"(?:\b(?:utc|gmt))\s*([+-])(\d{1,2})(?::?(\d{2}))?\s*$", re.IGNORECASE)
ISO_DAY = re.compile(r"^\s*(\d{4})-(\d{2})-(\d{2})[ ,T]")
DAY_OR_YEAR = re.compile(r"\b(\d{4}|\d{1,2})\b")
WORD = re.compile(r"[^\W\d_]+")


def parse_download_date(text: str) -> int | None:
    """Return the instant (ns UTC) that a date line states, None if it is not certain."""
    text = unicodedata.normalize("NFKC", text).replace("\u2212", "-").strip().strip('"')
    offset = _offset(text)
    text = ZONE.sub("", text)
    times = list(TIME.finditer(text))
    if len(times) != 1 or offset is None:
        return None
    day = _day(text[: times[0].start()])
    clock = _clock(times[0])
    if day is None or clock is None:
        return None
    try:
        moment = datetime(*day, *clock, tzinfo=timezone(timedelta(minutes=offset)))
        return int(moment.astimezone(UTC).timestamp()) * SECOND
    except (ValueError, OverflowError):
        return None


def _offset(text: str) -> int | None:
    """Return the offset from UTC in minutes."""
    signed = ZONE.search(text)
    if signed is not None:
        sign, hours, minutes = signed.groups()
        offset = int(hours) * 60 + int(minutes or 0)
        return (-offset if sign == "-" else offset) if offset <= 14 * 60 else None
    words = text.split()
    return ZONES.get(words[-1].lower()) if words else None


def _clock(found: re.Match[str]) -> tuple[int, int, int] | None:
    hour, minute, second = (int(part or 0) for part in found.groups()[:3])
    half = found.group(4)
    if half is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half[0].lower() == "p" else 0)
    return hour, minute, second


def _day(text: str) -> tuple[int, int, int] | None:
    iso = ISO_DAY.match(text)
    if iso is not None:
        year, month, day = (int(part) for part in iso.groups())
        return year, month, day
    months = {MONTH_OF[word] for word in WORD.findall(text.lower()) if word in MONTH_OF}
    numbers = DAY_OR_YEAR.findall(text)
    years = [int(number) for number in numbers if len(number) == 4]
    days = [int(number) for number in numbers if len(number) < 4]
    if len(months) != 1 or len(years) != 1 or len(days) != 1:
        return None
    return years[0], months.pop(), days[0]

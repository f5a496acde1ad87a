"""Wall-clock times of New York, as IQFeed writes them, to ns UTC."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
SECOND_NS = 1_000_000_000
DAY_US = 86_400_000_000

_MINUTES = {
    f"{hour:02d}:{minute:02d}".encode(): (hour * 60 + minute) * 60_000_000
    for hour in range(24)
    for minute in range(60)
}


def day_of(text: bytes) -> date:
    """Read a date written ``2025-03-10`` or ``03/10/2025``.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if len(text) == 10 and text[4:5] == text[7:8] == b"-":
        parts = text[:4], text[5:7], text[8:]
    elif len(text) == 10 and text[2:3] == text[5:6] == b"/":
        parts = text[6:], text[:2], text[3:5]
    else:
        raise ValueError(f"{text!r} is no date")
    if not all(part.isdigit() for part in parts):
        raise ValueError(f"{text!r} is no date")
    year, month, day = (int(part) for part in parts)
    return date(year, month, day)


def time_of_day_us(text: bytes) -> int:
    """Read a time written ``09:30:00`` or with up to six decimals, as microseconds.

    Raises
    ------
    ValueError
        If it is none.
    """
    minute = _MINUTES.get(text[:5])
    seconds = text[6:8]
    if minute is None or text[5:6] != b":" or len(seconds) != 2 or not seconds.isdigit():
        raise ValueError(f"{text!r} is no time of day")
    second = int(seconds)
    if second > 59:
        raise ValueError(f"{text!r} is no time of day")
    us = minute + second * 1_000_000
    if len(text) == 8:
        return us
    fraction = text[9:]
    if text[8:9] != b"." or not fraction.isdigit() or len(fraction) > 6:
        raise ValueError(f"{text!r} is no time of day")
    return us + int(fraction.ljust(6, b"0"))


class EasternTime:
    """Converts dates and times of New York; remembers the days it has seen.

    When clocks are set back an hour comes twice: the earlier of the two instants is meant
    unless it lies before what the caller knows to be past. An hour that is left out when
    clocks are set forward is an error.
    """

    def __init__(self) -> None:
        self._midnights: dict[bytes, int] = {}

    def ns(self, day: bytes, time: bytes, not_before: int) -> int:
        """Return ns UTC.

        Parameters
        ----------
        day, time : bytes
            As `day_of` and `time_of_day_us` read them.
        not_before : int
            ns UTC; decides in the hour that comes twice.

        Raises
        ------
        ValueError
            If there is no such time.
        """
        us = time_of_day_us(time)
        midnight = self._midnights.get(day)
        if midnight is None:
            midnight = self._midnight(day)
        if midnight >= 0:
            return midnight + us * 1000
        return _on_a_day_of_change(day_of(day), us, not_before)

    def _midnight(self, text: bytes) -> int:
        """Return ns UTC of 00:00, -1 on a day on which clocks change."""
        day = day_of(text)
        begin = datetime(day.year, day.month, day.day, tzinfo=NEW_YORK)
        midnight = int(begin.timestamp()) * SECOND_NS
        # The day's length tells a change: 25 or 23 hours.
        after = day + timedelta(days=1)
        end = datetime(after.year, after.month, after.day, tzinfo=NEW_YORK)
        if end.timestamp() - begin.timestamp() != 86_400:
            midnight = -1
        if len(self._midnights) > 1000:
            self._midnights.clear()
        self._midnights[text] = midnight
        return midnight


def _on_a_day_of_change(day: date, us: int, not_before: int) -> int:
    wall = datetime(day.year, day.month, day.day) + timedelta(microseconds=us)
    whole = wall.replace(microsecond=0, tzinfo=NEW_YORK)
    rest = wall.microsecond * 1000
    early = int(whole.replace(fold=0).timestamp()) * SECOND_NS + rest
    late = int(whole.replace(fold=1).timestamp()) * SECOND_NS + rest
    if early > late:
        raise ValueError(f"{wall} was left out when clocks were set forward")
    return early if early >= not_before else late


def to_eastern(ts: int) -> datetime:
    """Return the wall-clock time of New York at ns UTC, whole microseconds."""
    seconds, ns = divmod(ts, SECOND_NS)
    at = datetime.fromtimestamp(seconds, NEW_YORK)
    return at + timedelta(microseconds=ns // 1000)

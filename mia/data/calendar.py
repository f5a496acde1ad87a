"""Economic events that the news gate keeps away from, imported from CSV or iCal files."""

import csv
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa
import pyarrow.parquet as pq

from mia.core import sessions
from mia.data.files import reading, replace_file
from mia.errors import DataError, FormatError

FILE_NAME = "calendar.parquet"
IMPACTS = ("low", "medium", "high")
MINUTE = 60 * 1_000_000_000

FOMC = re.compile(r"\bFOMC\b|\bfed(eral)?\s+(funds|interest)\s+rate", re.IGNORECASE)
FOMC_WINDOW = (30 * MINUTE, 60 * MINUTE)
HIGH_WINDOW = (15 * MINUTE, 15 * MINUTE)
LONGEST = max(*FOMC_WINDOW, *HIGH_WINDOW)

SCHEMA = pa.schema(
    [
        pa.field("ts_event", pa.int64(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("impact", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True, order=True)
class NewsEvent:
    """A scheduled release.

    Attributes
    ----------
    ts_event : int
        Time of the release, ns UTC.
    name : str
        As in ``FOMC Statement``.
    impact : str
        ``low``, ``medium`` or ``high``.
    """

    ts_event: int
    name: str
    impact: str

    def window(self) -> tuple[int, int] | None:
        """Return start (inclusive) and end (exclusive) of the time to stay out, ns UTC."""
        if self.impact != "high":
            return None
        before, after = FOMC_WINDOW if FOMC.search(self.name) else HIGH_WINDOW
        return self.ts_event - before, self.ts_event + after


@dataclass(frozen=True, slots=True)
class CalendarImport:
    """What an import of events did: events new to the calendar, events read, days covered."""

    added: int
    read: int
    first_session: int
    last_session: int

    def summary(self) -> str:
        """Say in one line what happened."""
        return (
            f"{self.read:,} events from {self.first_session} to {self.last_session}, "
            f"{self.added:,} of them new"
        )


class NewsCalendar:
    """Events by time, and the spans of days for which events were imported.

    Parameters
    ----------
    events : iterable of NewsEvent
        In any order; equal ones count once.
    spans : iterable of (int, int)
        First and last session id of each import.
    """

    def __init__(
        self, events: Iterable[NewsEvent] = (), spans: Iterable[tuple[int, int]] = ()
    ) -> None:
        self._events = tuple(sorted(set(events)))
        self._spans = _union(spans)
        self._watched = [event for event in self._events if event.window() is not None]
        self._times = [event.ts_event for event in self._watched]

    @property
    def events(self) -> Sequence[NewsEvent]:
        """All events in time order."""
        return self._events

    @property
    def spans(self) -> Sequence[tuple[int, int]]:
        """Covered days as (first, last) session ids, in order, without overlaps."""
        return self._spans

    def covers(self, session_id: int) -> bool:
        """Tell whether the day lies in a span that was imported.

        A day outside is *unknown*, not free of news.
        """
        return any(first <= session_id <= last for first, last in self._spans)

    def window(self, ts: int) -> NewsEvent | None:
        """Return the event whose window holds a time (ns UTC), the earliest if there are two.

        None also where the day is not covered; ask `covers`.
        """
        first = bisect_left(self._times, ts - LONGEST)
        last = bisect_right(self._times, ts + LONGEST)
        for event in self._watched[first:last]:
            window = event.window()
            if window is not None and window[0] <= ts < window[1]:
                return event
        return None

    def merged(
        self, events: Sequence[NewsEvent], span: tuple[int, int], replace: bool = False
    ) -> "NewsCalendar":
        """Return a calendar with these events, covering `span` too.

        With `replace` the days of `span` lose the events that they had; without it a file that
        lists one kind of release cannot erase another kind.
        """
        first, last = span
        kept = [
            event
            for event in self._events
            if not (replace and first <= sessions.session_id(event.ts_event) <= last)
        ]
        return NewsCalendar([*kept, *events], [*self._spans, span])

    def save(self, folder: Path) -> None:
        """Write ``calendar.parquet`` into the store's folder, atomically.

        Raises
        ------
        DataError
            If it cannot be written.
        """
        columns = {name: [getattr(e, name) for e in self._events] for name in SCHEMA.names}
        spans = ",".join(f"{first}-{last}" for first, last in self._spans)
        schema = SCHEMA.with_metadata({"spans": spans})
        table = pa.table(columns, schema=schema)
        with replace_file(folder / FILE_NAME) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    @classmethod
    def load(cls, folder: Path) -> "NewsCalendar":
        """Read the calendar of a store; without one every day is uncovered.

        Raises
        ------
        DataError
            If the file is there but cannot be read.
        """
        path = folder / FILE_NAME
        if not path.exists():
            return cls()
        with reading(path):
            table = pq.read_table(path)
        text = (table.schema.metadata or {}).get(b"spans", b"").decode()
        try:
            spans = [
                (int(first), int(last))
                for first, last in (part.split("-") for part in text.split(",") if part)
            ]
            return cls((NewsEvent(**row) for row in table.to_pylist()), spans)
        except (ValueError, TypeError):
            raise DataError(
                f"{path} is no calendar: remove it and import the events again"
            ) from None


def import_events(
    path: Path,
    folder: Path,
    span: tuple[int, int] | None = None,
    impact: str = "high",
    replace: bool = False,
) -> CalendarImport:
    """Import a CSV or iCal file of events into the store's calendar.

    Parameters
    ----------
    path : Path
        ``.ics``, or a CSV with the columns `name`, `impact` and either `ts_utc` or `date`,
        `time` and `tz`.
    folder : Path
        The store.
    span : (int, int), optional
        First and last session that the file covers; those of its first and last event if None.
    impact : str
        Impact of iCal events, whose format has none.
    replace : bool
        Whether events that the calendar had in `span` are dropped.

    Raises
    ------
    FormatError
        If the file is not what its name says.
    DataError
        If it cannot be read or the calendar cannot be written.
    """
    events = read_ics(path, impact) if path.suffix.lower() == ".ics" else read_csv(path)
    if not events:
        raise FormatError(f"{path} has no event: nothing was imported")
    if span is None:
        try:
            days = [sessions.session_id(event.ts_event) for event in events]
        except DataError as error:
            raise FormatError(f"{path}: an event lies out of range: {error}") from None
        span = min(days), max(days)
    before = NewsCalendar.load(folder)
    after = before.merged(events, span, replace)
    after.save(folder)
    added = len(set(after.events) - set(before.events))
    return CalendarImport(added, len(events), *span)


def read_csv(path: Path) -> list[NewsEvent]:
    """Read events from a CSV file; see `import_events` for its columns.

    Raises
    ------
    FormatError
        If a column is missing or a row cannot be understood; the message names the line.
    """
    events = []
    with reading(path), path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        names = set(reader.fieldnames or ())
        if not {"name", "impact"} <= names or not (
            "ts_utc" in names or {"date", "time", "tz"} <= names
        ):
            raise FormatError(
                f"{path}: columns must be name, impact and ts_utc or date, time, tz; "
                f"found {', '.join(sorted(names)) or 'none'}"
            )
        for row in reader:
            try:
                events.append(_event_of(row))
            except (ValueError, ZoneInfoNotFoundError, AttributeError) as error:
                raise FormatError(f"{path}, line {reader.line_num}: {error}") from None
    return events


def read_ics(path: Path, impact: str = "high") -> list[NewsEvent]:
    """Read DTSTART and SUMMARY of each event of an iCal file; all-day events are left out.

    Raises
    ------
    FormatError
        If it is no iCal file, repeats events by rule, or a time has no zone.
    """
    with reading(path):
        text = path.read_text(encoding="utf-8-sig")
    lines = re.sub(r"\r?\n[ \t]", "", text).splitlines()
    if not lines or lines[0].strip().upper() != "BEGIN:VCALENDAR":
        raise FormatError(f"{path} is no iCal file: it does not start with BEGIN:VCALENDAR")
    events = []
    for properties in _vevents(lines):
        if "RRULE" in properties:
            raise FormatError(f"{path} repeats events by rule: export them one by one")
        attributes, value = properties.get("DTSTART", ("", ""))
        if "T" not in value:
            continue
        try:
            ts = _ics_time(attributes, value)
        except (ValueError, ZoneInfoNotFoundError) as error:
            raise FormatError(f"{path}: DTSTART {value}: {error}") from None
        name = re.sub(r"\\(.)", r"\1", properties.get("SUMMARY", ("", ""))[1]).strip()
        events.append(NewsEvent(ts, name, _impact(impact)))
    return events


def _vevents(lines: Sequence[str]) -> Iterator[dict[str, tuple[str, str]]]:
    current: dict[str, tuple[str, str]] | None = None
    for line in lines:
        key, _, value = line.partition(":")
        name, _, attributes = key.partition(";")
        if line.strip().upper() == "BEGIN:VEVENT":
            current = {}
        elif line.strip().upper() == "END:VEVENT" and current is not None:
            yield current
            current = None
        elif current is not None:
            current.setdefault(name.upper(), (attributes, value.strip()))


def _ics_time(attributes: str, value: str) -> int:
    zone = re.search(r'TZID="?([^";]+)', attributes)
    if value.endswith("Z"):
        moment = datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    elif zone:
        moment = datetime.strptime(value, "%Y%m%dT%H%M%S").replace(tzinfo=ZoneInfo(zone[1]))
    else:
        raise ValueError("has no time zone")
    return _ns(moment)


def _event_of(row: dict[str, str]) -> NewsEvent:
    if row.get("ts_utc"):
        moment = datetime.fromisoformat(row["ts_utc"].strip())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    else:
        local = datetime.fromisoformat(f"{row['date'].strip()}T{row['time'].strip()}")
        moment = local.replace(tzinfo=ZoneInfo(row["tz"].strip()))
    return NewsEvent(_ns(moment), row["name"].strip(), _impact(row["impact"]))


def _impact(text: str) -> str:
    impact = text.strip().lower()
    if impact not in IMPACTS:
        raise ValueError(f"impact must be one of {', '.join(IMPACTS)}, was {text!r}")
    return impact


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000


def _union(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    out: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if out and first <= out[-1][1]:
            out[-1] = out[-1][0], max(out[-1][1], last)
        else:
            out.append((first, last))
    return tuple(out)

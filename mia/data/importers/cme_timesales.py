"""Time and sales of the CME web site: a zip of one XML for each contract and clock hour.

The number before ``_eoi`` in a member's name is the hour slot: 17 to 24 are 16:00 to 23:59
Chicago of the calendar day **before** the one that every record states, 101 to 117 are 00:00 to
16:59. Times have whole seconds; the order of the records is the only one within a second.
Prices are in hundredths. A record is a trade if the tag ``indictive`` (spelled so) is ``-``.
"""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import numpy as np

from mia.data.importers.archive import open_archive, open_member
from mia.data.importers.contracts import IN_FILE_NAME
from mia.data.importers.delimited import (
    US_PER_DAY,
    Rows,
    days,
    times_of_day,
    wall_to_utc,
)
from mia.data.importers.reading import ImportLog, Progress, ReadOptions, no_progress
from mia.data.raw import RawTrades
from mia.errors import FormatError

MEMBER = re.compile(r"(?:.*/)?[A-Z]+_[A-Z0-9]+_([A-Z0-9]+)_\d{8}_(\d+)_eoi\.xml")
EVENING, DAY = range(17, 25), range(101, 118)
EXCHANGE_ZONE = ZoneInfo("America/Chicago")
RECORD = "reportRecordList"
TRADE = "-"
FIELDS = ("indictive", "quantity", "saledate", "saleprice", "saletime")
HUNDREDTHS = 0.01


def read(
    path: Path, options: ReadOptions, log: ImportLog, progress: Progress = no_progress
) -> Iterator[RawTrades]:
    """Read the trades of a day, contract after contract, each in order of time.

    Raises
    ------
    DataError
        If the file cannot be read.
    FormatError
        If it is damaged or no time and sales.
    """
    with open_archive(path) as archive:
        members = sorted(_slots(archive, options.contract))
        if not members:
            wanted = f" of {options.contract}" if options.contract else ""
            raise FormatError(f"{path.name} holds no time and sales{wanted}")
        total = sum(archive.getinfo(name).file_size for _, _, name in members)
        seq: dict[str, int] = {}
        done, skipped, row = 0, 0, 0
        for contract, slot, name in members:
            rows, others = _records(archive, name, row)
            row += len(rows.lines) + others
            skipped += others
            block = _block(rows, contract, slot, seq.get(contract, 0), log)
            if len(block):
                seq[contract] = seq.get(contract, 0) + len(block)
                yield block
            done += archive.getinfo(name).file_size
            progress(done, total)
        if skipped:
            log.note(f"{skipped} records are indicative or opening prices, not trades")


def _slots(archive: zipfile.ZipFile, wanted: str | None) -> Iterator[tuple[str, int, str]]:
    for name in archive.namelist():
        match = MEMBER.fullmatch(name)
        if match is None or IN_FILE_NAME.fullmatch(match[1]) is None:
            continue
        slot = int(match[2])
        if slot not in EVENING and slot not in DAY:
            raise FormatError(f"{name}: there is no hour slot {slot}")
        if wanted in (None, match[1]):
            yield match[1], slot, name


def _records(archive: zipfile.ZipFile, name: str, first_row: int) -> tuple[Rows, int]:
    """Return the trades of a member and the number of other records."""
    numbers: list[int] = []
    texts: list[str] = []
    fields: dict[str, list[str]] = {field: [] for field in FIELDS}
    row, others = first_row, 0
    try:
        with open_member(archive, name) as member:
            for _, element in ET.iterparse(member):
                if element.tag != RECORD:
                    continue
                values = [(element.findtext(field) or "").strip() for field in FIELDS]
                element.clear()
                if values[0] == TRADE:
                    numbers.append(row)
                    texts.append(f"{name}: {' '.join(values)}")
                    for field, value in zip(FIELDS, values, strict=True):
                        fields[field].append(value)
                else:
                    others += 1
                row += 1
    except ET.ParseError as error:
        raise FormatError(f"{name} is no whole XML document: {error}") from None
    return Rows(np.array(numbers, dtype=np.int64), texts, fields, [None] * len(texts)), others


def _block(rows: Rows, contract: str, slot: int, first_seq: int, log: ImportLog) -> RawTrades:
    dates = [_iso(text) for text in rows.fields["saledate"]]
    wall = days(dates, rows) * US_PER_DAY
    wall += times_of_day(rows.fields["saletime"], rows, counted=False)
    if slot in EVENING:
        wall -= US_PER_DAY
    utc = wall_to_utc(wall, EXCHANGE_ZONE, rows)
    price = rows.floats("saleprice")
    size = rows.integers("quantity")
    good = rows.usable(log)
    return RawTrades(
        contract=contract,
        ts_event=utc[good],
        price=price[good],
        size=size[good],
        aggressor_side=np.zeros(len(good), np.int8),
        seq=first_seq + np.arange(len(good), dtype=np.int64),
        price_scale=HUNDREDTHS,
        row=rows.numbers[good],
    )


def _iso(text: str) -> str:
    """Turn month/day/year around."""
    month, _, rest = text.partition("/")
    day, _, year = rest.partition("/")
    return f"{year}-{month}-{day}"

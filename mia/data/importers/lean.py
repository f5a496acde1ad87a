"""Minute and second bars of QuantConnect LEAN: a zip of one CSV a contract.

A file ``20131007_trade.zip`` holds ``20131007_es_minute_trade_201312.csv`` and the like, without
column names: milliseconds since 00:00 UTC of the date in the name, open, high, low, close,
volume. Its neighbours with quotes and open interest have no trades and are refused.
"""

import io
import re
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from mia.data.importers.archive import open_archive, open_member
from mia.data.importers.contracts import contract_of_month
from mia.data.importers.delimited import Rows, day_number
from mia.data.importers.reading import ImportLog, Progress, ReadOptions, no_progress
from mia.data.importers.scale import PriceScale
from mia.data.raw import RawBars
from mia.errors import FormatError

MEMBER = re.compile(
    r"(?:.*/)?(\d{4})(\d\d)(\d\d)_([a-z]+)_(minute|second)_"
    r"(trade|quote|openinterest)_(\d{4})(\d\d)\.csv"
)
WIDTH_S = {"minute": 60, "second": 1}
FIELDS = ("ms", "open", "high", "low", "close", "volume")
MS_PER_DAY = 86_400_000
NS_PER_MS = 1_000_000


def read(
    path: Path, options: ReadOptions, log: ImportLog, progress: Progress = no_progress
) -> Iterator[RawBars]:
    """Read the trade bars of a zip, contract after contract in order of expiry.

    Raises
    ------
    DataError
        If the file cannot be read.
    FormatError
        If it is damaged or holds anything but trade bars.
    """
    with open_archive(path) as archive:
        members = [
            (match, match[0]) for match in map(MEMBER.fullmatch, archive.namelist()) if match
        ]
        other = {match[6] for match, _ in members} - {"trade"}
        if other:
            raise FormatError(
                f"{path.name} holds {' and '.join(sorted(other))}, not trades: "
                "import the file of the same date that ends in _trade.zip"
            )
        if not members:
            raise FormatError(f"{path.name} holds no file named as LEAN names minute bars")
        members.sort(key=lambda member: (member[0][7], member[0][8], member[1]))
        total = sum(archive.getinfo(name).file_size for _, name in members)
        done = 0
        for match, name in members:
            contract = contract_of_month(match[4].upper(), int(match[7]), int(match[8]))
            if options.contract in (None, contract):
                yield from _read_member(archive, match, contract, options, log)
            done += archive.getinfo(name).file_size
            progress(done, total)


def _read_member(
    archive: zipfile.ZipFile,
    match: re.Match[str],
    contract: str,
    options: ReadOptions,
    log: ImportLog,
) -> Iterator[RawBars]:
    day = day_number(int(match[1]), int(match[2]), int(match[3]))
    if day is None:
        raise FormatError(f"{match[0]}: its name does not begin with a date")
    scales = PriceScale(contract, match[0], options.price_scale, log)
    with open_member(archive, match[0]) as member:
        lines = enumerate(io.TextIOWrapper(member, "utf-8-sig", errors="replace"), start=1)
        while part := list(islice(lines, options.chunk_rows)):
            rows = _rows(part, match[0], log)
            ms = rows.integers("ms")
            for index in np.flatnonzero((ms < 0) | (ms >= MS_PER_DAY)):
                rows.spoil(int(index), f"{ms[index]} ms are not within a day")
            prices = {name: rows.floats(name) for name in FIELDS[1:5]}
            volume = rows.integers("volume")
            good = rows.usable(log)
            if len(good):
                yield RawBars(
                    contract=contract,
                    width_s=WIDTH_S[match[5]],
                    t_open=(day * MS_PER_DAY + ms[good]) * NS_PER_MS,
                    open=prices["open"][good],
                    high=prices["high"][good],
                    low=prices["low"][good],
                    close=prices["close"][good],
                    volume=volume[good],
                    price_scale=scales.of(prices["close"][good]),
                    row=rows.numbers[good],
                )


def _rows(part: list[tuple[int, str]], member: str, log: ImportLog) -> Rows:
    numbers, lines, split = [], [], []
    for number, line in part:
        text = line.strip()
        fields = [field.strip() for field in text.split(",")]
        if not text:
            continue
        if len(fields) != len(FIELDS):
            reason = f"{len(FIELDS)} fields expected, {len(fields)} found"
            log.reject(number, f"{member}: {text}", reason)
            continue
        numbers.append(number)
        lines.append(f"{member}: {text}")
        split.append(fields)
    columns = {name: [fields[place] for fields in split] for place, name in enumerate(FIELDS)}
    return Rows(np.array(numbers, dtype=np.int64), lines, columns, [None] * len(lines))

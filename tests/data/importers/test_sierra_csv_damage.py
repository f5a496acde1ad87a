"""Damaged text exports of Sierra Chart: what is taken is what its line says."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
from fuzz import fuzz
from hypothesis import example, given
from hypothesis import strategies as st

from mia.data.importers import sierra_csv
from mia.data.importers.reading import ImportLog, ReadOptions
from mia.errors import FormatError

TRADES = (
    b"Date;Time;Sequence;DepthSequence;Price;Volume;TradeType;AskPrice;BidPrice;AskSize;BidSize\n"
    + b"".join(
        b"2023-07-21;13:30:%02d.%d;%d;%d;4500.%s;%d;%d;4500.50;4500.25;5;6\n"
        % (k, 1000 * k + k, k + 1, k, (b"25", b"5", b"75", b"00")[k % 4], k + 1, 1 + k % 2)
        for k in range(8)
    )
)
BARS = (
    b"Date, Time, Open, High, Low, Last, Volume, NumberOfTrades, BidVolume, AskVolume\n"
    + b"".join(
        b"2023/7/21, 08:%02d:00, 4500.00, 4501.00, 4499.75, 4500.25, %d, 8, 4, %d\n"
        % (30 + k, 10 + k, 6 + k)
        for k in range(8)
    )
)
PIECES = st.sampled_from(
    [b";", b",", b"\n", b"\r", b"\0", b".", b"-", b"/", b":", b"nan", b"inf", b"1e9", b"_",
     b" ", b"9" * 30, b"\xff", "\N{ARABIC-INDIC DIGIT THREE}".encode(), b"0x1",
     b"2023-02-30", b"24:00:00"]
)  # fmt: skip


@st.composite
def damaged(draw, whole: bytes) -> bytes:
    """Change, remove or insert a few pieces of a file behind its names."""
    data = bytearray(whole)
    first = whole.index(b"\n") + 1 if draw(st.booleans()) else 0
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(first, max(first, len(data))))
        cut = draw(st.integers(0, 12))
        data[at : at + cut] = draw(PIECES | st.binary(max_size=6))
    return bytes(data)


def lines_of(data: bytes) -> list[str]:
    text = data.decode("utf-8-sig", errors="replace")
    return re.split(r"\r\n|\r|\n", text)


def names_of(lines: list[str], separator: str) -> list[str]:
    titles = next(filter(str.strip, lines)).split(separator)
    return [re.sub(r"[\s_]", "", title).strip('"').lower() for title in titles]


def number(text: str) -> float:
    """Read a number by other means than the importer does."""
    text = text.strip().lower()
    if text.lstrip("+-") in ("nan", "inf", "infinity"):
        return float(text)
    return float(Decimal(text))


BAD_MONTH = TRADES.replace(b"2023-07-21;13:30:03", b"2023-" + b"9" * 30 + b"-21;13:30:03")


@fuzz(60)
@example(BAD_MONTH)
@example(BAD_MONTH.replace(b"-21;", b"9" * 5000 + b"-21;"))
@example(TRADES.replace(b":04.", b":" + b"4" * 5000 + b"."))
@given(damaged(TRADES))
def test_a_trade_of_a_damaged_export_is_what_its_line_says(tmp_path_factory, data) -> None:
    path = tmp_path_factory.mktemp("sierra") / "ESU23_tbt.txt"
    path.write_bytes(data)
    log = ImportLog()
    try:
        blocks = list(sierra_csv.read_trades(path, ReadOptions(), log))
    except FormatError:
        return
    lines = lines_of(data)
    names = names_of(lines, ";")
    for block in blocks:
        scale = block.price_scale
        for k in range(len(block)):
            fields = [field.strip() for field in lines[int(block.row[k]) - 1].split(";")]
            said = {name: fields[names.index(name)] for name in names if name}
            day = datetime.strptime(said["date"].replace("/", "-"), "%Y-%m-%d")
            clock, _, fraction = said["time"].partition(".")
            hours, minutes, seconds = map(int, clock.split(":"))
            moment = day.replace(tzinfo=UTC) + timedelta(
                hours=hours, minutes=minutes, seconds=seconds
            )
            ms = round(moment.timestamp()) * 1000 + int(fraction or "0") // 1000
            assert block.ts_event[k] == ms * 1_000_000, said
            assert block.size[k] == number(said["volume"]), said
            price = number(said["price"])
            assert block.price[k] == price or (np.isnan(price) and np.isnan(block.price[k])), said
            side = {1: -1, 2: 1}.get(int(number(said["tradetype"])), 0)
            assert block.aggressor_side[k] == side, said
        assert scale in (1.0, 0.01)


@fuzz(60)
@example(b";" + BARS)
@given(damaged(BARS))
def test_a_bar_of_a_damaged_export_is_what_its_line_says(tmp_path_factory, data) -> None:
    path = tmp_path_factory.mktemp("sierra") / "ESU23-CME.scid_BarData.txt"
    path.write_bytes(data)
    try:
        options = ReadOptions(bar_seconds=60, time_zone="UTC")
        blocks = list(sierra_csv.read_bars(path, options, ImportLog()))
    except FormatError:
        return
    lines = lines_of(data)
    names = names_of(lines, ",")
    for block in blocks:
        for k in range(len(block)):
            fields = [field.strip() for field in lines[int(block.row[k]) - 1].split(",")]
            said = {name: fields[k] for k, name in reversed(list(enumerate(names)))}
            for column in ("open", "high", "low", "volume"):
                value, ours = number(said[column]), float(getattr(block, column)[k])
                assert ours == value or (np.isnan(value) and np.isnan(ours)), (column, said)
            clock, _, fraction = said["time"].partition(".")
            hours, minutes, seconds = map(int, clock.split(":"))
            year, month, day = map(int, re.split("[-/]", said["date"]))
            moment = datetime(year, month, day, hours, minutes, seconds, tzinfo=UTC)
            part_us = int(Decimal(f"0.{fraction or 0}") * 1_000_000)
            assert block.t_open[k] == (round(moment.timestamp()) * 10**6 + part_us) * 1000, said


def test_a_whole_export_is_taken_whole(tmp_path) -> None:
    """Without this the tests above could pass by refusing everything."""
    trades, bars = tmp_path / "ESU23_tbt.txt", tmp_path / "ESU23-CME.scid_BarData.txt"
    trades.write_bytes(TRADES)
    bars.write_bytes(BARS)
    log = ImportLog()
    (block,) = sierra_csv.read_trades(trades, ReadOptions(), log)
    (made,) = sierra_csv.read_bars(bars, ReadOptions(bar_seconds=60, time_zone="UTC"), log)
    assert len(block) == len(made) == 8
    assert log.rejected_count == 0

"""Formats by content."""

import zipfile
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st

from mia.data.importers.detect import READERS, detect, read_file
from mia.data.importers.reading import ImportLog, ReadOptions, RejectedRow
from mia.errors import DataError, FormatError

TEXTS = {
    "sierra_bars": "Date, Time, Open, High, Low, Last, Volume, BidVolume, AskVolume",
    "sierra_trades": "Date;Time;Sequence;DepthSequence;Price;Volume;TradeType;AskPrice;BidPrice",
    "csv": "t_open,open,high,low,close,volume",
    "vix": "DATE,OPEN,HIGH,LOW,CLOSE",
}


@pytest.fixture
def content(tmp_path):
    def write(data, name="file.bin"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("suffix", [".csv", ".scid", ".parquet", ""])
def test_a_text_is_known_by_its_columns_whatever_its_name(content, name, suffix):
    assert detect(content(f"{TEXTS[name]}\n1,2\n".encode(), f"data{suffix}")) == name


def test_binary_formats_are_known_by_their_first_bytes(content, tmp_path):
    table = tmp_path / "x.csv"
    pq.write_table(pa.table({"a": [1]}), table)
    assert detect(table) == "parquet"
    assert detect(content(b"SCID" + bytes(52))) == "scid"
    assert detect(content(b"DBN\x03" + bytes(52))) == "dbn"
    assert detect(content(b"\x28\xb5\x2f\xfd" + bytes(52))) == "dbn"


def test_zips_are_known_by_their_members(tmp_path):
    path = tmp_path / "some.scid"
    for member, name in (
        ("20131007_es_minute_trade_201312.csv", "lean"),
        ("20190809/XCME_ES_ESU19_20190809_101_eoi.xml", "cme_timesales"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, "")
        assert detect(path) == name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photo.jpg", "")
    with pytest.raises(FormatError, match=r"is a zip file with photo\.jpg: accepted are Sierra"):
        detect(path)


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(50),
        b'{"time": 1}',
        b"[1, 2]",
        b"<html></html>",
        b"hello world, this is text\n",
        b"x" * 100_000,
        "Date,Open".encode("utf-16"),
    ],
)
def test_an_unknown_file_is_shown_with_what_is_accepted(content, data):
    with pytest.raises(FormatError, match="no format known here does: accepted are") as caught:
        detect(content(data))
    assert repr(data[:8])[2:-1] in str(caught.value)


def test_what_is_no_file_is_told_so(tmp_path, content):
    with pytest.raises(DataError, match=r"no such file: .*nothing\.scid"):
        detect(tmp_path / "nothing.scid")
    with pytest.raises(FormatError, match="is a directory: name the files in it"):
        detect(tmp_path)
    with pytest.raises(FormatError, match=r"file\.bin is empty"):
        detect(content(b""))
    with pytest.raises(FormatError, match="nothing but blank lines"):
        detect(content(b"\n \n\r\n"))


def test_index_levels_are_no_trades(content):
    path = content(b"DATE,OPEN,HIGH,LOW,CLOSE\n07/19/2024,1,1,1,15\n")
    with pytest.raises(FormatError, match="holds levels of an index"):
        list(read_file(path, ReadOptions(), ImportLog()))
    assert "vix" not in READERS


heads = st.sampled_from([b"", b"SCID", b"PAR1", b"DBN\x03", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"])
texts = st.sampled_from([b"", *(text.encode() + b"\n" for text in TEXTS.values())])


@fuzz(100)
@given(heads, texts, st.binary(max_size=200))
def test_random_bytes_are_refused_or_read_but_never_crash(tmp_path_factory, head, text, data):
    path = tmp_path_factory.mktemp("detect") / "ESU24.bin"
    path.write_bytes(head + text + data)
    log = ImportLog()
    count = -1
    with suppress(FormatError):
        count = sum(map(len, read_file(path, ReadOptions(), log)))
    assert count != 0


def test_the_log_keeps_a_thousand_rows_and_hands_on_all():
    handed = []
    log = ImportLog(sink=handed.append)
    for row in range(1500):
        log.reject(row, "x" * 500, "odd")
    assert (log.rejected_count, len(log.rejected), len(handed)) == (1500, 1000, 1500)
    assert handed[0] == RejectedRow(0, "x" * 200, "odd")
    log.note("once")
    log.note("once")
    assert log.notes == ["once"]

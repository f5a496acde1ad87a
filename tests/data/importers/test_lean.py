"""LEAN zips."""

import zipfile

import pytest

from mia.errors import FormatError

MEMBER = "20231007_es_minute_{}_{}.csv"
ROWS = "0,4500,4500.25,4499.75,4500,12\n60000,4500,4501,4500,4501,3\n"


@pytest.fixture
def lean_zip(tmp_path):
    def write(members, name="20231007_trade.zip"):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, text in members.items():
                archive.writestr(member, text)
        return path

    return write


def test_contracts_come_in_order_of_expiry(lean_zip, read, ns):
    names = [MEMBER.format("trade", month) for month in ("202403", "202312")]
    found = read(lean_zip(dict.fromkeys(names, ROWS)))
    assert found.contracts == ["ESZ23", "ESH24"]
    assert found.joined("t_open", "ESZ23").tolist() == [
        ns("2023-10-07T00:00:00"),
        ns("2023-10-07T00:01:00"),
    ]
    assert found.joined("close", "ESH24").tolist() == [4500.0, 4501.0]
    assert found.total("volume") == 30
    assert found.blocks[0].width_s == 60
    assert found.joined("bid_volume") is None
    assert found.steps[-1][0] == found.steps[-1][1] == 2 * len(ROWS)


def test_one_contract_can_be_chosen(lean_zip, read):
    names = [MEMBER.format("trade", month) for month in ("202403", "202312")]
    assert read(lean_zip(dict.fromkeys(names, ROWS)), contract="ESH24").contracts == ["ESH24"]


@pytest.mark.parametrize("kind", ["quote", "openinterest"])
def test_what_has_no_trades_is_refused(lean_zip, read, kind):
    path = lean_zip({MEMBER.format(kind, "202312"): "0,1\n"})
    with pytest.raises(FormatError, match=f"holds {kind}, not trades: .*_trade.zip"):
        read(path)


def test_rows_that_cannot_be_parsed_name_their_member(lean_zip, read):
    member = MEMBER.format("trade", "202312")
    bad = ROWS + "120000,4500\n\n86400000,4500,4500,4500,4500,1\nx,4500,4500,4500,4500,1\n"
    found = read(lean_zip({member: bad}))
    assert len(found) == 2
    assert found.reasons == {
        3: "6 fields expected, 2 found",
        5: "86400000 ms are not within a day",
        6: "ms is no number: 'x'",
    }
    assert found.log.rejected[0].text == f"{member}: 120000,4500"


def test_a_member_of_no_contract_or_date_is_refused(lean_zip, read):
    with pytest.raises(FormatError, match="there is no contract ES 2023-11"):
        read(lean_zip({MEMBER.format("trade", "202311"): ROWS}))
    with pytest.raises(FormatError, match="does not begin with a date"):
        read(lean_zip({"20231399_es_minute_trade_202312.csv": ROWS}))


def test_damage_is_a_format_error(lean_zip, read):
    rows = "".join(f"{i * 60_000},4500,4500.25,4499.75,4500,{i * i % 97}\n" for i in range(900))
    path = lean_zip({MEMBER.format("trade", "202312"): rows})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(FormatError, match="no readable zip file"):
        read(path)
    for place in range(70, 1500, 50):
        path.write_bytes(data[:place] + b"\xff" * 20 + data[place + 20 :])
        with pytest.raises(FormatError, match="no readable zip file"):
            read(path)


@pytest.mark.parametrize(
    ("name", "rows", "volume"), [("20131007", 1_671, 790_127), ("20131220", 2_062, 1_329_132)]
)
def test_real_zips_read_as_published(real, read, name, rows, volume):
    found = read(real(f"lean/{name}_trade.zip"))
    assert (len(found), found.total("volume"), found.log.rejected_count) == (rows, volume, 0)
    assert found.contracts[0] == "ESZ13"


def test_the_middle_row_of_a_real_member_is_as_published(real, read, ns):
    found = read(real("lean/20131007_trade.zip"), contract="ESZ13")
    assert found.joined("t_open")[672] == ns("2013-10-07") + 42_120_000 * 10**6
    names = ("open", "high", "low", "close", "volume")
    assert [found.joined(name)[672] for name in names] == [1669.75, 1670.25, 1669.75, 1670.25, 128]

"""Time and sales of the CME web site."""

import zipfile

import numpy as np
import pytest

from mia.errors import FormatError

MEMBER = "20230719/XCME_ES_{}_20230719_{}_eoi.xml"


def xml(*records, date="07/19/2023"):
    body = "".join(
        f"<reportRecordList><indictive>{mark}</indictive><quantity>{quantity}</quantity>"
        f"<saledate>{date}</saledate><saleprice>{price}</saleprice>"
        f"<saletime>{time}</saletime></reportRecordList>"
        for mark, quantity, price, time in records
    )
    return f'<?xml version="1.0"?><timeandSalesList><x>{body}</x></timeandSalesList>'


def trade(time, quantity=1, price="450025.0", mark="-"):
    return mark, quantity, price, time


@pytest.fixture
def sales_zip(tmp_path):
    def write(members):
        path = tmp_path / "20230719_eoi.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("[Content_Types].xml", "<Types/>")
            for (contract, slot), text in members.items():
                archive.writestr(MEMBER.format(contract, slot), text)
        return path

    return write


def test_slots_are_put_in_order_and_evenings_on_the_day_before(sales_zip, read, ns):
    found = read(
        sales_zip(
            {
                ("ESU23", 101): xml(trade("00:00:01", 3), trade("00:00:01", 4)),
                ("ESU23", 117): xml(trade("16:00:00", 5)),
                ("ESU23", 18): xml(trade("17:00:00", 1)),
                ("ESU23", 24): xml(trade("23:59:59", 2)),
            }
        )
    )
    assert found.joined("size").tolist() == [1, 2, 3, 4, 5]
    assert found.joined("ts_event").tolist() == [
        ns("2023-07-18T22:00:00"),
        ns("2023-07-19T04:59:59"),
        ns("2023-07-19T05:00:01"),
        ns("2023-07-19T05:00:01"),
        ns("2023-07-19T21:00:00"),
    ]
    assert found.joined("seq").tolist() == [0, 1, 2, 3, 4]
    assert found.joined("price").tolist() == [4500.25] * 5
    assert not found.joined("aggressor_side").any()


def test_indicative_and_opening_prices_are_no_trades(sales_zip, read):
    records = [trade("16:45:00", 0, mark="Indicative"), trade("17:00:00", 0, mark="Open")]
    found = read(sales_zip({("ESU23", 18): xml(*records, trade("17:00:00", 7))}))
    assert found.joined("size").tolist() == [7]
    assert found.joined("row").tolist() == [2]
    assert "2 records are indicative or opening prices, not trades" in found.log.notes


def test_each_contract_has_its_own_order(sales_zip, read):
    members = {(contract, 110): xml(trade("09:00:00")) for contract in ("ESZ23", "ESU23")}
    members["ESM23", 110] = xml()
    found = read(sales_zip(members))
    assert found.contracts == ["ESU23", "ESZ23"]
    assert found.joined("seq").tolist() == [0, 0]
    assert read(sales_zip(members), contract="ESZ23").contracts == ["ESZ23"]
    with pytest.raises(FormatError, match="holds no time and sales of ESH24"):
        read(sales_zip(members), contract="ESH24")


def test_records_that_cannot_be_parsed_name_their_member(sales_zip, read):
    bad = [trade("25:00:00"), trade("09:00:00", "x"), trade("09:00:00", price="")]
    found = read(sales_zip({("ESU23", 110): xml(trade("09:00:00"), *bad)}))
    assert len(found) == 1
    assert found.reasons == {
        1: "no time of day: '25:00:00'",
        2: "quantity is no number: 'x'",
        3: "saleprice is no number: ''",
    }
    assert found.log.rejected[0].text.startswith(MEMBER.format("ESU23", 110))


def test_an_unknown_slot_or_a_cut_document_is_refused(sales_zip, read):
    with pytest.raises(FormatError, match="there is no hour slot 99"):
        read(sales_zip({("ESU23", 99): xml(trade("09:00:00"))}))
    with pytest.raises(FormatError, match="is no whole XML document"):
        read(sales_zip({("ESU23", 110): xml(trade("09:00:00"))[:-20]}))


def test_the_real_day_equals_the_table_made_of_it(real, read):
    zipped = read(real("cme_timesales/20190809_eoi.zip"))
    table = read(real("es_trades_20190809.parquet"))
    counts = {name: len(zipped.joined("row", name)) for name in zipped.contracts}
    assert counts == {"ESH20": 81, "ESU19": 325_253, "ESZ19": 1_628}
    assert zipped.joined("size", "ESZ19").sum() == 4_708
    assert zipped.joined("size", "ESH20").sum() == 103
    for name in ("ts_event", "price", "size", "seq"):
        np.testing.assert_array_equal(zipped.joined(name, "ESU19"), table.joined(name), name)

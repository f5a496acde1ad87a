"""Names of contracts."""

from datetime import date
from pathlib import Path

import pytest

from mia.data.importers import contracts
from mia.errors import FormatError


@pytest.mark.parametrize(
    ("symbol", "traded", "contract"),
    [
        ("ESU4", date(2024, 7, 1), "ESU24"),
        ("ESH1", date(2020, 12, 28), "ESH21"),
        ("ESH6", date(2025, 12, 19), "ESH26"),
        ("ESZ9", date(2020, 1, 2), "ESZ29"),
        ("ESU4", date(2024, 9, 20), "ESU24"),
        ("ESU4", date(2024, 10, 1), "ESU34"),
        ("MESM0", date(2019, 12, 2), "MESM20"),
        ("NQU24", date(1999, 1, 1), "NQU24"),
    ],
)
def test_a_year_of_one_digit_is_the_next_to_expire(symbol, traded, contract):
    assert contracts.resolve_contract(symbol, traded) == contract


@pytest.mark.parametrize("symbol", ["ESM4-ESU4", "ES.v.0", "ES.FUT", "MSFT", "GCZ4", "ESF4", ""])
def test_what_is_no_single_contract_has_no_name(symbol):
    with pytest.raises(FormatError, match="is not one contract of ES, MES, NQ"):
        contracts.resolve_contract(symbol, date(2024, 7, 1))


@pytest.mark.parametrize(
    ("name", "contract"),
    [
        ("ESH20-CME.scid_BarData__5m.txt", "ESH20"),
        ("ESU22_FUT_CME.scid", "ESU22"),
        ("MESZ2024.csv", "MESZ24"),
        ("trades_NQM25.parquet", "NQM25"),
    ],
)
def test_the_name_of_a_file_tells_its_contract(name, contract):
    assert contracts.contract_of_file(Path(name), None) == contract
    assert contracts.contract_of_file(Path(name), "ESZ19") == "ESZ19"


@pytest.mark.parametrize("name", ["es.scid", "ESH2.scid", "TESH20.txt", "ESH200.txt", "ES-CME.txt"])
def test_a_name_that_tells_none_asks_for_it(name):
    with pytest.raises(FormatError, match="give it with --symbol"):
        contracts.contract_of_file(Path(name), None)


def test_a_given_contract_is_checked():
    with pytest.raises(FormatError, match="'ES' is not a contract: expected one of ES, MES, NQ"):
        contracts.contract_of_file(Path("ESH20.txt"), "ES")


def test_a_contract_is_named_by_its_month_if_there_is_one():
    assert contracts.contract_of_month("ES", 2013, 12) == "ESZ13"
    with pytest.raises(FormatError, match="there is no contract ES 2013-11"):
        contracts.contract_of_month("ES", 2013, 11)

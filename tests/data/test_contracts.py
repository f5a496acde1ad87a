from datetime import date

import pytest

from mia.core import sessions
from mia.data.contracts import is_contract, open_hours, parse_contract, third_friday
from mia.errors import DataError


@pytest.mark.parametrize("name", ["ESU19", "MESH24", "NQZ25", "ESM08", "ESZ30"])
def test_a_name_is_taken_apart_and_put_together(name: str) -> None:
    assert str(parse_contract(name)) == name
    assert is_contract(name)


@pytest.mark.parametrize("name", ["ES", "ESU9", "ESG24", "esu19", "ESU2019", "ESU19-ESZ19", ""])
def test_what_is_no_quarterly_contract_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="names no quarterly contract"):
        parse_contract(name)


def test_contracts_are_ordered_by_expiry_not_by_letter() -> None:
    names = ["ESH20", "ESZ19", "ESU19", "ESM20"]
    assert sorted(names, key=parse_contract) == ["ESU19", "ESZ19", "ESH20", "ESM20"]


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("ESU19", 20190920),
        ("ESH20", 20200320),
        ("ESH08", 20080320),  # third Friday was Good Friday
        ("ESM26", 20260618),  # third Friday is a holiday
        ("ESZ24", 20241220),
    ],
)
def test_the_last_session_is_the_third_friday_or_the_cash_day_before(name: str, last: int) -> None:
    assert parse_contract(name).last_session == last


def test_an_expiring_contract_stops_at_half_past_nine() -> None:
    ((start, end),) = open_hours("ESU19", 20190920)
    assert start == sessions.session_open(20190920)
    assert end == sessions.session_table(20190920, 20190920)["t_rth_open"][0]
    assert open_hours("ESZ19", 20190920) == sessions.expected_intervals(20190920)
    assert open_hours("ESU19", 20190923) == []


def test_the_third_friday_is_that_of_the_month() -> None:
    assert third_friday(2019, 3) == date(2019, 3, 15)
    assert third_friday(2024, 6) == date(2024, 6, 21)

"""What is listed, what a description of a contract means, and what contractDetails says."""

from datetime import UTC, datetime

import pytest
from gateway.raw_client import (
    contract_names,
    front,
    index,
    over_tcp,
    session,
)
from gateway.raw_client import (
    option as option_fields,
)

from mia.core.sessions import SECOND
from mia.gateway.catalogue import Catalogue, Listing, future, option, settlement_date
from mia.gateway.protocol.contract_texts import about
from mia.gateway.protocol.query import ContractQuery

NOON = int(datetime(2025, 3, 12, 17, tzinfo=UTC).timestamp()) * SECOND
LISTING = Listing(
    {"SPX": (20250321, 20250417), "SPXW": (20250312, 20250313, 20250321)},
    (5600.0, 5605.0, 5610.0),
)


def catalogue(now=NOON, today=20250312):
    return Catalogue(lambda: today, lambda: now, lambda: LISTING)


def names(found):
    return [contract.local_symbol for contract in found]


def fut(**fields):
    return ContractQuery(sec_type="FUT", **fields)


def opt(**fields):
    return ContractQuery(sec_type="OPT", symbol="SPX", **fields)


def test_a_root_means_every_month_that_still_trades():
    assert names(catalogue().find(fut(symbol="ES")))[:3] == ["ESH5", "ESM5", "ESU5"]


def test_the_exchange_of_old_still_means_cme():
    assert names(catalogue().find(fut(symbol="MES", exchange="GLOBEX")))[0] == "MESH5"
    assert catalogue().find(fut(symbol="ES", exchange="NYSE")) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"local_symbol": "ESM5"},
        {"symbol": "ES", "expiry": "202506"},
        {"symbol": "ES", "expiry": "20250620"},
        {"con_id": future("ESM25").con_id},
        {"con_id": future("ESM25").con_id, "symbol": "ES", "exchange": "CME"},
    ],
)
def test_one_month_is_found_by_any_of_its_names(fields):
    found = catalogue().only(fut(**fields))
    assert found is not None
    assert (found.name, found.multiplier, found.min_tick) == ("ESM25", "50", 0.25)


@pytest.mark.parametrize(
    "fields",
    [
        {"symbol": "ES", "expiry": "202505"},
        {"symbol": "ES", "multiplier": "5"},
        {"symbol": "CL"},
        {"symbol": "ES", "currency": "EUR"},
        {"local_symbol": "ESM4"},
        {"con_id": 1},
        {"con_id": future("ESM25").con_id, "symbol": "NQ"},
    ],
)
def test_what_agrees_with_nothing_is_not_found(fields):
    assert catalogue().find(fut(**fields)) == []


def test_an_expired_month_is_known_to_who_asks_for_it():
    expired = {"symbol": "ES", "expiry": "202412"}
    assert catalogue().find(fut(**expired)) == []
    assert names(catalogue().find(fut(**expired, include_expired=True))) == ["ESZ4"]


def test_a_month_expires_at_the_opening_auction():
    auction = int(datetime(2025, 3, 21, 13, 30, tzinfo=UTC).timestamp()) * SECOND
    march = fut(symbol="ES", expiry="202503")
    assert names(catalogue(auction - 1, 20250321).find(march)) == ["ESH5"]
    assert catalogue(auction, 20250321).find(march) == []


def test_con_ids_are_unique_and_stay_with_their_contract():
    listed = catalogue().find(fut(symbol="ES")) + catalogue().find(fut(symbol="NQ"))
    listed += catalogue().find(opt(exchange="SMART"))
    assert len({contract.con_id for contract in listed}) == len(listed)
    later = catalogue(today=20250313)
    for contract in listed:
        found = later.by_con_id(contract.con_id)
        expired = contract.sec_type == "OPT" and settlement_date(contract) < 20250313
        assert found == contract or expired


def test_an_option_that_trades_in_two_places_is_one_contract():
    asked = opt(expiry="20250313", strike=5605.0, right="C")
    assert len(catalogue().find(asked)) == 2
    found = catalogue().only(asked)
    assert found is not None
    assert found.local_symbol == "SPXW  250313C05605000"


def test_a_morning_series_goes_by_its_last_trading_day():
    found = catalogue().find(opt(expiry="20250320", strike=5600.0, right="P", exchange="SMART"))
    assert names(found) == ["SPX   250321P05600000"]
    assert settlement_date(found[0]) == 20250321
    same_day = catalogue().find(opt(expiry="20250321", strike=5600.0, right="P", exchange="SMART"))
    assert names(same_day) == ["SPXW  250321P05600000"]


def test_a_local_symbol_alone_names_an_option():
    asked = ContractQuery(sec_type="OPT", local_symbol="SPXW  250313P05610000", exchange="CBOE")
    assert names(catalogue().find(asked)) == ["SPXW  250313P05610000"]


@pytest.mark.parametrize(
    "fields",
    [
        {"strike": 5601.0},
        {"expiry": "20250314"},
        {"exchange": "CME"},
        {"trading_class": "XSP"},
        {"multiplier": "10"},
    ],
)
def test_what_is_not_listed_is_not_found(fields):
    assert catalogue().find(opt(**fields)) == []


def test_hours_are_those_of_the_calendar():
    text = about(future("ESH25"), 20250703)
    assert text.trading_hours.split(";")[:3] == [
        "20250702:1700-20250703:1215",
        "20250703:1700-20250704:1200",
        "20250705:CLOSED",
    ]
    assert text.liquid_hours.split(";")[:2] == ["20250703:0830-20250703:1215", "20250704:CLOSED"]
    options = about(option("SPXW", 20250703, 5600.0, "C"), 20250703)
    assert options.trading_hours.split(";")[:2] == [
        "20250703:0830-20250703:1215",
        "20250704:CLOSED",
    ]


@pytest.mark.parametrize("version", [157, 163, 164, 176, 178])
@over_tcp
async def test_contract_details_fit_every_version(version):
    async with session(version=version) as (_gateway, client):
        answer = await client.answer(
            52,
            9,
            8,
            1,
            *("", "ES", "FUT", "", "", "", "", "CME", "", "", "", ""),
            0,
            "",
            "",
            *([""] if version >= 176 else []),
        )
        details = [dict(zip(contract_names(version), f, strict=True)) for f in answer[:-1]]
        assert [each["localSymbol"] for each in details][:2] == ["ESH5", "ESM5"]
        first = details[0]
        assert first["lastTrade"] == f"{first['realExpirationDate']} 08:30 US/Central"
        assert (first["multiplier"], first["minTick"], first["underConId"]) == (
            "50",
            "0.25",
            "11004968",
        )
        assert first["marketRuleIds"] == "67"
        rule = await client.answer(93, 91, 67)
        assert rule[-1] == ["93", "67", "1", "0.0", "0.25"]


@over_tcp
async def test_an_unknown_contract_is_answered_with_200():
    async with session() as (_gateway, client):
        unknown = ("", "XX", "FUT", "", "0.0", "", "", "CME", "", "USD", "", "")
        code, text = await client.error(9, 8, 1, *unknown, 0, "", "", "")
        assert (code, text) == (200, "No security definition has been found for the request")


@over_tcp
async def test_data_of_an_ambiguous_contract_are_refused():
    async with session() as (_gateway, client):
        several = ("", "ES", "FUT", "", "0.0", "", "", "CME", "", "USD", "", "")
        code, text = await client.error(97, 1, *several, "AllLast", 0, 0)
        assert code == 200
        assert "ambiguous" in text


@over_tcp
async def test_option_parameters_come_by_place_and_class_and_agree_with_the_details():
    async with session() as (_gateway, client):
        answer = await client.answer(76, 78, 1, "SPX", "", "IND", 416904)
        places = [(f[2], f[4], f[5]) for f in answer[:-1]]
        assert places == [
            ("SMART", "SPX", "100"),
            ("SMART", "SPXW", "100"),
            ("CBOE", "SPX", "100"),
            ("CBOE", "SPXW", "100"),
        ]
        row = answer[1]
        expiry, strike = row[7], row[8 + int(row[6])]
        asked = option_fields(expiry, strike, "C", "SPXW")
        details = await client.answer(52, 9, 8, 2, *asked, 0, "", "", "")
        assert len(details) == 2


@over_tcp
async def test_a_symbol_is_found_by_its_beginning():
    async with session() as (_gateway, client):
        answer = await client.answer(79, 81, 1, "VI")
        assert answer[-1][2] == "2"
        assert answer[-1][3:7] == ["13455763", "VIX", "IND", "CBOE"]


@over_tcp
async def test_indices_have_their_own_hours():
    async with session() as (_gateway, client):
        answer = await client.answer(52, 9, 8, 1, *index("SPX"), 0, "", "", "")
        details = dict(zip(contract_names(176), answer[0], strict=True))
        assert (details["conId"], details["exchange"]) == ("416904", "CBOE")
        assert details["timeZoneId"] == "US/Eastern"
        assert details["tradingHours"].startswith("20250312:0930-20250312:1600;")
        assert (await front(client))[1] == "ES"

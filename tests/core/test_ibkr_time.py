from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mia.core.ibkr import wire_time as ibkr_time
from mia.core.ibkr.wire_time import SECOND, handshake_zone, parse_time, utc_dash

MOMENT = int(datetime(2026, 4, 13, 15, 27, 4, tzinfo=UTC).timestamp()) * SECOND


@pytest.mark.parametrize(
    "text",
    [
        "20260413-15:27:04",
        "20260413 15:27:04 UTC",
        "20260413 15:27:04 Z",
        "20260413 10:27:04 US/Central",
        "20260413 10:27:04 Central Standard Time",
        "20260413 10:27:04 Central Daylight Time",
        "20260413 11:27:04 America/New_York",
        "20260413 17:27:04 Central European Standard Time",
        "20260413 17:27:04 Central European Summer Time",
        "20260413 17:27:04 CET",
        "20260413 17:27:04 MESZ",
        "20260414 00:27:04 JST",
        "20260414 00:27:04 Tokyo Standard Time",
        "20260413 20:57:04 India Standard Time",
        "20260413 20:57:04 +05:30",
        "20260413 10:27:04 GMT-5",
        "20260413  17:27:04 Europe/Paris",
        "1776094024",
        "1776094024000",
    ],
)
def test_a_time_is_read_in_every_zone_a_gateway_was_seen_in(text):
    assert parse_time(text) == MOMENT


def test_a_time_without_a_zone_is_that_of_the_gateway():
    place = handshake_zone("20260413 10:00:00 Central Standard Time")
    assert parse_time("20260413  10:27:04", place) == MOMENT


def test_fractions_of_a_second_are_kept():
    assert parse_time("20260413-15:27:04.25") == MOMENT + SECOND // 4


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("20260413 15:27:04 Middle-earth/Shire", "unknown zone"),
        ("20260413  15:27:04", "names no zone"),
        ("yesterday", "no known format"),
        ("20261313-15:27:04", "month"),
        ("", "no known format"),
    ],
)
def test_a_time_that_cannot_be_read_is_refused(text, culprit):
    with pytest.raises(ValueError, match=culprit):
        parse_time(text)


def test_an_hour_that_comes_twice_is_the_one_nearer_to_its_receipt():
    text = "20261101 01:30:00 US/Eastern"
    early, late = (
        int(datetime(2026, 11, 1, hour, 30, tzinfo=UTC).timestamp()) * SECOND for hour in (5, 6)
    )
    assert parse_time(text, near=early + 3 * SECOND) == early
    assert parse_time(text, near=late + 3 * SECOND) == late


@pytest.mark.parametrize("names", [ibkr_time.WINDOWS_ZONES, ibkr_time.ABBREVIATIONS])
def test_every_name_in_the_tables_is_a_zone(names):
    assert [name for name in names.values() if str(ZoneInfo(name)) != name] == []


def test_a_greeting_without_a_known_zone_has_none():
    assert handshake_zone("20260413 10:00:00") is None
    assert handshake_zone("hello") is None


@given(st.integers(0, 4_000_000_000))
def test_what_is_written_for_history_is_read_back(seconds):
    assert parse_time(utc_dash(seconds * SECOND)) == seconds * SECOND

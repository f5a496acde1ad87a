from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mia.data.chains.download_date import parse_download_date


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("January 7, 2024 at 10:52 AM EST", "2024-01-07 15:52"),
        ("July 12, 2022, 11:55 AM EDT", "2022-07-12 15:55"),
        ("23 de marzo de 2022, 10:11 GMT-4", "2022-03-23 14:11"),
        ("23 de marzo de 2022, 4:11 p. m. GMT-4", "2022-03-23 20:11"),
        ("5 April 2023, 19:41 UTC\u22124", "2023-04-05 23:41"),
        ("20 May 2023, 11:33 AM EDT", "2023-05-20 15:33"),
        ("May 20, 2023 at 11:33\u202fAM EDT", "2023-05-20 15:33"),
        ("23 mars 2022 à 10:11 UTC\u22124", "2022-03-23 14:11"),
        ("5 février 2024 à 22:05 UTC+1", "2024-02-05 21:05"),
        ("5 апреля 2023 г., 19:41 GMT+3", "2023-04-05 16:41"),
        ("5 апреля 2023 г. в 19:41 GMT+3", "2023-04-05 16:41"),
        ("7. Januar 2024 um 16:52 MEZ", "2024-01-07 15:52"),
        ("7 gennaio 2024 alle ore 16:52 CET", "2024-01-07 15:52"),
        ("7 de janeiro de 2024 às 12:52 GMT-3", "2024-01-07 15:52"),
        ("January 7, 2024 at 12:05 AM GMT+5:30", "2024-01-06 18:35"),
        ("January 7, 2024 at 12:05 PM UTC", "2024-01-07 12:05"),
        ("2024-01-07 15:52 UTC", "2024-01-07 15:52"),
    ],
)
def test_a_date_in_the_language_of_the_browser_is_read(text: str, utc: str) -> None:
    expected = datetime.strptime(utc, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    assert parse_download_date(text) == int(expected.timestamp()) * 10**9


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no date",
        "07/01/2024, 10:52 GMT-4",
        "January 7, 2024 at 10:52 AM",
        "January 7, 2024 at 10:52 AM IST",
        "January 7, 2024 at 10:52 GMT-44",
        "January 7, 24 at 10:52 AM EST",
        "January 7, 2024",
        "January 7, 2024 at 13:52 PM EST",
        "January 7, 2024 at 0:52 AM EST",
        "January 7, 2024 at 10:99 AM EST",
        "February 30, 2024 at 10:52 AM EST",
        "January March 7, 2024 at 10:52 AM EST",
        "7 8 January 2024 at 10:52 AM EST",
        "23 ??????? 2022, 10:11 GMT-4",
        "January 1, 0001 at 0:10 GMT+14",
    ],
)
def test_a_date_that_can_mean_two_instants_or_none_is_no_date(text: str) -> None:
    assert parse_download_date(text) is None


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader_of_dates(text: str) -> None:
    assert parse_download_date(text) is None or isinstance(parse_download_date(text), int)

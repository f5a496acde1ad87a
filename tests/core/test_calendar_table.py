import runpy
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from mia.core import calendar_table
from mia.errors import DataError

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "make_calendar.py"


@pytest.fixture(scope="module")
def script() -> dict:
    return runpy.run_path(str(SCRIPT))


def test_the_frozen_table_is_what_its_script_writes(script: dict) -> None:
    frozen = files("mia.core").joinpath("cme_globex_equity.csv").read_text(encoding="utf-8")
    assert script["render"]() == frozen


def test_each_correction_gives_a_reason_and_reaches_the_table(script: dict) -> None:
    table = calendar_table.special_days()
    for day, (close, reason) in script["CORRECTIONS"].items():
        special = table[calendar_table.to_session_id(day)]
        assert reason == special.reason != ""
        minutes = int(close[:2]) * 60 + int(close[3:]) if close else None
        assert special.close == minutes


def test_special_days_are_weekdays_and_close_within_the_session() -> None:
    for sid, special in calendar_table.special_days().items():
        assert calendar_table.to_date(sid).weekday() < 5
        assert special.close is None or 8 * 60 <= special.close <= 12 * 60 + 15


def test_every_year_has_its_fixed_holidays() -> None:
    for year in range(2008, 2031):
        for month, day in ((1, 1), (12, 25)):
            holiday = date(year, month, day)
            assert not calendar_table.is_trading_day(calendar_table.to_session_id(holiday))
        thanksgiving = date(year, 11, 1)
        thanksgiving += timedelta(days=(3 - thanksgiving.weekday()) % 7 + 21)
        half = calendar_table.to_session_id(thanksgiving + timedelta(days=1))
        assert calendar_table.early_close(half) == calendar_table.CASH_HALF_DAY


def test_stocks_open_on_half_days_and_not_on_holidays() -> None:
    opens = calendar_table.cash_market_opens
    assert opens(20191129)
    assert opens(20190920)
    assert not opens(20191128)
    assert not opens(20210402)
    assert not opens(20181205)
    assert not opens(20191225)


def test_a_date_outside_the_table_is_refused() -> None:
    with pytest.raises(DataError, match="covers sessions 20080101 to 20301231, not 20310102"):
        calendar_table.is_trading_day(20310102)

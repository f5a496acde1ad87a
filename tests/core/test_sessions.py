import json
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mia.core import sessions
from mia.core.base_types import Phase
from mia.errors import DataError

VECTORS = Path(__file__).parent.parent / "vectors" / "00_conventions.json"
NEW_YORK = ZoneInfo("America/New_York")
FIRST_NS = sessions.session_open(sessions.FIRST_SESSION)
LAST_NS = int(sessions.session_table(20301231, 20301231)["t_end"][0]) - 1


def new_york(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * 10**9


def clock_vector() -> dict:
    cases = json.loads(VECTORS.read_text())["cases"]
    return next(case for case in cases if case["name"] == "clock")


def test_the_plain_clock_agrees_with_the_vectors() -> None:
    case = clock_vector()
    ts = np.array(case["inputs"]["ts"], np.int64)
    expected = case["expected"]
    assert sessions.session_ids(ts).tolist() == expected["session_id"]
    assert sessions.session_opens(ts).tolist() == expected["session_open"]
    names = [Phase(p).name for p in sessions.phases(ts, early_closes=False)]
    assert names == expected["phase"]
    assert sessions.in_rth_mask(ts, early_closes=False).tolist() == expected["in_rth"]


def test_only_the_early_close_separates_the_calendar_from_the_vectors() -> None:
    case = clock_vector()
    ts = case["inputs"]["ts"]
    differ = [
        k
        for k, t in enumerate(ts)
        if sessions.phase(t).name != case["expected"]["phase"][k]
        or sessions.in_rth(t) != case["expected"]["in_rth"][k]
    ]
    assert [ts[k] for k in differ] == [new_york("2024-07-04T14:00")]
    assert sessions.phase(ts[differ[0]]) is Phase.close
    assert not sessions.in_rth(ts[differ[0]])


@settings(max_examples=300, deadline=None)
@given(st.integers(FIRST_NS, LAST_NS))
def test_scalars_and_arrays_follow_the_wall_clock(ts: int) -> None:
    wall = datetime.fromtimestamp(ts // 10**9, NEW_YORK)
    shifted = wall.replace(tzinfo=None).timestamp() + 6 * 3600
    day = datetime.fromtimestamp(shifted).date()
    sid = day.year * 10000 + day.month * 100 + day.day
    one = np.array([ts], np.int64)
    assert sessions.session_id(ts) == sid == sessions.session_ids(one)[0]
    assert sessions.session_open(sid) == sessions.session_opens(one)[0] <= ts
    assert sessions.phase(ts) == sessions.phases(one)[0]
    assert sessions.in_rth(ts) == sessions.in_rth_mask(one)[0]
    row = sessions.session_table(sid, sid)[0]
    assert row["t_open"] <= ts < row["t_end"]


@pytest.mark.parametrize("day", ["2024-03-10", "2024-11-03", "2019-08-09", "2024-02-29"])
def test_every_time_of_the_table_is_that_wall_clock(day: str) -> None:
    sid = int(day.replace("-", ""))
    row = sessions.session_table(sid, sid)[0]
    for name, clock in (
        ("t_pre_market", "04:00"),
        ("t_london_open", "08:00"),
        ("t_rth_open", "09:30"),
        ("t_lunch", "12:00"),
        ("t_afternoon", "14:00"),
        ("t_rth_close", "16:00"),
        ("t_halt", "17:00"),
        ("t_end", "18:00"),
    ):
        assert row[name] == new_york(f"{day}T{clock}")


def test_the_table_has_a_row_for_every_date_and_the_rows_touch() -> None:
    table = sessions.session_table(20080101, 20301231)
    assert len(table) == 8401
    assert (table["t_end"][:-1] == table["t_open"][1:]).all()
    hours = np.unique((table["t_end"] - table["t_open"]) // (3600 * 10**9))
    assert hours.tolist() == [23, 24, 25]


@pytest.mark.parametrize(
    ("sid", "close"),
    [
        (20240703, "2024-07-03T13:15"),
        (20240704, "2024-07-04T13:00"),
        (20130704, "2013-07-04T11:30"),
        (20210402, "2021-04-02T09:15"),
        (20181205, "2018-12-05T09:30"),
        (20250109, "2025-01-09T09:30"),
        (20240705, "2024-07-05T16:00"),
    ],
)
def test_regular_hours_end_with_the_early_close(sid: int, close: str) -> None:
    assert sessions.session_table(sid, sid)["t_rth_close"][0] == new_york(close)


def test_a_day_that_closes_before_half_past_nine_has_no_regular_hours() -> None:
    assert sessions.phase(new_york("2021-04-02T09:20")) is Phase.close
    assert sessions.phase(new_york("2021-04-02T11:00")) is Phase.close
    assert not sessions.in_rth(new_york("2021-04-02T11:00"))


@pytest.mark.parametrize(
    ("sid", "spans"),
    [
        (20240710, [("2024-07-09T18:00", "2024-07-10T17:00")]),
        (
            20210625,
            [("2021-06-24T18:00", "2021-06-25T16:15"), ("2021-06-25T16:30", "2021-06-25T17:00")],
        ),
        (20210628, [("2021-06-27T18:00", "2021-06-28T17:00")]),
        (
            20150918,
            [("2015-09-17T18:00", "2015-09-18T16:15"), ("2015-09-18T16:30", "2015-09-18T17:15")],
        ),
        (
            20150921,
            [("2015-09-20T18:00", "2015-09-21T16:15"), ("2015-09-21T16:30", "2015-09-21T17:00")],
        ),
        (
            20121115,
            [("2012-11-14T18:00", "2012-11-15T16:15"), ("2012-11-15T16:30", "2012-11-15T17:30")],
        ),
        (20121116, [("2012-11-15T18:00", "2012-11-16T16:15")]),
        (20191129, [("2019-11-28T18:00", "2019-11-29T13:15")]),
        (20121030, [("2012-10-29T18:00", "2012-10-30T09:15")]),
        (20240329, []),
        (20240330, []),
        (20241225, []),
    ],
)
def test_open_hours_follow_the_rules_of_their_year(sid: int, spans: list[tuple[str, str]]) -> None:
    expected = [(new_york(start), new_york(end)) for start, end in spans]
    assert sessions.expected_intervals(sid) == expected
    assert sessions.is_trading_day(sid) == bool(spans)


def test_neighbouring_trading_days_skip_weekends_and_closed_days() -> None:
    assert sessions.next_trading_day(20240328) == 20240401
    assert sessions.previous_trading_day(20240401) == 20240328
    assert sessions.trading_days(20241223, 20241227) == [20241223, 20241224, 20241226, 20241227]


def test_a_time_that_the_calendar_does_not_cover_is_refused_by_name() -> None:
    for call in (
        lambda: sessions.session_id(0),
        lambda: sessions.session_ids(np.array([0, FIRST_NS], np.int64)),
        lambda: sessions.phase(LAST_NS + 1),
        lambda: sessions.session_open(20071231),
        lambda: sessions.expected_intervals(20310101),
        lambda: sessions.next_trading_day(20301231),
        lambda: sessions.previous_trading_day(20080101),
    ):
        with pytest.raises(DataError, match=r"the calendar (covers|ends|starts)"):
            call()
    with pytest.raises(DataError, match="20240230 is no session"):
        sessions.session_open(20240230)
    assert sessions.covered(np.array([FIRST_NS - 1, FIRST_NS, LAST_NS, LAST_NS + 1])).tolist() == [
        False,
        True,
        True,
        False,
    ]

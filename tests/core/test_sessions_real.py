"""The calendar against recorded five-minute bars of 2014 to 2020, where they are at hand."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mia.core import sessions

FOLDER = os.environ.get("MIA_REAL_DATA")
FIVE_MINUTES = 300 * 10**9
END_OF_2020 = np.datetime64("2020-12-31T23:00", "ns").astype(np.int64)

pytestmark = pytest.mark.skipif(FOLDER is None, reason="MIA_REAL_DATA names no folder")


@pytest.fixture(scope="module")
def bars() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    end = pa.scalar(int(END_OF_2020), pa.timestamp("ns", "UTC"))
    path = Path(str(FOLDER)) / "es_5m_bidask_2014-12_2021-12.parquet"
    table = pq.read_table(
        path, columns=["ts_utc", "session", "contract"], filters=[("ts_utc", "<", end)]
    )
    ts = table["ts_utc"].cast(pa.int64()).to_numpy()
    named = np.array([int(f"{d:%Y%m%d}") for d in table["session"].to_pylist()])
    return ts, named, np.array(table["contract"].to_pylist())


def by_session(ts: np.ndarray) -> dict[int, np.ndarray]:
    ids = sessions.session_ids(ts)
    cuts = np.flatnonzero(np.diff(ids)) + 1
    return {int(sessions.session_id(int(part[0]))): part for part in np.split(ts, cuts)}


def test_sessions_are_those_of_the_recording(bars: tuple) -> None:
    ts, named, _ = bars
    assert (sessions.session_ids(ts) == named).all()


def test_every_trading_day_has_bars_and_no_other_day_has(bars: tuple) -> None:
    ids = np.unique(bars[1]).tolist()
    assert ids == sessions.trading_days(ids[0], ids[-1])


def test_bars_lie_in_open_hours_but_for_closing_prints(bars: tuple) -> None:
    strangers = []
    closing_prints = 0
    for sid, times in by_session(bars[0]).items():
        spans = sessions.expected_intervals(sid)
        outside = ~np.any([(times >= a) & (times < b) for a, b in spans], axis=0)
        ends = [end for _, end in spans]
        at_end = np.isin(times[outside], ends)
        closing_prints += int(at_end.sum())
        strangers += times[outside][~at_end].tolist()
    assert closing_prints == 36
    assert strangers == [np.datetime64("2015-12-04T21:25", "ns").astype(np.int64)]


def test_open_hours_have_bars_but_for_known_holes(bars: tuple) -> None:
    ts, _, contracts = bars
    contract_of = dict(zip(ts.tolist(), contracts.tolist(), strict=True))
    sessions_of: dict[str, list[int]] = {}
    groups = by_session(ts)
    for sid, times in groups.items():
        sessions_of.setdefault(contract_of[int(times[0])], []).append(sid)
    first = {ids[0] for ids in sessions_of.values()}
    expiry = {ids[-1] for ids in sessions_of.values()} - {max(groups)}
    holes = []
    for sid, times in groups.items():
        if sid in first | expiry:
            continue
        for start, end in sessions.expected_intervals(sid):
            missing = np.setdiff1d(np.arange(start, end, FIVE_MINUTES), times)
            runs = np.split(missing, np.flatnonzero(np.diff(missing) != FIVE_MINUTES) + 1)
            holes += [(str(run[0].astype("M8[ns]"))[:16], len(run)) for run in runs if len(run) > 2]
    assert holes == [
        ("2015-06-30T22:00", 33),  # delayed open on the evening of a leap second
        ("2017-06-04T22:00", 14),  # delayed open
        ("2018-04-29T22:00", 6),  # delayed open
        ("2019-02-27T00:45", 36),  # outage of the exchange
        ("2020-03-16T12:10", 3),
        ("2020-03-18T06:30", 4),
    ]

"""Lines for the charts: appended beside the cycle, across restarts, and without ever holding it."""

import errno
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fast.states import OPEN, print_at, run, state_of, two_sessions
from strategies_market import Trade

from mia._fast.market_state import MarketState
from mia.core.base_types import OrderRole
from mia.core.trading_types import Fill
from mia.trader.screen import screen_file
from mia.trader.screen.closed_bars import ClosedBars
from mia.trader.screen.screen_file import KEPT, ScreenFile

SECOND = 1_000_000_000


def read(folder: Path, session_id: int) -> list[dict[str, Any]]:
    text = (folder / "screen" / f"{session_id}.ndjson").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> ScreenFile:
    return ScreenFile(tmp_path)


def test_lines_come_in_order_to_the_files_of_their_sessions(
    tmp_path: Path, file: ScreenFile
) -> None:
    file.start()
    for k in range(2000):
        file.append(20260209 + k // 1000, json.dumps({"k": k}).encode())
    file.close()
    assert [line["k"] for line in read(tmp_path, 20260209)] == list(range(1000))
    assert [line["k"] for line in read(tmp_path, 20260210)] == list(range(1000, 2000))
    assert file.dropped == 0


def test_files_are_nobody_elses(tmp_path: Path, file: ScreenFile) -> None:
    file.start()
    file.append(20260209, b"{}")
    file.close()
    folder = tmp_path / "screen"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "20260209.ndjson").stat().st_mode & 0o777 == 0o600


def test_a_line_that_was_cut_off_ends_before_the_next_run_begins(
    tmp_path: Path, file: ScreenFile
) -> None:
    (tmp_path / "screen").mkdir()
    (tmp_path / "screen" / "20260209.ndjson").write_bytes(b'{"t":1}\n{"t":2,"o"')
    assert file.newest_bar(20260209) == 1
    file.start()
    file.append(20260209, b'{"t":3}')
    file.close()
    lines = (tmp_path / "screen" / "20260209.ndjson").read_bytes().split(b"\n")
    assert lines == [b'{"t":1}', b'{"t":2,"o"', b'{"t":3}', b""]
    assert file.newest_bar(20260209) == 3


def test_the_newest_bar_is_found_behind_fills_and_marks(tmp_path: Path, file: ScreenFile) -> None:
    (tmp_path / "screen").mkdir()
    (tmp_path / "screen" / "20260209.ndjson").write_bytes(
        b'{"t":5}\n{"fill":{"t":6}}\n{"mark":{"t":7}}\n'
    )
    assert file.newest_bar(20260209) == 5
    assert file.newest_bar(20260210) == 0


def test_only_the_newest_files_stay(tmp_path: Path, file: ScreenFile) -> None:
    (tmp_path / "screen").mkdir()
    for day in range(KEPT + 5):
        (tmp_path / "screen" / f"{20260101 + day}.ndjson").write_text("{}\n")
    file.start()
    file.close()
    left = sorted(path.name for path in (tmp_path / "screen").iterdir())
    assert left == [f"{20260101 + day}.ndjson" for day in range(5, KEPT + 5)]


def test_a_disk_that_takes_nothing_costs_lines_and_nothing_else(
    tmp_path: Path, file: ScreenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    file.start()
    file.append(20260209, b'{"k":1}')
    while not (tmp_path / "screen" / "20260209.ndjson").exists():
        time.sleep(0.01)
    time.sleep(0.05)
    with monkeypatch.context() as patch:
        patch.setattr(screen_file.os, "write", full)
        file.append(20260209, b'{"k":2}')
        while not file.dropped:
            time.sleep(0.01)
    file.append(20260209, b'{"k":3}')
    file.close()
    assert read(tmp_path, 20260209) == [{"k": 1}, {"k": 3}]
    assert file.dropped == 1


def test_a_disk_that_hangs_holds_the_thread_and_not_the_cycle(
    file: ScreenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    real = os.write

    def slow(descriptor: int, data: bytes) -> int:
        release.wait(30)
        return real(descriptor, data)

    monkeypatch.setattr(screen_file, "_MOST_WAITING", 100)
    monkeypatch.setattr(screen_file.os, "write", slow)
    file.start()
    began = time.process_time()
    for k in range(5000):
        file.append(20260209, b'{"k":%d}' % k)
    assert time.process_time() - began < 1.0
    assert file.dropped >= 5000 - 100 - 1000
    release.set()
    file.close()


def _bars(state: MarketState, folder: Path) -> tuple[ClosedBars, ScreenFile]:
    file = ScreenFile(folder)
    file.start()
    return ClosedBars(state, file), file


def _minutes(count: int, per_minute: int = 5) -> list[Trade]:
    """Return trades of some minutes that rise and fall, bought and sold in turn."""
    return [
        print_at(60 * k + 10 * j, 16_000 + (7 * k + 3 * j) % 11, 1 + j, 1 if (k + j) % 2 else -1)
        for k in range(count)
        for j in range(per_minute)
    ]


def test_bars_of_the_past_are_drawn_from_their_trades_alone(tmp_path: Path) -> None:
    trades = _minutes(30)
    state = state_of(trades)
    rows = run(state, trades)
    bars, file = _bars(state, tmp_path)
    assert bars.look()
    assert not bars.look()
    file.close()
    lines = read(tmp_path, state.session_id)
    assert [line["t"] for line in lines] == rows["bar"]["t_open"].tolist()
    for line, row in zip(lines, rows, strict=True):
        bar = row["bar"]
        assert [line[x] for x in "ohlcv"] == [
            int(bar[x]) for x in ("open", "high", "low", "close", "volume")
        ]
        assert line["d"] == bar["ask_volume"] - bar["bid_volume"]
        assert line["cvd"] == row["cvd"]
        assert line["vwap"] == pytest.approx(row["vwap"], abs=1e-9)
        assert line["sd"] == pytest.approx(row["vwap_sd"], abs=1e-6)
    # What only its own close could tell is left open.
    assert {line["score"] for line in lines[:-1]} == {None}
    assert all(line["rows"] == [] and line["poc"] is None for line in lines[:-1])
    assert lines[-1]["score"] == rows[-1]["battle"]["score"]
    assert sum(sold + bought for _, sold, bought in lines[-1]["rows"]) == rows[-1]["bar"]["volume"]


def test_more_bars_than_the_state_keeps_have_no_vwap_of_the_past(tmp_path: Path) -> None:
    # 1380 minutes of a session, of which the series keeps at least the newest 128.
    trades = [
        print_at(60 * k - 15 * 3600, 16_000 + k % 9, 1 + k % 3, 1 if k % 2 else -1)
        for k in range(1200)
    ]
    state = state_of(trades)
    rows = run(state, trades)
    assert len(state.primary.bars) < state.primary.count
    bars, file = _bars(state, tmp_path)
    bars.look()
    file.close()
    lines = read(tmp_path, state.session_id)
    kept = rows[-len(lines) :]
    assert 100 < len(lines) < len(rows)
    assert [line["cvd"] for line in lines] == kept["cvd"].tolist()
    assert {line["vwap"] for line in lines[:-1]} == {None}
    assert lines[-1]["vwap"] == kept[-1]["vwap"]


def test_a_restart_in_mid_session_draws_no_bar_twice(tmp_path: Path) -> None:
    trades = _minutes(20)
    half = len(trades) // 2
    first = state_of(trades)
    run(first, trades[:half])
    bars, file = _bars(first, tmp_path)
    bars.look()
    file.close()
    drawn = len(read(tmp_path, first.session_id))
    # The next run learns the whole session again.
    second = state_of(trades)
    rows = run(second, trades)
    bars, file = _bars(second, tmp_path)
    bars.look()
    file.close()
    lines = read(tmp_path, second.session_id)
    assert 0 < drawn < len(lines)
    assert [line["t"] for line in lines] == rows["bar"]["t_open"].tolist()


def test_the_regular_hours_before_give_high_low_and_close(tmp_path: Path) -> None:
    trades = two_sessions()
    state = state_of(trades)
    bars, file = _bars(state, tmp_path)
    ends = next(k for k, trade in enumerate(trades) if trade[0] > OPEN + 3600 * SECOND)
    run(state, trades[:ends])
    state.advance_clock(OPEN + 600 * SECOND)
    bars.look()
    assert bars.day_before == (None, None, None)
    run(state, trades[ends:])
    bars.look()
    file.close()
    assert bars.day_before == (16_002, 16_000, 16_002)


def test_fills_and_marks_belong_to_the_session_of_their_time(tmp_path: Path) -> None:
    trades = _minutes(3)
    state = state_of(trades)
    run(state, trades)
    bars, file = _bars(state, tmp_path)
    bars.on_fill(Fill("TRADE_X", OrderRole.ENTRY, OPEN, 1, 2, 16_001, 16_000, 1.24))
    bars.on_mark((OPEN, state.session_id, 50_012.5))
    file.close()
    assert read(tmp_path, state.session_id) == [
        {
            "fill": {
                "t": OPEN,
                "side": 1,
                "quantity": 2,
                "price": 16_001,
                "role": "ENTRY",
                "trade_id": "TRADE_X",
            }
        },
        {"mark": {"t": OPEN, "equity": 50_012.5}},
    ]


def test_the_footprint_of_the_closed_bar_stays_while_the_next_one_is_open() -> None:
    trades = _minutes(2)
    state = state_of(trades)
    run(state, [*trades, print_at(125, 15_990, 9, 1)])
    low, bid, ask = state.footprint.closed
    second = [trade for trade in trades if trade[0] >= OPEN + 60 * SECOND]
    assert low == min(price for _, price, _, _ in second)
    for k in range(len(bid)):
        sides = {-1: bid[k], 1: ask[k]}
        for side, volume in sides.items():
            assert volume == sum(s for _, p, s, d in second if (p, d) == (low + k, side))
    # Copies: what comes later leaves them alone.
    before = bid.copy()
    run(state, [print_at(185, 16_050, 3, -1), print_at(245, 16_051, 3, -1)])
    assert np.array_equal(bid, before)
    assert state.footprint.closed[0] == 16_050

"""The model is trained once in each break, beside the trader, and whatever fails is only told."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mia.core import sessions
from mia.trader.model_refit import LOG, ModelRefit, refit_command

SECOND = 1_000_000_000
FRIDAY, MONDAY = 20251114, 20251117
CLOSE = sessions.expected_intervals(FRIDAY)[-1][1]
NEXT_CLOSE = sessions.expected_intervals(MONDAY)[-1][1]


class Kept:
    def __init__(self, state_dir: Path, *command: str) -> None:
        self.facts: list[dict[str, Any]] = []
        self.refit = ModelRefit(state_dir, list(command), self.facts.append)

    def beat(self, *times: int) -> list[str]:
        for ts in times:
            self.refit.publish("beat", ts)
        return [facts["event"] for facts in self.facts]

    def until(self, event: str, ts: int, times: int = 1) -> None:
        for _ in range(600):
            if self.beat(ts).count(event) == times:
                return
            time.sleep(0.05)
        pytest.fail(f"{event} never came: {self.facts}")


def python(code: str) -> tuple[str, str, str]:
    return sys.executable, "-c", code


def test_it_trains_once_when_the_market_of_a_session_has_closed(tmp_path) -> None:
    kept = Kept(tmp_path, *python("print('trained')"))
    assert kept.beat(CLOSE - 60 * SECOND, CLOSE - SECOND) == []
    assert kept.beat(CLOSE) == ["REFIT_STARTED"]
    assert kept.facts[0]["session_id"] == FRIDAY
    kept.until("REFIT_DONE", CLOSE + SECOND)
    weekend = range(CLOSE + SECOND, NEXT_CLOSE - SECOND, 3600 * SECOND)
    assert kept.beat(*weekend) == ["REFIT_STARTED", "REFIT_DONE"]
    assert kept.beat(NEXT_CLOSE)[2:] == ["REFIT_STARTED"]
    kept.until("REFIT_DONE", NEXT_CLOSE, times=2)
    assert (tmp_path / LOG).read_text() == "trained\ntrained\n"


def test_a_start_in_the_break_does_not_train(tmp_path) -> None:
    kept = Kept(tmp_path, *python("raise SystemExit(1)"))
    assert kept.beat(CLOSE + SECOND, CLOSE + 60 * SECOND) == []


def test_one_that_fails_is_told_with_its_code_and_its_log(tmp_path) -> None:
    kept = Kept(tmp_path, *python("import sys; print('no trades'); sys.exit(5)"))
    kept.beat(CLOSE - SECOND, CLOSE)
    kept.until("REFIT_FAILED", CLOSE + SECOND)
    assert "code 5" in kept.facts[-1]["text"]
    assert LOG in kept.facts[-1]["text"]
    assert (tmp_path / LOG).read_text() == "no trades\n"


def test_one_that_cannot_be_started_is_told(tmp_path) -> None:
    kept = Kept(tmp_path, str(tmp_path / "absent"))
    assert kept.beat(CLOSE - SECOND, CLOSE) == ["REFIT_FAILED"]


def test_the_end_of_the_trader_ends_it(tmp_path) -> None:
    kept = Kept(tmp_path, *python("import time; time.sleep(600)"))
    kept.beat(CLOSE - SECOND, CLOSE)
    process = kept.refit._process
    kept.refit.close()
    assert process is not None
    assert process.returncode not in (None, 0)
    kept.refit.close()


def test_the_command_trains_a_state_directory(tmp_path) -> None:
    (tmp_path / "snapshots").mkdir()
    kept = Kept(tmp_path, *refit_command(tmp_path, "demo"))
    kept.beat(CLOSE - SECOND, CLOSE)
    kept.until("REFIT_DONE", CLOSE + SECOND)
    assert "0 labelled trades of the 100" in (tmp_path / LOG).read_text()

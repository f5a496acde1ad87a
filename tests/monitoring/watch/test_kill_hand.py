"""The watchdog's hand tries again what did not reach the broker, and never what has acted there."""

import sys
import time
from pathlib import Path

import pytest

from mia.monitoring.watch import kill_hand
from mia.monitoring.watch.kill_hand import KillHand, Outcome

UNREACHED = kill_hand._BROKER
LATER = kill_hand._PAUSE_S + 0.1


def hand(folder: Path, code: int, words: str = "nothing was closed") -> KillHand:
    """Return a hand whose command notes each call, says something and ends with a code."""
    script = folder / "command.py"
    script.write_text(
        f"import sys; open({str(folder / 'calls')!r}, 'a').write('.'); "
        f"print({words!r}); sys.exit({code})"
    )
    return KillHand(folder, "flatten", [sys.executable, str(script)])


def calls(folder: Path) -> int:
    path = folder / "calls"
    return len(path.read_text()) if path.exists() else 0


def outcome(tried: KillHand, now: float) -> Outcome:
    for _ in range(600):
        found = tried.poll(now)
        if found is not None:
            return found
        time.sleep(0.02)
    pytest.fail("the command never ended")


def test_what_did_not_reach_the_broker_is_tried_again_after_a_pause(tmp_path: Path) -> None:
    tried, now = hand(tmp_path, UNREACHED), 100.0
    assert tried.pull(now)
    assert not tried.pull(now)
    for times in range(1, kill_hand._TRIES + 1):
        found = outcome(tried, now)
        assert calls(tmp_path) == times
        assert not found.done
        assert found.again == (times < kill_hand._TRIES)
        assert tried.poll(now + LATER / 2) is None
        assert not tried.is_busy
        now += LATER
    assert tried.poll(now) is None
    assert calls(tmp_path) == kill_hand._TRIES


@pytest.mark.parametrize(("code", "words"), [(UNREACHED, kill_hand._ACTED), (1, "no"), (0, "flat")])
def test_what_acted_or_failed_for_another_reason_is_not_repeated(
    tmp_path: Path, code: int, words: str
) -> None:
    tried = hand(tmp_path, code, words)
    tried.pull(0.0)
    found = outcome(tried, 0.0)
    assert (found.done, found.again, found.text) == (code == 0, False, words)
    assert tried.poll(LATER) is None
    assert calls(tmp_path) == 1


def test_after_a_trader_has_returned_it_can_be_pulled_again(tmp_path: Path) -> None:
    tried = hand(tmp_path, 0)
    tried.pull(0.0)
    outcome(tried, 0.0)
    assert not tried.pull(1.0)
    tried.rearm()
    assert tried.pull(2.0)
    outcome(tried, 2.0)
    assert calls(tmp_path) == 2


def test_off_does_nothing(tmp_path: Path) -> None:
    assert not KillHand(tmp_path, "off", ["nothing"]).pull(0.0)

import json
import os
import subprocess
import sys
import time

import msgspec
import pytest
from frame_cases import ShownFrames, frame, held

from mia.data import state_files
from mia.data.process_lock import ProcessLock
from mia.monitoring.health_checker import Mark, check_health, main
from mia.monitoring.watch.watch_beat import LOCK, WatchBeat

REPLACE = msgspec.structs.replace


@pytest.fixture
def state(tmp_path):
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    (path / state_files.JOURNAL).touch(mode=0o600)
    return path


@pytest.fixture
def trader(state):
    """Show frames as a trader of this process that holds the lock does."""
    lock = ProcessLock(state / state_files.LOCK)
    lock.acquire("test")
    with ShownFrames(state) as shown:
        yield shown
    lock.release()


def well(**changes):
    whole = frame()
    links = REPLACE(whole.links, orders="READY", market="READY")
    feed = REPLACE(whole.feed, fault="", age_s=0.1)
    whole = REPLACE(
        whole, state="NORMAL", state_reasons=[], ready=True, wall_ts=time.time_ns(), links=links
    )
    return REPLACE(whole, feed=feed, held=held(), **changes)


def marks(state, **options) -> dict[str, Mark]:
    return {check.name: check.mark for check in check_health(state, **options)}


def of_trader(state) -> Mark:
    names = ("trader", "state", "ready", "broker", "feed", "position", "journal", "watchdog")
    found = marks(state)
    return max(found[name] for name in names if name in found)


def test_a_trader_that_is_well_is_ok_in_everything(state, trader) -> None:
    trader.show(well())
    assert of_trader(state) is Mark.OK
    assert marks(state)["position"] is Mark.OK


@pytest.mark.parametrize(
    ("change", "name", "mark"),
    [
        ({"state": "EMERGENCY"}, "state", Mark.CRITICAL),
        ({"state": "HALT_ENTRIES", "state_reasons": ["VIX"]}, "state", Mark.WARNING),
        ({"ready": False}, "ready", Mark.WARNING),
        ({"state_reasons": ["JOURNAL"]}, "journal", Mark.CRITICAL),
    ],
)
def test_what_a_frame_shows_is_judged(state, trader, change, name, mark) -> None:
    trader.show(REPLACE(well(), **change))
    assert marks(state)[name] is mark


def test_a_lost_broker_is_worse_with_an_open_position(state, trader) -> None:
    lost = REPLACE(well().links, orders="DISCONNECTED")
    trader.show(REPLACE(well(), links=lost))
    assert marks(state)["broker"] is Mark.CRITICAL
    trader.show(REPLACE(well(), links=lost, held=None))
    assert marks(state)["broker"] is Mark.WARNING


def test_a_position_without_a_stop_is_critical(state, trader) -> None:
    trader.show(REPLACE(well(), held=held(protected=False)))
    assert marks(state)["position"] is Mark.CRITICAL


def test_a_feed_that_is_faulty_or_silent_is_told(state, trader) -> None:
    for feed in ({"fault": "no tick came"}, {"age_s": 60.0}, {"age_s": None}):
        trader.show(REPLACE(well(), feed=REPLACE(well().feed, **feed)))
        assert marks(state)["feed"] is Mark.CRITICAL, feed


def test_an_old_heartbeat_is_a_trader_that_hangs(state, trader) -> None:
    trader.show(well())
    time.sleep(0.3)
    assert marks(state, hang_s=0.2)["trader"] is Mark.CRITICAL
    trader.beat()
    assert marks(state, hang_s=0.2)["trader"] is Mark.OK


def test_no_trader_is_a_warning_and_a_dead_one_critical(state) -> None:
    assert marks(state)["trader"] is Mark.WARNING
    run = state_files.RunInfo(1, "here", "DU1234567", "127.0.0.1", 1, 71, 1)
    state_files.write_run(state / state_files.RUN, run)
    assert marks(state)["trader"] is Mark.CRITICAL


def test_too_little_room_is_told(state) -> None:
    assert marks(state, disk_mb=10**9)["disk"] is Mark.CRITICAL
    assert marks(state, disk_mb=0)["disk"] is Mark.OK


def test_a_watchdog_that_does_not_look_is_told(state) -> None:
    assert marks(state)["watchdog"] is Mark.OK
    lock = ProcessLock(state / LOCK)
    lock.acquire("test")
    WatchBeat(state).beat()
    assert marks(state)["watchdog"] is Mark.OK
    (state / "watch.beat").write_text(f"{time.monotonic_ns() - 10 * 10**9:020d}\n")
    assert marks(state)["watchdog"] is Mark.WARNING
    lock.release()


def test_the_exit_code_is_the_worst_mark_and_the_json_has_all(state, capsys) -> None:
    assert main(["--state-dir", str(state), "--json"]) in (1, 2)
    told = json.loads(capsys.readouterr().out)
    assert {check["name"] for check in told["checks"]} >= {
        "trader",
        "disk",
        "memory",
        "processor",
        "journal",
        "watchdog",
    }
    assert told["mark"] == max(
        (check["mark"] for check in told["checks"]), key=["OK", "WARNING", "CRITICAL"].index
    )


def test_without_a_directory_it_says_what_to_name(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MIA_STATE_DIR", raising=False)
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "--state-dir" in capsys.readouterr().err


def test_the_only_account_is_found_by_itself(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MIA_STATE_DIR", raising=False)
    account = tmp_path / "state" / "DU1234567"
    account.mkdir(parents=True, mode=0o700)
    (account / state_files.LOCK).touch()
    assert main(["--state", str(account)]) == 1
    first = capsys.readouterr().out
    assert main([]) == 1
    assert capsys.readouterr().out.splitlines()[0] == first.splitlines()[0]


def test_it_loads_nothing_that_is_not_in_the_standard_library(state) -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "from mia.monitoring.health_checker import check_health; from pathlib import Path\n"
        f"check_health(Path({str(state)!r}))\n"
        "names = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(names - set(sys.stdlib_module_names) - {'mia'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_was_set_is_told(state, trader, hours) -> None:
    trader.show(well())
    assert marks(state)["clock"] is Mark.OK
    trader.show(REPLACE(well(), wall_ts=time.time_ns() + hours * 3_600_000_000_000))
    assert marks(state)["clock"] is Mark.WARNING

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from search_samples import BAR, GATES, SESSIONS, TRADES, run, space_file

from mia.errors import ConfigError, DataError
from mia.optimize import ledger


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """A search in this process alone, to which the others are held."""
    folder = tmp_path_factory.mktemp("quiet")
    return folder, run(folder)


def rows(path):
    with sqlite3.connect(path) as db:
        return db.execute("SELECT key, state, outcome, leases, worker FROM tasks").fetchall()


def outcomes(path):
    return {key: outcome for key, _, outcome, _, _ in rows(path)}


def test_every_trial_runs_in_every_block_and_the_settings_as_they_are_come_first(quiet):
    folder, found = quiet
    report = found.report
    assert report["trials"]["asked"] == report["trials"]["complete"] == 5
    assert report["trial_rows"][0]["params"] == {}
    assert sum(row["trades"] for row in report["trial_rows"]) > 10
    assert (found.ran, found.reused) == (5 * 4, 0)
    assert len(rows(folder / "ledger.sqlite")) == 20
    assert report["sessions"] == len(report["out_of_sample"]["curve"]["session"]) + SESSIONS // 4


def test_run_again_it_takes_all_from_the_ledger_and_more_trials_go_on(quiet, tmp_path):
    folder, found = quiet
    again = run(folder)
    assert (again.ran, again.reused) == (0, 20)
    assert again.report == found.report
    more = run(folder, trials=6)
    assert (more.ran, more.reused) == (2 * 4, 20)
    assert more.report["trials"]["variants_in_ledger"] == 7
    assert more.report["trial_rows"][:5] == found.report["trial_rows"]


def test_other_folds_and_other_code_share_the_count_of_variants(tmp_path):
    first = run(tmp_path, trials=2)
    other = run(tmp_path, trials=2, seed=9, scheme="purged", folds=3)
    assert first.report["in_sample"]["variants_tried"] == 3
    # The settings as they are were tried by both.
    assert other.report["in_sample"]["variants_tried"] == 5
    elsewhere = run(tmp_path, trials=2, seed=9, market="NQ")
    assert elsewhere.report["in_sample"]["variants_tried"] == 3


def test_two_sets_that_come_to_the_same_are_one_trial(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text("[trend]\ntarget_r = {choices = [1.5, 3.0]}", encoding="utf-8")
    report = run(tmp_path, space=path, trials=5).report
    states = [row["state"] for row in report["trial_rows"]]
    assert states.count(ledger.COMPLETE) == 3
    assert states.count(ledger.REPEATED) == 3
    assert report["in_sample"]["variants_tried"] == 3


def test_a_set_that_the_settings_refuse_is_noted_and_not_counted(tmp_path):
    path = tmp_path / "odd.toml"
    path.write_text(
        "[gate]\nmin_rr = {low = 1.0, high = 2.0}\n"
        "[mtf]\nframes_min = {choices = [[1, 5, 15, 60], [2, 10, 30, 60]]}\n",
        encoding="utf-8",
    )
    report = run(tmp_path, space=path, trials=3).report
    assert report["trials"]["complete"] == 4
    bad = tmp_path / "bad.toml"
    bad.write_text(
        "[mtf]\nframes_min = {choices = [[1, 5, 15, 60], [5, 1, 15, 60]]}", encoding="utf-8"
    )
    with pytest.raises(ConfigError, match=r"mtf\.frames_min"):
        run(tmp_path, space=bad, trials=3)


def test_a_learning_sampler_sees_nothing_of_the_tests(tmp_path):
    pytest.importorskip("optuna")
    with pytest.raises(ConfigError, match="tests everywhere"):
        run(tmp_path, sampler="tpe", scheme="purged")
    found = run(tmp_path, sampler="tpe", trials=4)
    again = run(tmp_path, sampler="tpe", trials=4)
    assert again.ran == 0
    assert again.report == found.report


def test_a_task_that_fails_ends_the_search_with_its_own_words(tmp_path):
    run(tmp_path, trials=1)
    columns = next((tmp_path / "columns").glob("*/*.columns"))
    os.truncate(columns, 0)
    with pytest.raises(DataError, match="0 bytes"):
        run(tmp_path, trials=2)


@pytest.mark.slow
def test_two_workers_yield_the_bits_of_one(quiet, tmp_path):
    folder, found = quiet
    other = run(tmp_path, jobs=2)
    workers = {row[4] for row in rows(tmp_path / "ledger.sqlite")}
    assert f":{os.getpid()}" not in "".join(workers)
    mine = outcomes(tmp_path / "ledger.sqlite")
    theirs = outcomes(folder / "ledger.sqlite")
    assert mine == {key: theirs[key] for key in mine}
    assert len(mine) == 20
    assert other.report["out_of_sample"] == found.report["out_of_sample"]


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_only_what_it_had_in_hand(quiet, tmp_path):
    folder, _ = quiet
    path = tmp_path / "ledger.sqlite"
    killed = []

    def kill_one(done, total):
        if done == 5 and not killed:
            pid = int(next(row[4] for row in rows(path) if row[1] == "done").split(":")[1])
            killed.append((pid, {row[0] for row in rows(path) if row[1] == "done"}))
            os.kill(pid, signal.SIGKILL)

    found = run(tmp_path, kill_one, jobs=2)
    assert killed
    assert killed[0][0] != os.getpid()
    assert found.ran == 20
    theirs = outcomes(folder / "ledger.sqlite")
    assert outcomes(path) == {key: theirs[key] for key in outcomes(path)}
    assert len(killed[0][1]) == 5


def command(folder, *more):
    arguments = [
        sys.executable, "-m", "mia.cli", "optimize", "--space", str(space_file(folder)),
        "--synthetic", "--null", "--seed", "5", "--from", "2024-01-02", "--days", str(SESSIONS),
        "--trades-per-day", str(TRADES), "--bars", str(BAR), "--folds", "3", "--warmup", "1",
        "--sampler", "random", "--search-seed", "3", "--out", str(folder / "out"), *more,
    ]  # fmt: skip
    for given in GATES:
        arguments += ["--set", given]
    return arguments


def finished(path):
    if not path.exists():
        return 0
    try:
        return sum(row[1] == "done" for row in rows(path))
    except sqlite3.OperationalError:
        return 0


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_coordinator_that_is_killed_loses_no_finished_trial(tmp_path):
    path = tmp_path / "out" / "ledger.sqlite"
    many = ("--trials", "40", "--jobs", "2")
    first = subprocess.Popen(command(tmp_path, *many), stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while finished(path) < 6 and time.monotonic() < until:
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    kept = {row[0]: row[2] for row in rows(path) if row[1] == "done"}
    workers = {int(row[4].split(":")[1]) for row in rows(path) if row[1] == "done"}
    assert 6 <= len(kept) < 41 * 4
    # Workers end by themselves, so that none works for nobody.
    while any(map(alive, workers)) and time.monotonic() < until:
        time.sleep(0.2)
    assert not any(map(alive, workers))
    second = subprocess.run(
        command(tmp_path, *many), capture_output=True, text=True, timeout=240, check=True
    )
    ran, reused = map(int, re.search(r"(\d+) results made now, (\d+) from", second.stderr).groups())
    assert reused == len(kept)
    assert ran == 41 * 4 - len(kept)
    assert {key: outcomes(path)[key] for key in kept} == kept
    assert (tmp_path / "out" / "study.html").exists()

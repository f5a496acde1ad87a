"""Halt, flatten and resume through the real kill command, at a trader that obeys."""

import json
import os
import signal
import time

import pytest
from dashboard_cases import obedient_trader as trader
from dashboard_cases import served_dashboard, taken
from frame_cases import ShownFrames, frame

from mia.data import state_files
from mia.monitoring.dashboard.actions import ORDERS

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and locks of POSIX")


def orders(state):
    return [json.loads(line) for line in (state / ORDERS).read_text().splitlines()]


def test_an_order_reaches_the_trader_and_its_journal_with_who_gave_it(tmp_path) -> None:
    state = tmp_path / "state"
    with (
        trader(state),
        served_dashboard(state) as dashboard,
        dashboard.client() as client,
    ):
        halted = client.post("/api/actions/halt", json={"confirm": "HALT"})
        assert halted.status_code == 200
        assert halted.json()["done"]
        flat = client.post("/api/actions/flatten", json={"confirm": "FLATTEN"})
        assert "no position" in " ".join(flat.json()["said"])
        names = [(event["name"], event["outcome"], event["by"]) for event in taken(state)]
        assert names == [
            ("halt", "obeyed", "dashboard 127.0.0.1"),
            ("flatten", "obeyed", "dashboard 127.0.0.1"),
        ]
        outcomes = [(row["action"], row["outcome"], row["by"]) for row in orders(state)]
        assert outcomes == [
            ("halt", "asked", "127.0.0.1"),
            ("halt", "done", "127.0.0.1"),
            ("flatten", "asked", "127.0.0.1"),
            ("flatten", "done", "127.0.0.1"),
        ]
        resumed = client.post("/api/actions/resume", json={"confirm": "RESUME"})
        assert resumed.status_code == 200
        assert taken(state)[-1]["name"] == "reset"


def test_an_order_without_its_word_changes_nothing(tmp_path) -> None:
    state = tmp_path / "state"
    with (
        trader(state),
        served_dashboard(state) as dashboard,
        dashboard.client() as client,
    ):
        bodies = [
            {},
            {"confirm": "halt"},
            {"confirm": "FLATTEN"},
            {"confirm": True},
            {"confirm": ["HALT"]},
            ["HALT"],
            "HALT",
        ]
        for body in bodies:
            assert client.post("/api/actions/halt", json=body).status_code == 400
        plain = client.post(
            "/api/actions/halt",
            content=b'{"confirm": "HALT"}',
            headers={"content-type": "text/plain"},
        )
        assert plain.status_code == 415
        form = client.post("/api/actions/halt", data={"confirm": "HALT"})
        assert form.status_code == 415
        long = {"confirm": "HALT", "more": "x" * 2000}
        assert client.post("/api/actions/halt", json=long).status_code == 413
        broken = {"content-type": "application/json"}
        for content in (b"", b"{", b'{"confirm": "\xff"}'):
            answer = client.post("/api/actions/halt", content=content, headers=broken)
            assert answer.status_code == 400
        assert client.get("/api/actions/halt").status_code == 405
        assert not (state / state_files.KILL).exists()
        assert taken(state) == []
        assert {row["outcome"] for row in orders(state)} == {"refused"}


def test_real_money_is_never_resumed_from_the_web(tmp_path) -> None:
    state = tmp_path / "state"
    with (
        trader(state, "live"),
        served_dashboard(state) as dashboard,
        dashboard.client() as client,
    ):
        assert client.post("/api/actions/halt", json={"confirm": "HALT"}).json()["done"]
        answer = client.post("/api/actions/resume", json={"confirm": "RESUME"})
        assert answer.status_code == 403
        assert "mia kill reset" in answer.json()["error"]
        assert [event["name"] for event in taken(state)] == ["halt"]
        assert not (state / state_files.KILL).exists()


@pytest.mark.parametrize("mode", ["live", "paper"])
def test_nothing_is_resumed_without_a_trader_that_says_its_mode(tmp_path, mode) -> None:
    with ShownFrames(tmp_path) as shown:
        shown.show(frame(1, mode=mode))
    time.sleep(0.8)
    with served_dashboard(tmp_path) as dashboard, dashboard.client() as client:
        answer = client.post("/api/actions/resume", json={"confirm": "RESUME"})
        assert answer.status_code == 403
        assert not (tmp_path / state_files.KILL).exists()


def test_an_order_waits_for_the_trader_that_comes_next(tmp_path) -> None:
    with served_dashboard(tmp_path) as dashboard, dashboard.client() as client:
        answer = client.post("/api/actions/halt", json={"confirm": "HALT"})
        assert answer.status_code == 200
        assert "the next one starts with this command" in " ".join(answer.json()["said"])
        # Nothing can be closed where nobody knows a broker: that is said, and is no success.
        answer = client.post("/api/actions/flatten", json={"confirm": "FLATTEN"})
        assert answer.status_code == 502
        assert answer.json()["code"] == 4
    command = state_files.read_command(tmp_path / state_files.KILL)
    assert command is not None
    assert (command.name, command.by) == ("flatten", "dashboard 127.0.0.1")


@pytest.mark.slow
def test_a_flatten_does_not_wait_for_a_halt_that_a_hung_trader_ignores(tmp_path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    state = tmp_path / "state"
    with (
        trader(state) as child,
        served_dashboard(state) as dashboard,
        dashboard.client() as client,
        ThreadPoolExecutor() as pool,
    ):
        child.send_signal(signal.SIGSTOP)
        halt = pool.submit(client.post, "/api/actions/halt", json={"confirm": "HALT"})
        time.sleep(1.0)
        flatten = pool.submit(client.post, "/api/actions/flatten", json={"confirm": "FLATTEN"})
        time.sleep(2.0)
        command = state_files.read_command(state / state_files.KILL)
        assert command is not None
        assert command.name == "flatten"
        again = client.post("/api/actions/flatten", json={"confirm": "FLATTEN"})
        assert again.status_code == 409
        child.send_signal(signal.SIGCONT)
        assert flatten.result(30).status_code == 200
        assert halt.result(30).status_code in (200, 502)


@pytest.mark.slow
def test_a_trader_that_does_not_answer_can_be_ended(tmp_path) -> None:
    state = tmp_path / "state"
    with (
        trader(state) as child,
        served_dashboard(state) as dashboard,
        dashboard.client() as client,
    ):
        child.send_signal(signal.SIGSTOP)
        answer = client.post("/api/actions/flatten", json={"confirm": "FLATTEN", "force": True})
        # Its broker is not there either: that is no success, and the command stays.
        assert answer.status_code == 502
        assert child.wait(10) == -signal.SIGKILL
        assert "ending process" in " ".join(answer.json()["said"])
        assert state_files.read_command(state / state_files.KILL).name == "flatten"

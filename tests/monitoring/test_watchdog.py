import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mia.core.alert_file import NAME, Alert, AlertLevel, read_line
from mia.monitoring import watchdog as module
from mia.monitoring.alert_system import AlertSystem
from mia.monitoring.alerts.alert_policy import AlertPolicy, PolicyLimits
from mia.monitoring.watch.kill_hand import KillHand
from mia.monitoring.watch.trader_life import Life, TraderLife, watch_once
from mia.monitoring.watchdog import Watchdog, WatchLimits
from mia.redaction import Redactor

SCENE = Path(__file__).parents[1] / "watch_scene.py"
QUICK = WatchLimits(hang_s=1.0, start_s=1.0, kill_after_s=0.3, repeat_s=0.6, disk_mb=1)
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(SCENE.parents[1]), str(SCENE.parent)]),
}


class Heard:
    name = "heard"

    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    def send(self, alert: Alert, done) -> None:
        self.alerts.append(alert)
        done()

    def of(self, key: str) -> list[str]:
        return [alert.text for alert in self.alerts if alert.key == key]


@contextmanager
def trader(state: Path, what: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(SCENE), str(state), what],
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait(10)
        process.stdout.close()


def kill_command(folder: Path, code: int = 0, words: str = "flatten: done") -> list[str]:
    """Return a command that notes how it was called, in the place of ``mia kill``."""
    note = folder / "killed"
    text = (
        f"import sys; open({str(note)!r}, 'a').write(' '.join(sys.argv[1:]) + chr(10)); "
        f"print({words!r}); sys.exit({code})"
    )
    return [sys.executable, "-c", text]


class Watch:
    """A watchdog that steps in this process."""

    def __init__(self, state: Path, hand: KillHand, limits: WatchLimits = QUICK) -> None:
        state.mkdir(mode=0o700, exist_ok=True)
        self.heard = Heard()
        policy = AlertPolicy(PolicyLimits(cool_down_s=0.0))
        system = AlertSystem(
            state / NAME, state / "alerts.position", policy, [self.heard], time.time_ns
        )
        self.dog = Watchdog(state, system, hand, limits, Redactor())

    def until(self, condition, seconds: float = 30.0) -> float:
        """Step until something holds; return the seconds that it took."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < seconds, [a.text for a in self.heard.alerts]
            self.dog.step(time.monotonic())
            time.sleep(0.05)
        return time.monotonic() - began

    def until_life(self, life: Life, seconds: float = 30.0) -> float:
        return self.until(lambda: self.dog.sight and self.dog.sight.life is life, seconds)

    def steps(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.dog.step(time.monotonic())
            time.sleep(0.05)


@pytest.fixture
def state(tmp_path) -> Path:
    return tmp_path / "state"


def killed(folder: Path) -> list[str]:
    note = folder / "killed"
    return note.read_text().splitlines() if note.exists() else []


def test_a_trader_that_hangs_with_a_position_is_told_and_the_switch_is_pulled(
    tmp_path, state
) -> None:
    watch = Watch(state, KillHand(state, "flatten", kill_command(tmp_path)))
    with trader(state, "long") as process:
        watch.until_life(Life.RUNNING)
        process.send_signal(signal.SIGSTOP)
        took = watch.until(lambda: watch.heard.of("trader:HUNG"))
        assert took < 10.0
        (text,) = watch.heard.of("trader:HUNG")[:1]
        assert "+2 MES, its stop rests at the broker" in text
        assert "flatten in 0.3 s unless it returns" in text
        watch.until(lambda: len(watch.heard.of("watchdog:kill")) == 2)
        assert "done: flatten: done" in watch.heard.of("watchdog:kill")[1]
        assert killed(tmp_path) == [f"flatten --state {state} --timeout 10 --force"]
        watch.steps(1.0)
        assert len(killed(tmp_path)) == 1
    watch.dog.close()


@pytest.mark.slow
def test_a_trader_that_only_paused_is_left_alone(tmp_path, state) -> None:
    limits = WatchLimits(hang_s=1.0, kill_after_s=5.0, disk_mb=1)
    watch = Watch(state, KillHand(state, "flatten", kill_command(tmp_path)), limits)
    with trader(state, "long") as process:
        watch.until_life(Life.RUNNING)
        process.send_signal(signal.SIGSTOP)
        watch.until_life(Life.HUNG)
        process.send_signal(signal.SIGCONT)
        watch.until(lambda: watch.heard.of("trader:RUNNING"))
        watch.steps(0.5)
        assert killed(tmp_path) == []
        assert watch.dog.is_well
    watch.dog.close()


@pytest.mark.slow
def test_a_trader_that_is_killed_is_noticed_whether_it_held_something_or_not(
    tmp_path, state
) -> None:
    watch = Watch(state, KillHand(state, "halt", kill_command(tmp_path)))
    with trader(state, "flat") as process:
        watch.until_life(Life.RUNNING)
        process.kill()
        process.wait()
        assert watch.until(lambda: watch.heard.of("trader:DIED")) < 10.0
        assert "it was flat" in watch.heard.of("trader:DIED")[0]
        watch.until(lambda: len(watch.heard.of("trader:DIED")) >= 2)
        assert killed(tmp_path) == []
    with trader(state, "entry") as process:
        watch.until_life(Life.RUNNING)
        process.kill()
        process.wait()
        watch.until(lambda: killed(tmp_path))
        assert "an entry of 2 MES works" in watch.heard.of("trader:DIED")[-1]
        watch.until(lambda: any("done" in text for text in watch.heard.of("watchdog:kill")))
        assert killed(tmp_path) == [f"halt --state {state} --timeout 10"]
    watch.dog.close()


@pytest.mark.slow
def test_with_the_switch_off_the_watchdog_only_tells(tmp_path, state) -> None:
    watch = Watch(state, KillHand(state, "off", kill_command(tmp_path)))
    with trader(state, "long") as process:
        watch.until_life(Life.RUNNING)
        process.kill()
        process.wait()
        watch.until(lambda: watch.heard.of("trader:DIED"))
        watch.steps(1.0)
        assert killed(tmp_path) == []
    watch.dog.close()


@pytest.mark.slow
def test_the_switch_is_pulled_again_only_where_no_gateway_answered(tmp_path, state) -> None:
    now = 100.0
    for code, words, tries in (
        (4, "mia kill: no gateway answers at 127.0.0.1:1", 3),
        (4, "flatten: NOT DONE, look at the account", 1),
        (1, "the trader did not answer within 10 s", 1),
    ):
        folder = tmp_path / str(tries) / words[:8].strip()
        folder.mkdir(parents=True)
        hand = KillHand(folder, "flatten", kill_command(folder, code, words))
        assert hand.pull(now)
        outcomes = []
        for _ in range(400):
            now += 1.0
            outcome = hand.poll(now)
            outcomes += [outcome] if outcome is not None else []
            time.sleep(0.002 if not hand.is_busy else 0.02)
        assert len(killed(folder)) == tries
        assert [outcome.again for outcome in outcomes] == [True] * (tries - 1) + [False]
        assert not hand.pull(now)
        hand.rearm()
        assert hand.pull(now)
        while hand.is_busy:
            hand.poll(now)


def test_a_trader_that_ends_in_order_raises_no_alarm(tmp_path, state) -> None:
    watch = Watch(state, KillHand(state, "flatten", kill_command(tmp_path)))
    with trader(state, "long") as process:
        watch.until_life(Life.RUNNING)
        process.terminate()
        watch.until_life(Life.ABSENT)
        watch.steps(1.0)
        told = [alert for alert in watch.heard.alerts if alert.key.startswith("trader:")]
        assert [alert.level for alert in told] == [AlertLevel.INFO] * len(told)
        assert told[-1].text == "the trader has ended in order"
        assert killed(tmp_path) == []
    watch.dog.close()


@pytest.mark.slow
def test_a_trader_that_shows_nothing_is_told_once_its_time_is_over(tmp_path, state) -> None:
    watch = Watch(state, KillHand(state, "flatten", kill_command(tmp_path)))
    with trader(state, "silent") as process:
        watch.until_life(Life.STARTING)
        watch.until(lambda: watch.heard.of("trader:start"))
        process.kill()
        process.wait()
        # What it held nobody knows: the switch is pulled as if it held something.
        watch.until(lambda: len(watch.heard.of("watchdog:kill")) == 2)
        assert len(killed(tmp_path)) == 1
    watch.dog.close()


def test_a_watchdog_that_slept_itself_does_not_take_a_living_trader_for_hung(state) -> None:
    with trader(state, "long") as process:
        life = TraderLife(state, 3.0)
        now = time.monotonic()
        while life.look(now).life is not Life.RUNNING:
            now = time.monotonic()
            time.sleep(0.02)
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        # The machine was suspended for an hour: nobody beat, and nobody looked.
        assert life.look(now + 3600).life is Life.RUNNING
        life.close()


def test_alerts_reach_subscribers_although_the_disk_takes_none(
    tmp_path, state, monkeypatch
) -> None:
    watch = Watch(state, KillHand(state, "off"))

    def refuse(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "AlertFile", refuse)
    watch.dog.raise_alert(AlertLevel.CRITICAL, "k", "said all the same", time.monotonic())
    assert watch.heard.of("k") == ["said all the same"]
    watch.dog.close()


def test_too_little_room_is_told_when_it_begins_and_when_it_is_over(state) -> None:
    limits = WatchLimits(disk_mb=10**9)
    watch = Watch(state, KillHand(state, "off"), limits)
    now = time.monotonic()
    watch.dog.step(now)
    watch.dog.step(now + 1)
    assert len(watch.heard.of("machine:disk:CRITICAL")) == 1
    watch.dog._limits = WatchLimits(disk_mb=0)
    watch.dog.step(now + 20)
    watch.dog.step(now + 21)
    assert len(watch.heard.of("machine:disk:OK")) == 1
    watch.dog.close()


def test_what_the_watchdog_finds_stands_in_the_file_of_alerts(state) -> None:
    watch = Watch(state, KillHand(state, "off"))
    watch.dog.raise_alert(AlertLevel.WARNING, "key", "U7654321 was found", time.monotonic())
    (alert,) = [read_line(line) for line in (state / NAME).read_bytes().splitlines()]
    assert alert is not None
    assert (alert.source, alert.text) == ("watchdog", "U***4321 was found")
    watch.dog.close()


def test_one_look_tells_how_a_trader_is(state) -> None:
    assert watch_once(state, 3.0).life is Life.ABSENT
    with trader(state, "long") as process:
        until = time.monotonic() + 20
        while watch_once(state, 3.0).life is not Life.RUNNING:
            assert time.monotonic() < until
            time.sleep(0.02)
        seen = watch_once(state, 3.0)
        assert seen.pid == process.pid
        assert seen.exposure.startswith("it holds +2 MES")
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        assert watch_once(state, 0.3).life is Life.HUNG
        process.kill()
        process.wait()
        assert watch_once(state, 3.0).life is Life.DIED
    json.dumps(seen.frame)

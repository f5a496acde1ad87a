import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mia.core.alert_file import NAME, Alert, AlertFile, AlertLevel
from mia.errors import ConfigError
from mia.monitoring.alert_system import AlertSystem, ConsoleSubscriber
from mia.monitoring.alerts.alert_policy import AlertPolicy, PolicyLimits
from mia.monitoring.alerts.apprise_channel import AppriseChannel
from mia.monitoring.watch.dead_man import DeadManPing


@contextmanager
def web(status: int = 200, hang: float = 0.0) -> Iterator[tuple[str, list[str]]]:
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            time.sleep(hang)
            try:
                self.send_response(status)
                self.end_headers()
            except OSError:
                pass

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def wait(condition) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_ping_goes_out_while_all_is_well_and_stays_away_otherwise() -> None:
    well = [True]
    with web() as (address, seen):
        ping = DeadManPing(f"http://{address}/ping/uuid", 0.02, lambda: well[0], print)
        wait(lambda: len(seen) >= 3)
        well[0] = False
        time.sleep(0.1)
        count = len(seen)
        time.sleep(0.2)
        assert len(seen) == count
        ping.close()
    assert set(seen) == {"/ping/uuid"}


def test_a_ping_that_fails_is_told_once_and_without_its_address() -> None:
    said: list[str] = []
    with web(status=500) as (address, seen):
        ping = DeadManPing(f"http://{address}/canary", 0.02, lambda: True, said.append)
        wait(lambda: len(seen) >= 3)
        ping.close()
    assert said == ["the ping to outside fails: answer 500"]
    with pytest.raises(ConfigError) as caught:
        DeadManPing("ftp://canary", 1, lambda: True, print)
    assert "canary" not in str(caught.value)


def alert(text: str = "text") -> Alert:
    return Alert(1, AlertLevel.CRITICAL, f"key:{text}", text, "trader", 1)


def test_apprise_sends_and_one_that_hangs_holds_nobody() -> None:
    pytest.importorskip("apprise", reason="apprise is an extra")
    said: list[str] = []
    with web() as (address, seen):
        channel = AppriseChannel(f"json://{address}/hook", said.append, 5.0)
        channel.send(alert(), lambda: None)
        wait(lambda: channel.sent == 1)
        assert seen == ["/hook"]
    with web(hang=1.0) as (address, seen):
        channel = AppriseChannel(f"json://{address}/hook", said.append, 0.1)
        done: list[int] = []
        began = time.monotonic()
        for number in range(300):
            channel.send(alert(str(number)), lambda: done.append(1))
        assert time.monotonic() - began < 1.0
        assert len(done) == 300
        wait(lambda: any("took too long" in line for line in said))
        assert channel.lost >= 199


def test_apprise_that_is_not_there_or_an_address_that_it_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        AppriseChannel("nonsense-canary://x", print, 1.0)
    assert "canary" not in str(caught.value)


def test_a_console_that_is_closed_does_not_stop_the_others(tmp_path) -> None:
    class Counted:
        name = "counted"
        count = 0

        def send(self, alert: Alert, done) -> None:
            self.count += 1
            done()

    closed = io.StringIO()
    closed.close()
    counted = Counted()
    file = AlertFile(tmp_path / NAME, str, "trader")
    file.write(AlertLevel.INFO, "key", "text", 1, time.time_ns())
    system = AlertSystem(
        tmp_path / NAME,
        tmp_path / "place",
        AlertPolicy(PolicyLimits()),
        [ConsoleSubscriber(closed), counted],
        time.time_ns,
    )
    system.poll(1.0)
    assert counted.count == 1
    assert system.delivery.pending == 0
    file.close()
    system.close()


def test_what_is_old_when_a_watchdog_starts_for_the_first_time_is_history(tmp_path) -> None:
    out = io.StringIO()
    file = AlertFile(tmp_path / NAME, str, "trader")
    file.write(AlertLevel.INFO, "old", "old", 1, time.time_ns() - 3600 * 10**9)
    file.write(AlertLevel.INFO, "new", "new", 1, time.time_ns())
    arguments = (tmp_path / NAME, tmp_path / "place", AlertPolicy(PolicyLimits()))
    system = AlertSystem(*arguments, [ConsoleSubscriber(out)], time.time_ns)
    system.poll(1.0)
    assert out.getvalue() == "INFO     new: new\n"
    system.close()
    file.close()

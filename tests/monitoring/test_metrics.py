"""What Prometheus is told is what the trader shows, and nothing of a trader that is dead."""

import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from frame_cases import ShownFrames, frame, held
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from mia.core.base_types import TradingState
from mia.core.frame import Stage
from mia.core.frame_memory import NAME
from mia.errors import ConfigError
from mia.monitoring.metrics import FrameCollector
from mia.monitoring.metrics_server import Door, metrics_server

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(state_dir: Path) -> Samples:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FrameCollector(state_dir))
    return scraped(generate_latest(registry).decode())


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


def test_the_numbers_are_those_of_the_frame(tmp_path) -> None:
    shown = frame(state="HALT_ENTRIES")
    with ShownFrames(tmp_path) as trader:
        trader.show(shown)
        found = scrape(tmp_path)
    day = shown.day
    assert value(found, "mia_up") == 1
    assert value(found, "mia_ready") == 1
    assert value(found, "mia_trading_state") == TradingState.HALT_ENTRIES
    assert value(found, "mia_position_contracts") == shown.held.quantity == 2
    assert value(found, "mia_daily_pnl_usd") == day.realized_pnl + day.open_pnl
    assert value(found, "mia_worst_pnl_usd") == day.worst_pnl
    assert value(found, "mia_daily_loss_limit_usd") == day.loss_limit
    assert value(found, "mia_feed_age_seconds") == pytest.approx(shown.feed.age_s)
    assert value(found, "mia_price_points") == shown.book.last / 4
    assert value(found, "mia_link_up", link="orders") == 1
    assert value(found, "mia_ready_seconds_total") == shown.ready_s
    assert value(found, "mia_ticks_total") == shown.feed.ticks
    counters = shown.counters
    assert (
        value(found, "mia_orders_total", side="buy", outcome="filled")
        == (counters["orders_buy_filled"])
    )
    assert (
        value(found, "mia_decisions_total", reason="CONFLUENCE") == (counters["reason_CONFLUENCE"])
    )


def test_a_short_is_negative_and_a_naked_position_is_told(tmp_path) -> None:
    with ShownFrames(tmp_path) as trader:
        trader.show(frame(held=held(quantity=-1, side=-1, protected=False)))
        found = scrape(tmp_path)
    assert value(found, "mia_position_contracts") == -1
    assert value(found, "mia_position_protected") == 0


def test_a_journal_that_waits_for_its_disk_is_told(tmp_path) -> None:
    with ShownFrames(tmp_path) as trader:
        trader.show(frame(counters={"journal_waiting": 3}))
        assert value(scrape(tmp_path), "mia_journal_waiting_events") == 3
        trader.show(frame(counters={}))
        assert ("mia_journal_waiting_events", ()) not in scrape(tmp_path)


def test_flat_is_protected_whatever_no_stop_says(tmp_path) -> None:
    with ShownFrames(tmp_path) as trader:
        trader.show(frame(held=None))
        assert value(scrape(tmp_path), "mia_position_protected") == 1
        trader.show(frame(held=held(quantity=0, protected=False)))
        assert value(scrape(tmp_path), "mia_position_protected") == 1


def test_latency_is_a_histogram_of_powers_of_two(tmp_path) -> None:
    counts = [0] * 40
    counts[10], counts[20], counts[39] = 5, 3, 1
    with ShownFrames(tmp_path) as trader:
        trader.show(frame(stages={"decision": Stage(counts, 7_000_000_000)}))
        found = scrape(tmp_path)
    at = {
        dict(labels)["le"]: count
        for (name, labels), count in found.items()
        if name == "mia_stage_seconds_bucket"
    }
    below = {float(le): count for le, count in at.items()}
    assert below[2**11 / 1e9] == 5
    assert below[2**10 / 1e9] == 0
    assert below[2**21 / 1e9] == 8
    assert below[max(x for x in below if x != float("inf"))] == 8
    assert below[float("inf")] == value(found, "mia_stage_seconds_count", stage="decision") == 9
    assert value(found, "mia_stage_seconds_sum", stage="decision") == 7.0
    assert list(below.values()) == sorted(below.values())


def test_without_a_trader_only_its_absence_is_told(tmp_path) -> None:
    found = scrape(tmp_path)
    assert value(found, "mia_up") == 0
    assert {name for name, _ in found} == {"mia_up", "mia_build_info"}


def test_a_dead_trader_shows_no_position(tmp_path) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path\n"
        "from frame_cases import ShownFrames, frame\n"
        "trader = ShownFrames(Path(sys.argv[1])); trader.show(frame())\n"
        "print('shown', flush=True); sys.stdin.read()"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout.readline() == "shown\n"
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate()
    beat = scrape(tmp_path)
    assert value(beat, "mia_up") in (0, 1)
    # Its heartbeat is made older by hand: 6 s of waiting prove no more.
    memory = bytearray((tmp_path / NAME).read_bytes())
    old = int.from_bytes(memory[16:24], "little") - 6_000_000_000
    memory[16:24] = old.to_bytes(8, "little")
    (tmp_path / NAME).write_bytes(memory)
    found = scrape(tmp_path)
    assert value(found, "mia_up") == 0
    assert value(found, "mia_heartbeat_age_seconds") >= 6
    assert not any("position" in name or "pnl" in name for name, _ in found)


def test_a_frame_of_another_schema_is_no_trader(tmp_path) -> None:
    with ShownFrames(tmp_path) as trader:
        trader.show(frame())
        path = tmp_path / NAME
        memory = path.read_bytes()
        path.write_bytes(memory.replace(b'"held":{', b'"held":[', 1))
        assert value(scrape(tmp_path), "mia_up") == 0


@contextmanager
def served(state_dir: Path) -> Iterator[int]:
    with metrics_server(Door(port=0), FrameCollector(state_dir)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def ask(port: int, path: str = "/metrics", host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={} if host is None else {"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_the_server_answers_on_loopback(tmp_path) -> None:
    with ShownFrames(tmp_path) as trader, served(tmp_path) as port:
        trader.show(frame())
        status, text = ask(port)
        assert status == 200
        assert value(scraped(text), "mia_position_contracts") == 2
        assert ask(port, "/else")[0] == 404
        assert ask(port, "/../frame.bin")[0] == 404
        assert ask(port, host=f"localhost:{port}")[0] == 200


def test_a_foreign_name_of_this_machine_learns_nothing(tmp_path) -> None:
    with ShownFrames(tmp_path) as trader, served(tmp_path) as port:
        trader.show(frame())
        for host in ("evil.example", f"evil.example:{port}", "", "127.0.0.1.evil.example"):
            status, text = ask(port, host=host)
            assert status == 400
            assert "mia_" not in text


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1", "::", "metrics.example"])
def test_the_network_is_told_nothing_without_certificates(address) -> None:
    with pytest.raises(ConfigError, match="--certificate"):
        metrics_server(Door(address, 0))


def test_an_address_that_is_taken_is_named() -> None:
    with metrics_server(Door(port=0)) as server:
        port = server.server_port
        with pytest.raises(ConfigError, match=str(port)):
            metrics_server(Door(port=port))


def test_files_that_are_no_certificates_are_refused(tmp_path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    with pytest.raises(ConfigError, match="certificates"):
        metrics_server(Door(port=0, certificate=bad, key=bad))


def command(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mia.cli", "metrics", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_the_command_prints_once_what_it_would_serve(tmp_path) -> None:
    with ShownFrames(tmp_path) as trader:
        trader.show(frame())
        done = command("--state", str(tmp_path), "--once")
        out, err = done.communicate(timeout=60)
    assert (done.returncode, err) == (0, "")
    assert value(scraped(out), "mia_position_contracts") == 2
    assert value(scraped(out), "mia_journal_good") == 1


def test_the_command_serves_until_it_is_ended(tmp_path) -> None:
    with ShownFrames(tmp_path) as trader:
        trader.show(frame())
        serving = command("--state", str(tmp_path), "--port", "0")
        try:
            said = serving.stderr.readline()
            assert said.startswith("metrics at http://127.0.0.1:")
            status, text = ask(int(said.split(":")[-1].split("/")[0]))
            assert status == 200
            assert value(scraped(text), "mia_position_contracts") == 2
        finally:
            serving.terminate()
            serving.communicate(timeout=60)
    assert serving.returncode == 143

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from discord_server import TOKEN, DiscordServer

from mia.config.settings import load_settings
from mia.monitoring.health.doctor import examine
from mia.monitoring.health.doctor_links import Finding, Verdict, greet

NOW = 1_741_618_800 * 10**9


@contextmanager
def gateway(greeting: bytes = b"176\x0020250310 11:00:00 EST\0") -> Iterator[int]:
    """Greet as a gateway does, with a time that is cut to the second."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                while True:
                    link, _ = server.accept()
                    with link:
                        link.recv(100)
                        link.sendall(struct.pack(">I", len(greeting)) + greeting)
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def look(
    state: Path, *assignments: str, wall: int = NOW, env: Path | None = None, **more
) -> dict[str, Finding]:
    environ = more.pop("environ", {})
    loaded = load_settings(
        more.pop("profile", "paper"), assignments, env_file=Path("no such"), environ=environ
    )
    found = examine(loaded, state, env_file=env or Path("no such"), wall=lambda: wall, **more)
    return {finding.name: finding for finding in found}


@pytest.fixture
def state(tmp_path) -> Path:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


def test_each_finding_that_is_not_well_says_what_to_do(state) -> None:
    for profile in ("demo", "paper", "production"):
        for finding in look(state, profile=profile).values():
            assert bool(finding.cure) == (finding.verdict is not Verdict.OK), finding


def test_a_gateway_that_answers_and_its_clock_are_well(state) -> None:
    with gateway() as port:
        address = (f"ibkr.port={port}", "ibkr.account=DU1234567")
        found = look(state, *address, wall=NOW + 400_000_000)
        assert found["broker"].verdict is Verdict.OK
        assert "176" in found["broker"].text
        assert found["time"].verdict is Verdict.OK
        late = look(state, *address, wall=NOW + 5_000_000_000)["time"]
        assert late.verdict is Verdict.WARN
        assert "ours is 4.5 s ahead" in late.text


def test_no_gateway_and_no_address_are_failures(state) -> None:
    assert look(state)["broker"].verdict is Verdict.FAIL
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found = look(state, f"ibkr.port={port}", "ibkr.account=DU1234567")
    assert found["broker"].verdict is Verdict.FAIL
    assert "start the gateway" in found["broker"].cure


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400\0", b"", b"abc\0def\0"])
def test_something_else_than_a_gateway_is_known_as_such(greeting: bytes) -> None:
    with gateway(greeting) as port, pytest.raises(OSError, match="no gateway"):
        greet("127.0.0.1", port)


def test_rights_that_let_others_in_are_failures(tmp_path, state) -> None:
    env = tmp_path / ".env.automation"
    env.write_text("TRADING_MODE=paper\n")
    env.chmod(0o640)
    state.chmod(0o755)
    found = look(state, env=env)
    assert found["secrets"].verdict is Verdict.FAIL
    assert found["secrets"].cure == f"chmod 600 {env}"
    assert found["state"].cure == f"chmod 700 {state}"
    env.chmod(0o600)
    state.chmod(0o700)
    found = look(state, env=env)
    assert found["secrets"].verdict is found["state"].verdict is Verdict.OK


def test_a_directory_that_is_not_there_yet_is_no_failure(state) -> None:
    found = look(state / "DU1" / "deeper")
    assert found["state"].verdict is Verdict.OK
    assert found["sync"].verdict is not Verdict.FAIL or "ms" in found["sync"].text
    assert not (state / "DU1").exists()


def test_too_little_room_is_a_failure(state) -> None:
    assert look(state, "alerts.disk_mb=1000000")["room"].verdict is Verdict.FAIL


def test_the_form_of_a_webhook_is_judged_without_sending_and_without_showing_it(state) -> None:
    key = "MIA_ALERTS__DISCORD_WEBHOOK"
    good = {key: f"https://discord.com/api/webhooks/1/{TOKEN}"}
    assert look(state, environ=good)["webhook"].verdict is Verdict.OK
    bad = look(state, environ={key: f"https://example.org/{TOKEN}"})["webhook"]
    assert bad.verdict is Verdict.FAIL
    assert TOKEN not in bad.text + bad.cure


def test_a_test_message_is_sent_when_it_is_asked_for(state) -> None:
    key = "MIA_ALERTS__DISCORD_WEBHOOK"
    with DiscordServer(5, 0.2) as server:
        assert look(state, environ={key: server.url})["webhook"].verdict is Verdict.OK
        assert server.messages == []
        found = look(state, environ={key: server.url}, send_test=True)["webhook"]
        assert found.text == "the test message was taken"
        assert len(server.messages) == 1
    with DiscordServer(5, 0.2, status=404) as gone:
        found = look(state, environ={key: gone.url}, send_test=True)["webhook"]
        assert found.verdict is Verdict.FAIL
        assert "404" in found.text


def test_sierra_without_its_files_is_a_failure(tmp_path, state) -> None:
    folder = tmp_path / "Data"
    folder.mkdir()
    settings = ("feed=sierra", f"sierra.folder={folder}")
    assert look(state, *settings)["feed"].verdict is Verdict.FAIL
    (folder / "ESM25-CME.scid").touch()
    assert look(state, *settings)["feed"].verdict is Verdict.OK


def test_a_live_trader_without_a_watchdog_is_a_failure(state) -> None:
    limits = ("trading_mode=live", "alerts.watchdog=false")
    assert look(state, *limits)["watchdog"].verdict is Verdict.FAIL
    assert look(state, "alerts.watchdog=false")["watchdog"].verdict is Verdict.WARN
    assert look(state)["watchdog"].verdict is Verdict.OK

"""A dashboard in a process of its own, a trader's frames at 10 Hz, and a browser that looks."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from frame_cases import ShownFrames, frame
from starlette.applications import Starlette

from mia.core.frame import Frame
from mia.data import state_files
from mia.data.journal_reader import JournalReader
from mia.execution.kill_commands import COMMAND_TAKEN
from mia.monitoring.dashboard.app import create_app
from mia.monitoring.dashboard.security import Security, new_token

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on PATH")


@dataclass
class RunningDashboard:
    """A dashboard that listens.

    Attributes
    ----------
    url : str
        Without a slash at the end.
    said : list of str
        What it printed, the login among it.
    """

    process: subprocess.Popen[str]
    url: str
    token: str
    said: list[str]

    @property
    def host(self) -> str:
        return self.url.split("//")[1]

    @property
    def login_url(self) -> str:
        return f"{self.url}/login#{self.token}"

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """Open a client that is logged in and asks as the dashboard's own page."""
        headers = {"origin": self.url}
        with httpx.Client(base_url=self.url, headers=headers, timeout=60, verify=False) as client:
            assert client.post("/login", json={"token": self.token}).status_code == 200
            yield client

    @cached_property
    def cookie(self) -> str:
        """A Cookie header that is logged in."""
        with self.client() as client:
            return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


@contextmanager
def running_dashboard(
    state_dir: Path, *options: str, token: str = "", environ: dict[str, str] | None = None
) -> Iterator[RunningDashboard]:
    """Start ``mia dashboard`` on a free port, and end it."""
    arguments = ["dashboard", "--state-dir", str(state_dir)]
    if "--port" not in options:
        arguments += ["--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "mia.cli", *arguments, *options],
        env={k: v for k, v in ENVIRONMENT.items() if k != "MIA_STATE_DIR"} | (environ or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = [process.stdout.readline().strip(), process.stdout.readline().strip()]
        if not said[1]:
            assert process.stderr is not None
            raise AssertionError(f"no dashboard: {said[0]} {process.stderr.read()}")
        url = said[0].rsplit(" ", 1)[1]
        yield RunningDashboard(process, url, token or said[1].rpartition("#")[2], said)
    finally:
        process.kill()
        process.communicate()


@dataclass
class ServedDashboard(RunningDashboard):
    """One that runs in a thread of the test."""

    app: Starlette


@contextmanager
def served_dashboard(state_dir: Path, **options: Any) -> Iterator[ServedDashboard]:
    """Serve the application from a thread; `options` are those of `create_app`."""
    token = new_token()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        app = create_app(state_dir, Security(token, frozenset({host})), **options)
        config = uvicorn.Config(
            app,
            log_config=None,
            server_header=False,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield ServedDashboard(None, f"http://{host}", token, [], app)  # type: ignore[arg-type]
        finally:
            server.should_exit = True
            thread.join()


class Trader:
    """A thread that shows frames at 10 Hz as a trader does, until it is told to stop."""

    def __init__(
        self,
        state_dir: Path,
        make: Callable[[int], Frame] = frame,
        hz: float = 10.0,
    ) -> None:
        self.shown = ShownFrames(state_dir)
        self.newest = self.shown.show(make(1))
        self._make = make
        self._period = 1.0 / hz
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        seq = 1
        while not self._stop.wait(self._period):
            seq += 1
            self.newest = self.shown.show(self._make(seq))

    def die(self) -> float:
        """Stop showing; return the monotonic time of it."""
        self._stop.set()
        self._thread.join()
        return time.monotonic()

    def __enter__(self) -> "Trader":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.die()
        self.shown.__exit__(None, None, None)


@contextmanager
def feeder(state: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process that shows frames as a trader does."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("frame_feeder.py")), str(state), *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def obedient_trader(state: Path, mode: str = "paper") -> Iterator[subprocess.Popen[str]]:
    """Start `obedient_trader.py`, and kill it in the end."""
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("obedient_trader.py")), str(state), mode],
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.send_signal(signal.SIGCONT)
            child.kill()


def taken(state: Path) -> list[dict[str, Any]]:
    """Return what the trader's journal says of the commands that it took.

    A signal that comes after its file was taken counts as a halt of its own; it is left out.
    """
    with JournalReader(state / state_files.JOURNAL) as reader:
        events = [event.payload for event in reader.events() if event.kind == COMMAND_TAKEN]
    return [event for event in events if event["identity"] != "signal"]


@contextmanager
def browser_page(
    width: int = 1600, height: int = 1000, scheme: str = "dark", **options: Any
) -> Iterator[Any]:
    """Open a page of a headless Chromium; ``page.faults`` gathers errors and foreign requests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            is_mobile=width < 600,
            has_touch=width < 600,
            **options,
        )
        page = context.new_page()
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(f"error: {error}"))
        page.on(
            "console",
            lambda said: (
                page.faults.append(f"console: {said.text}")
                if said.type in ("error", "warning")
                else None
            ),
        )
        page.on(
            "request",
            lambda asked: (
                None
                if asked.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))
                else page.faults.append(f"request: {asked.url}")
            ),
        )
        try:
            yield page
        finally:
            context.close()
            browser.close()


def open_page(page: Any, dashboard: RunningDashboard, path: str = "/") -> None:
    """Log in and go to a page, and wait until it has painted a frame or said that there is none."""
    page.goto(dashboard.login_url)
    page.wait_for_url(f"{dashboard.url}/")
    if path != "/":
        page.goto(dashboard.url + path)
    until(page, "window.__mia && window.__mia.messages > 1")


def until(page: Any, expression: str, timeout_s: float = 30.0) -> Any:
    """Wait for a JavaScript expression to be true; return it.

    Playwright's own wait evaluates text inside the page, which the page's policy forbids.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value = page.evaluate(expression)
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {timeout_s:g} s: {expression}")
        page.wait_for_timeout(20)

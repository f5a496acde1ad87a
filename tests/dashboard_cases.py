"""A dashboard in a process of its own, a trader's frames at 10 Hz, and a browser that looks."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from frame_cases import ShownFrames, frame

from mia.core.frame import Frame

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

    def client(self, **options: Any) -> httpx.Client:
        """Return a client that is logged in and asks as the dashboard's own page."""
        client = httpx.Client(
            base_url=self.url, headers={"origin": self.url}, timeout=30.0, **options
        )
        assert client.post("/login", json={"token": self.token}).status_code == 200
        return client

    def cookie(self) -> str:
        """Return a Cookie header that is logged in."""
        with self.client() as client:
            return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


@contextmanager
def running_dashboard(
    state_dir: Path, *options: str, token: str = ""
) -> Iterator[RunningDashboard]:
    """Start ``mia dashboard`` on a free port, and end it."""
    arguments = ["dashboard", "--state-dir", str(state_dir)]
    if "--port" not in options:
        arguments += ["--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mia.cli", *arguments, *options],
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

"""The dashboard as people have it: its process, and a headless Chromium that shows its pages."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium")
try:
    from playwright.sync_api import Page, sync_playwright
except ImportError:  # the package is a tool of development
    sync_playwright = None

needs_browser = pytest.mark.skipif(
    CHROMIUM is None or sync_playwright is None,
    reason="needs chromium on PATH and the Python package playwright",
)

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--js-flags=--expose-gc",
)
WIDE, PHONE = (1440, 900), (390, 844)
_STARTS_S = 60.0


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(ask: Callable[[], Any], within: float, what: str) -> float:
    """Ask until the answer is true; return the seconds that it took."""
    began = time.monotonic()
    while not ask():
        assert time.monotonic() - began < within, f"not within {within} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - began


class Dashboard:
    """``mia dashboard`` in a process of its own, on a port that stays the same.

    Parameters
    ----------
    state_dir : Path
    arguments : str
        More of the command line.
    token_file : Path or None
        Without one each start makes a new token.

    Attributes
    ----------
    login : str
        Address that logs a browser in.
    origin : str
    """

    def __init__(self, state_dir: Path, *arguments: str, token_file: Path | None = None) -> None:
        self.port = free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self.login = ""
        self._token_file = token_file
        self._command = [
            *(sys.executable, "-m", "mia.cli", "dashboard"),
            *("--state-dir", str(state_dir), "--port", str(self.port), *arguments),
        ]
        if token_file is not None:
            self._command += ["--set", f'dashboard.token_file="{token_file}"']
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and wait until it says how to log in."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = ""
        for line in self.process.stdout:
            said += line
            if found := re.search(r"log in:? ?(?:at )?(http\S+)", line):
                self.login = found[1]
                break
        assert self.login, said
        if self._token_file is not None:
            self.login += "#" + self._token_file.read_text(encoding="utf-8").strip()
        until(self._accepts, _STARTS_S, "the dashboard listens")

    def _accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()
        except OSError:
            return False
        return True

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(20)
        if self.process is not None:
            self.process.stdout.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop(signal.SIGKILL)


class Shown:
    """A page of the dashboard in a tab, with all that went wrong in it.

    Attributes
    ----------
    page : playwright Page
    errors : list of str
        Uncaught exceptions and errors of the console.
    requests : list of str
        Addresses that were asked for, sockets included.
    """

    def __init__(self, page: "Page", dashboard: Dashboard) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._dashboard = dashboard
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._on_console)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda socket: self.requests.append(socket.url))

    def _on_console(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    @property
    def foreign(self) -> list[str]:
        """Requests to anything but this dashboard."""
        own = urlsplit(self._dashboard.origin).netloc
        return [
            url
            for url in self.requests
            if urlsplit(url).netloc != own and not url.startswith(("data:", "blob:"))
        ]

    def log_in(self) -> None:
        """Log in by the address that the dashboard printed."""
        self.page.goto(self._dashboard.login)
        self.page.wait_for_url(f"{self._dashboard.origin}/")

    def open(self, path: str) -> None:
        """Go to a page, and wait until its script has the newest look at the trader."""
        self.page.goto(self._dashboard.origin + path)
        self.page.wait_for_function("window.__mia && window.__mia.messages > 0")

    def evaluate(self, expression: str, argument: Any = None) -> Any:
        """Return the value of a JavaScript expression."""
        return self.page.evaluate(expression, argument)

    def text(self, selector: str) -> str:
        """Return the text of an element."""
        return self.page.locator(selector).inner_text()

    def until(self, expression: str, within: float) -> float:
        """Wait until an expression is true; return the seconds that it took."""
        began = time.monotonic()
        self.page.wait_for_function(expression, timeout=1000 * within, polling=20)
        return time.monotonic() - began


class Chromium:
    """A headless Chromium with an empty profile."""

    def __enter__(self) -> Self:
        self._home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(FLAGS), env={**os.environ, "HOME": self._home.name}
        )
        return self

    def __exit__(self, *error: object) -> None:
        self._browser.close()
        self._playwright.stop()
        self._home.cleanup()

    @contextmanager
    def tab(
        self, dashboard: Dashboard, size: tuple[int, int] = WIDE, scheme: str = "dark"
    ) -> Iterator[Shown]:
        """Give a tab that is logged in, with cookies of its own."""
        width, height = size
        context = self._browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            is_mobile=width < 600,
            has_touch=width < 600,
            reduced_motion="reduce",
        )
        context.set_default_timeout(30_000)
        try:
            shown = Shown(context.new_page(), dashboard)
            shown.log_in()
            yield shown
        finally:
            context.close()

"""One Chromium for many tabs of a dashboard, and all that goes wrong in each of them."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import urlsplit

from dashboard_cases import CHROMIUM, RunningDashboard

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


def eventually(ask: Callable[[], Any], within: float, what: str) -> float:
    """Ask until the answer is true; return the seconds that it took."""
    began = time.monotonic()
    while not ask():
        assert time.monotonic() - began < within, f"not within {within} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - began


class Tab:
    """A tab that is logged in to a dashboard.

    Attributes
    ----------
    page : playwright Page
    errors : list of str
        Uncaught exceptions and errors of the console.
    requests : list of str
        Addresses that were asked for, sockets included.
    """

    def __init__(self, page: Any, dashboard: RunningDashboard) -> None:
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
        return [
            url
            for url in self.requests
            if urlsplit(url).netloc != self._dashboard.host
            and not url.startswith(("data:", "blob:", "about:"))
        ]

    def log_in(self) -> None:
        """Log in by the address that the dashboard printed."""
        self.page.goto(self._dashboard.login_url)
        self.page.wait_for_url(f"{self._dashboard.url}/")

    def open(self, path: str) -> None:
        """Go to a page; wait until it was told of the trader and has what it shows."""
        self.page.goto(self._dashboard.url + path)
        self.until("window.__mia && window.__mia.messages > 0")
        if urlsplit(path).path != "/":
            self.until("window.__mia.view && window.__mia.view.loads > 0")

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        return self.page.evaluate(expression)

    def until(self, expression: str, within: float = 30.0) -> float:
        """Wait until an expression is true; return the seconds that it took."""
        return eventually(lambda: self.page.evaluate(expression), within, expression)

    def tile(self, name: str) -> str:
        """Return what a tile says."""
        return str(self.page.locator(f'[data-tile="{name}"]').inner_text())


class Chromium:
    """A headless Chromium with an empty profile."""

    def __enter__(self) -> Self:
        from playwright.sync_api import sync_playwright

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
        self,
        dashboard: RunningDashboard,
        size: tuple[int, int] = WIDE,
        scheme: str = "dark",
    ) -> Iterator[Tab]:
        """Give a tab with cookies of its own."""
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
            shown = Tab(context.new_page(), dashboard)
            shown.log_in()
            yield shown
        finally:
            context.close()

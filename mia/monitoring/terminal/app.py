"""The screen itself: panels that are drawn anew only when they say something new."""

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Container, VerticalScroll
from textual.widgets import Static

from mia.monitoring.terminal.look import Looker
from mia.monitoring.terminal.panels import DIM, FRAME_PANELS, LOOK_PANELS

WIDE_FROM, VAST_FROM = 130, 170
"""Columns from which there is room for book and levels, and for all gates as well."""

TALL_FROM, AIRY_FROM = 40, 46
"""Rows that a wide screen needs for all its panels, and for space between them."""

_LEFT = ("position", "day", "links", "battle", "signal", "features")
_RIGHT = ("orders", "stages", "book", "levels")
_FAR = ("gates",)


class Monitor(App[None]):
    """Follows one trader; shows, and can do nothing else.

    Parameters
    ----------
    state_dir : Path
        Need not exist yet.
    hz : float
        Looks a second.

    Attributes
    ----------
    drawn : dict of int
        How often each panel was drawn.
    """

    TITLE = "MIA"
    ENABLE_COMMAND_PALETTE = False
    CSS_PATH = "monitor.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [("q", "quit", "Quit"), ("ctrl+c", "quit", "Quit")]

    def __init__(self, state_dir: Path, hz: float = 4.0) -> None:
        super().__init__()
        self._looker = Looker(state_dir)
        self._period = 1.0 / hz
        self._panels: dict[str, Static] = {}
        self._told: dict[str, Text] = {}
        self.drawn: dict[str, int] = {}

    def compose(self) -> ComposeResult:
        """Place the panels; the style sheet says which of them a screen has room for."""
        yield self._panel("header")
        yield self._panel("notice")
        with Container(id="body"):
            with VerticalScroll(id="left", can_focus=False):
                for name in _LEFT:
                    yield self._panel(name)
            with VerticalScroll(id="right", can_focus=False):
                for name in _RIGHT:
                    yield self._panel(name)
            with VerticalScroll(id="far", can_focus=False):
                for name in _FAR:
                    yield self._panel(name)
        yield self._panel("alerts")

    def _panel(self, name: str) -> Static:
        panel = Static(id=name, markup=False)
        self._panels[name] = panel
        return panel

    def on_mount(self) -> None:
        """Look now, and then again and again."""
        self.show()
        self.set_interval(self._period, self.show)

    def on_unmount(self) -> None:
        """Let go of the trader's memory."""
        self._looker.close()

    def on_resize(self) -> None:
        """Take the room that there is now."""
        self.show()

    @property
    def is_wide(self) -> bool:
        """Whether there is room for more than what fits into 80 columns and 24 rows."""
        return self.size.width >= WIDE_FROM and self.size.height >= TALL_FROM

    def show(self) -> None:
        """Look at the trader, and draw what has changed."""
        look, wide = self._looker.look(), self.is_wide
        for name, fits in (
            ("-narrow", not wide),
            ("-wide", wide),
            ("-vast", wide and self.size.width >= VAST_FROM),
            ("-airy", wide and self.size.height >= AIRY_FROM),
        ):
            self.screen.set_class(fits, name)
        for name, tell in LOOK_PANELS.items():
            self._draw(name, tell(look, wide))
        for name, tell_frame in FRAME_PANELS.items():
            text = Text() if look.frame is None else tell_frame(look.frame, wide)
            # What is no picture of now must not look like one.
            self._draw(name, text if look.is_live else Text(text.plain, DIM))

    def _draw(self, name: str, text: Text) -> None:
        if self._told.get(name) == text:
            return
        self._told[name] = text
        self.drawn[name] = self.drawn.get(name, 0) + 1
        self._panels[name].update(text)

"""The pages: one route and one script each; what is common to them is the frame around."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from string import Template

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from mia.monitoring.dashboard.assets import Assets


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes
    ----------
    path : str
        Its address.
    title : str
        In the navigation and the window's title.
    script : str
        Its ES module under ``static/``. A style sheet of the same name is loaded if there is one.
    """

    path: str
    title: str
    script: str


PAGES: tuple[Page, ...] = (
    Page("/", "Overview", "pages/overview.js"),
    Page("/performance", "Performance", "pages/performance.js"),
    Page("/options", "Options", "pages/options.js"),
    Page("/limits", "Risk limits", "pages/limits.js"),
    Page("/health", "Health", "pages/health.js"),
    Page("/model", "Model", "pages/model.js"),
    Page("/backtests", "Backtests", "pages/backtests.js"),
)
"""In the order of the navigation; to add a page, add a line here and its module."""


def page_routes(assets: Assets, pages: Sequence[Page] = PAGES) -> list[BaseRoute]:
    """Return a route for each page; pages are put together once, here."""
    return [
        Route(page.path, _fixed(_document(assets, page, pages)), methods=["GET"]) for page in pages
    ]


def login_document(assets: Assets) -> str:
    """Return the page that asks for the token."""
    return _template("login.html").substitute(_common(assets))


def _document(assets: Assets, page: Page, pages: Sequence[Page]) -> str:
    links = "".join(_link(other, other is page) for other in pages)
    style = page.script.removesuffix(".js") + ".css"
    sheet = f'<link rel="stylesheet" href="{assets.url(style)}">' if style in assets.files else ""
    return _template("base.html").substitute(
        _common(assets),
        title=escape(page.title),
        links=links,
        page_style=sheet,
        page_script=assets.url(page.script),
        name=escape(page.script.rsplit("/", 1)[-1].removesuffix(".js")),
    )


def _link(page: Page, is_current: bool) -> str:
    current = ' aria-current="page"' if is_current else ""
    return f'<a href="{escape(page.path)}"{current}>{escape(page.title)}</a>'


def _common(assets: Assets) -> dict[str, str]:
    return {
        "style": assets.url("app.css"),
        "theme": assets.url("theme.js"),
        "shell": assets.url("shell.js"),
        "login_script": assets.url("login.js"),
        "icon": assets.url("icon.svg"),
        "licence": assets.url("vendor/LICENSE"),
        "notice": assets.url("vendor/NOTICE"),
    }


def _template(name: str) -> Template:
    text = (resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")
    return Template(text)


def _fixed(document: str) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        return HTMLResponse(document)

    return respond

"""The application: gate, pages, files, frames, JSON, orders."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from mia.monitoring.dashboard.actions import action_routes
from mia.monitoring.dashboard.answers import answer
from mia.monitoring.dashboard.api import api_routes
from mia.monitoring.dashboard.assets import Assets, load_assets
from mia.monitoring.dashboard.hub import SEND_TIMEOUT_S, Hub
from mia.monitoring.dashboard.pages import login_document, page_routes
from mia.monitoring.dashboard.security import LOGIN, Security, SecurityGate
from mia.monitoring.dashboard.views.routes import Sources, view_routes

_LOGIN_BODY = 4096


def create_app(
    state_dir: Path,
    security: Security,
    *,
    hz: float = 10.0,
    send_timeout_s: float = SEND_TIMEOUT_S,
    results: Path = Path("results"),
    chain: Path | None = None,
) -> Starlette:
    """Return the dashboard of one state directory.

    Parameters
    ----------
    state_dir : Path
        The trader's; it need not exist.
    security : Security
    hz : float
        Frames a second that a browser gets at most.
    send_timeout_s : float
        How long a browser may take nothing before it is disconnected.
    results : Path
        Folder of stored runs; it need not exist.
    chain : Path, optional
        An option chain, or an archive of them, to show beside the trader's own.

    Raises
    ------
    DataError
        If a vendored file is not what it was.
    """
    assets = load_assets()
    hub = Hub(state_dir, hz, send_timeout_s)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(hub.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    routes: list[BaseRoute] = [
        *page_routes(assets),
        *_login_routes(security, login_document(assets)),
        Route("/static/{version}/{path:path}", _static(assets), methods=["GET"]),
        WebSocketRoute("/ws", hub.serve),
        *api_routes(state_dir),
        *action_routes(state_dir, lambda: hub.sight),
        *view_routes(Sources(state_dir, results, chain, lambda: hub.sight)),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(SecurityGate, security)],
        exception_handlers={HTTPException: _say},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.hub = hub
    return app


def _static(assets: Assets) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        found = assets.get(request.path_params["version"], request.path_params["path"])
        if found is None:
            raise HTTPException(404, "there is no such file")
        return Response(found[0], media_type=found[1])

    return serve


def _login_routes(security: Security, document: str) -> list[BaseRoute]:
    async def show(request: Request) -> Response:
        return HTMLResponse(document)

    async def log_in(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _LOGIN_BODY:
                raise HTTPException(413, "a token is short")
        try:
            token = msgspec.json.decode(body, type=dict[str, str]).get("token", "")
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise HTTPException(400, "a login is JSON") from None
        if not security.is_token(token):
            raise HTTPException(401, "that is not the token of this dashboard")
        response = answer({"ok": True})
        response.headers["set-cookie"] = security.set_cookie()
        return response

    return [
        Route(LOGIN, show, methods=["GET"]),
        Route(LOGIN, log_in, methods=["POST"]),
    ]


async def _say(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return answer({"error": error.detail}, error.status_code)

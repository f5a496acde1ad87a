"""Routes of the pages beside the main screen: JSON to read, and the reports of stored runs."""

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from mia.errors import DataError
from mia.monitoring.dashboard.answers import answer
from mia.monitoring.dashboard.sight import Life, Sight
from mia.monitoring.dashboard.views.breakdown import breakdown, drawdown
from mia.monitoring.dashboard.views.closed_trades import ClosedTrades
from mia.monitoring.dashboard.views.model_registry import models
from mia.monitoring.dashboard.views.positioning import Positionings
from mia.monitoring.dashboard.views.risk_limits import risk_limits
from mia.monitoring.dashboard.views.stored_runs import StoredRuns
from mia.monitoring.health_checker import check_health

MOST_TRADES = 2000
"""Newest trades that are listed; figures are of all."""

MOST_POINTS = 4000
"""Of a curve; longer ones are thinned out and keep their highs and lows."""

REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:; font-src data:; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""A report brings its own script. The sandbox gives it an origin of its own: it can ask neither
this server nor any other for anything."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the pages read from.

    Attributes
    ----------
    state_dir : Path
        Of the trader.
    results : Path
        Folder of stored runs.
    chain : Path or None
        An option chain or an archive of them.
    sight : callable
        The newest look at the trader.
    """

    state_dir: Path
    results: Path
    chain: Path | None
    sight: Callable[[], Sight]


def view_routes(sources: Sources) -> list[BaseRoute]:
    """Return the routes."""
    account = ClosedTrades(sources.state_dir)
    runs = StoredRuns(sources.results)
    options = Positionings(sources.state_dir, sources.chain)
    # Handlers run in threads; what follows a growing file is for one at a time.
    one_at_a_time = threading.Lock()

    def frame() -> dict[str, Any] | None:
        """Return the frame of a trader that lives."""
        sight = sources.sight()
        if sight.life is not Life.RUNNING or not sight.payload:
            return None
        decoded: dict[str, Any] = msgspec.json.decode(sight.payload)
        return decoded

    def performance(request: Request) -> Response:
        """Trades and equity of the account, or of a stored run."""
        run = request.query_params.get("run", "")
        listed = [{"id": e["id"], "name": e["name"]} for e in runs.listed() if not e["fault"]]
        if run:
            try:
                trades, equity = runs.trades(run)
            except DataError as error:
                raise HTTPException(404, str(error)) from None
            facts = {"closed": len(trades), "fault": ""}
        else:
            with one_at_a_time:
                found = account.read()
                trades, equity = list(found.trades), list(found.equity)
                facts = {"closed": found.closed, "fault": found.fault}
        falls = drawdown(equity)
        return answer(
            {
                "run": run,
                "runs": listed,
                **facts,
                "known": len(trades),
                "figures": breakdown(trades),
                "equity": _thinned(equity),
                "falls": _thinned(falls["falls"]),
                "deepest": falls["deepest"],
                "deepest_share": falls["share"],
                "trades": trades[-MOST_TRADES:],
            }
        )

    def limits(request: Request) -> Response:
        with one_at_a_time:
            day = dict(account.read().day)
        return answer(risk_limits(sources.state_dir, frame(), day))

    def positioning(request: Request) -> Response:
        with one_at_a_time:
            return answer(options.read(time.time_ns()))

    def model(request: Request) -> Response:
        now = frame()
        shown = None if now is None else now["model"]
        with one_at_a_time:
            closed = account.read().closed
        return answer(models(sources.state_dir) | {"frame": shown, "closed": closed})

    def stored(request: Request) -> Response:
        return answer({"folder": sources.results.name, "runs": runs.listed()})

    def health(request: Request) -> Response:
        checks = check_health(sources.state_dir)
        plain = [asdict(check) | {"mark": check.mark.name} for check in checks]
        return answer({"mark": max(check.mark for check in checks).name, "checks": plain})

    def report(request: Request) -> Response:
        try:
            page = runs.report(request.path_params["run"])
        except (DataError, OSError) as error:
            raise HTTPException(404, str(error)) from None
        return HTMLResponse(page, headers={"content-security-policy": REPORT_POLICY})

    handlers: dict[str, Callable[[Request], Response]] = {
        "/api/performance": performance,
        "/api/limits": limits,
        "/api/positioning": positioning,
        "/api/model": model,
        "/api/runs": stored,
        "/api/health": health,
        "/report/{run:str}": report,
    }
    return [Route(path, handler, methods=["GET"]) for path, handler in handlers.items()]


def _thinned(points: list[list[float]]) -> list[list[float]]:
    """Keep of each stretch its first, lowest and highest point, and of all the last."""
    if len(points) <= MOST_POINTS:
        return points
    step = -(-len(points) // (MOST_POINTS // 3))
    kept: set[int] = {len(points) - 1}
    for first in range(0, len(points), step):
        stretch = range(first, min(first + step, len(points)))
        kept.add(first)
        kept.add(min(stretch, key=lambda k: points[k][1]))
        kept.add(max(stretch, key=lambda k: points[k][1]))
    return [points[k] for k in sorted(kept)]

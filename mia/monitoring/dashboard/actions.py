"""What a person may order from the page: halt, flatten, and in paper mode resume.

Each order is a run of the kill command in a process of its own, so it takes the same way as one
from a terminal: through the trader if it lives, at the broker if it does not. Every order, and
every attempt that was refused, is appended to a file of the state directory; the trader's
journal names who gave the order as well.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mia.monitoring.dashboard.answers import answer
from mia.monitoring.dashboard.sight import Life, Sight

ORDERS = "web_orders.ndjson"
"""Of the state directory: who ordered what from the page, and what came of it."""

CONFIRMATIONS = {"halt": "HALT", "flatten": "FLATTEN", "resume": "RESUME"}
"""What has to be typed."""

_COMMANDS = {"halt": "halt", "flatten": "flatten", "resume": "reset"}
_BODY = 1024
_PATIENCE_S = 10.0
_AT_MOST_S = 60.0
"""The rescue at the broker takes a few times its patience."""

_RESUMES_IN = frozenset({"paper", "data_collection"})


class _RefusedError(Exception):
    """An order that is not carried out, with its HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def action_routes(state_dir: Path, sight: Callable[[], Sight]) -> list[BaseRoute]:
    """Return the routes of the orders.

    Parameters
    ----------
    state_dir : Path
    sight : callable
        Returns the newest look at the trader.
    """

    def handler(name: str) -> Callable[[Request], Awaitable[Response]]:
        # Of each order one at a time; a flatten never waits for a halt.
        at_work = asyncio.Lock()

        async def act(request: Request) -> Response:
            who = request.client.host if request.client is not None else "unknown"
            try:
                force = await _require_confirmation(request, name)
                if name == "resume":
                    _require_paper(sight())
                if at_work.locked():
                    raise _RefusedError(409, f"a {name} is being carried out already")
                async with at_work:
                    await asyncio.to_thread(_note, state_dir, name, who, "asked", "")
                    code, said = await _run_kill(state_dir, _COMMANDS[name], who, force=force)
            except _RefusedError as error:
                await asyncio.to_thread(_note, state_dir, name, who, "refused", str(error))
                raise HTTPException(error.status, str(error)) from None
            outcome = "done" if code == 0 else f"failed with code {code}"
            await asyncio.to_thread(_note, state_dir, name, who, outcome, said)
            return answer(
                {"action": name, "code": code, "done": code == 0, "said": said.splitlines()},
                200 if code == 0 else 502,
            )

        return act

    return [
        Route(f"/api/actions/{name}", handler(name), methods=["POST"]) for name in CONFIRMATIONS
    ]


async def _require_confirmation(request: Request, name: str) -> bool:
    """Return whether a trader that does not answer is to be ended."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise _RefusedError(415, "an order is JSON")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _BODY:
            raise _RefusedError(413, "an order is short")
    try:
        given: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _RefusedError(400, "an order is JSON") from None
    if not isinstance(given, dict) or given.get("confirm") != CONFIRMATIONS[name]:
        raise _RefusedError(400, f"type {CONFIRMATIONS[name]} to confirm")
    return given.get("force") is True and name != "resume"


def _require_paper(sight: Sight) -> None:
    """Let trading go on only where a running trader says that no real money is at stake."""
    mode = ""
    if sight.life is Life.RUNNING and sight.payload:
        mode = str(msgspec.json.decode(sight.payload).get("mode", ""))
    if mode not in _RESUMES_IN:
        raise _RefusedError(
            403,
            "trading with real money is resumed with `mia kill reset` only, on the machine"
            if mode
            else "resume needs a running trader: use `mia kill reset`",
        )


async def _run_kill(state_dir: Path, command: str, who: str, *, force: bool) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mia.kill",
        command,
        "--state",
        str(state_dir),
        "--timeout",
        str(_PATIENCE_S),
        "--by",
        f"dashboard {who}",
        *(["--force"] if force else []),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), _AT_MOST_S)
    except TimeoutError:
        # It goes on: a command that is at work at the broker must not be cut off.
        return 1, f"the kill command is still at work after {_AT_MOST_S:g} s: see the account"
    return process.returncode or 0, said.decode(errors="replace").strip()


def _note(state_dir: Path, action: str, who: str, outcome: str, said: str) -> None:
    row = {"ts": time.time_ns(), "action": action, "by": who, "outcome": outcome, "said": said}
    line = json.dumps(row, separators=(",", ":")).encode() + b"\n"
    try:
        handle = os.open(state_dir / ORDERS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)
    except OSError:
        # A stop is carried out on a full disk as well.
        return

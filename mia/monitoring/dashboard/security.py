"""Who may ask the dashboard for anything: host, origin, token, in this order.

Only the login page and the static files, which hold nothing of the trader's, are there for
whoever has no token. The Host allow-list keeps out names that an attacker points at this machine
(DNS rebinding), the origin keeps out the scripts of other pages, and the cookie is none that a
script could read.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MINIMUM_TOKEN = 32
"""Characters; with fewer, a token could be guessed."""

LOGIN = "/login"
STATIC = "/static/"
_SAFE = frozenset({"GET", "HEAD"})
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Security:
    """What a request has to show.

    Attributes
    ----------
    token : str
        The secret; at least `MINIMUM_TOKEN` characters.
    hosts : frozenset of str
        Values of the Host header that are served, lower case, with port where one is needed.
    tls : bool
        The server speaks TLS: cookies are Secure then, and origins https.
    """

    token: str = field(repr=False)
    hosts: frozenset[str]
    tls: bool = False

    @property
    def cookie(self) -> str:
        """Name of the cookie: with TLS one that no other host can set."""
        return "__Host-mia" if self.tls else "mia"

    @property
    def session(self) -> str:
        """What the cookie holds: proof of the token, not the token."""
        return hmac.new(self.token.encode(), b"mia dashboard session", hashlib.sha256).hexdigest()

    def knows_host(self, host: str) -> bool:
        """Tell whether requests to this host are served."""
        return host.lower() in self.hosts

    def is_own_origin(self, origin: str) -> bool:
        """Tell whether a page of this server asks."""
        scheme = "https://" if self.tls else "http://"
        return origin.startswith(scheme) and self.knows_host(origin.removeprefix(scheme))

    def is_token(self, given: str) -> bool:
        """Compare a token, in constant time."""
        return hmac.compare_digest(given.encode(), self.token.encode())

    def is_logged_in(self, cookie_header: str) -> bool:
        """Tell whether a Cookie header holds proof of the token, compared in constant time."""
        try:
            found = SimpleCookie(cookie_header).get(self.cookie)
        except CookieError:
            return False
        return found is not None and hmac.compare_digest(
            found.value.encode(), self.session.encode()
        )

    def set_cookie(self) -> str:
        """Return the Set-Cookie header of a login."""
        secure = "; Secure" if self.tls else ""
        return f"{self.cookie}={self.session}; Path=/; HttpOnly; SameSite=Strict{secure}"


def new_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(32)


class SecurityGate:
    """Stands before the whole application, HTTP and WebSocket alike.

    400 for a foreign host, 403 for a foreign origin, 401 without the token. What passes gets
    headers that keep pages from loading anything from elsewhere.
    """

    def __init__(self, app: ASGIApp, security: Security) -> None:
        self._app = app
        self._security = security

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, or refuse."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _refuse(scope, send, *refusal)
            return
        await self._app(scope, receive, _guarded(scope, send))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        security, headers = self._security, Headers(scope=scope)
        if len(headers.getlist("host")) != 1 or not security.knows_host(headers["host"]):
            return 400, "this name of the host is not served"
        origins = headers.getlist("origin")
        is_socket = scope["type"] == "websocket"
        needs_origin = is_socket or scope["method"] not in _SAFE
        if (needs_origin and len(origins) != 1) or not all(map(security.is_own_origin, origins)):
            return 403, "another page asks"
        if not is_socket and (scope["path"] == LOGIN or scope["path"].startswith(STATIC)):
            return None
        if not security.is_logged_in("; ".join(headers.getlist("cookie"))):
            return 401, "log in with the token that the dashboard printed when it started"
        return None


def _guarded(scope: Scope, send: Send) -> Send:
    forever = scope["path"].startswith(STATIC)

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            found = {name for name, _ in message["headers"]}
            added = dict(_HEADERS)
            added["cache-control"] = (
                _FOREVER if forever and message["status"] == 200 else "no-store"
            )
            message["headers"] = [
                *message["headers"],
                *(p for p in _encoded(added) if p[0] not in found),
            ]
        await send(message)

    return guarded


async def _refuse(scope: Scope, send: Send, status: int, text: str) -> None:
    prefix = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    kind = "application/json"
    body = json.dumps({"error": text}).encode()
    if status == 401 and b"text/html" in Headers(scope=scope).get("accept", "").encode():
        # A person gets somewhere to go; the page holds nothing of the trader's.
        kind = "text/html; charset=utf-8"
        body = (
            b'<!doctype html><html lang="en"><title>MIA</title><meta http-equiv="refresh" '
            b'content="0; url=/login"><p><a href="/login">Log in</a></p></html>'
        )
    headers = {**_HEADERS, "cache-control": "no-store", "content-type": kind}
    headers["content-length"] = str(len(body))
    await send({"type": f"{prefix}.start", "status": status, "headers": _encoded(headers)})
    await send({"type": f"{prefix}.body", "body": body})


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]

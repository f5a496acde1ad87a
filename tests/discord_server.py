"""A webhook server that behaves as Discord says it does, over real TCP.

It refuses what its documentation refuses: more requests in a window than a bucket holds, wrong
sizes, unknown webhooks. Whatever breaks one of its rules is noted in `broken`.
"""

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "canary-Tok_en-4711"


class DiscordServer:
    """Runs until the block is left.

    Parameters
    ----------
    limit, window : int, float
        Requests in so many seconds.
    headers : bool
        Whether answers say how much of that is left.
    used : int
        Requests of the first window that somebody else has used up.
    status : int
        Answer to every message instead, 0 for none.
    hang : float
        Seconds before each answer.
    """

    def __init__(
        self,
        limit: int = 5,
        window: float = 2.0,
        *,
        headers: bool = True,
        used: int = 0,
        status: int = 0,
        hang: float = 0.0,
    ) -> None:
        self.limit, self.window, self.headers = limit, window, headers
        self.status, self.hang = status, hang
        self.messages: list[dict[str, Any]] = []
        self.answers: list[int] = []
        self.broken: list[str] = []
        self._lock = threading.Lock()
        self._begun, self._used = time.monotonic(), used
        self._blocked_until = 0.0
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                owner.handle(self)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/webhooks/4242/{TOKEN}"

    @property
    def embeds(self) -> list[dict[str, Any]]:
        """Every embed that was taken, in order."""
        return [embed for message in list(self.messages) for embed in message["embeds"]]

    def texts(self) -> list[str]:
        return [embed["description"] for embed in self.embeds]

    def __enter__(self) -> "DiscordServer":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        if self.hang:
            time.sleep(self.hang)
        parts = urlsplit(handler.path)
        with self._lock:
            status, headers, answer = self._judge(parts.path, parse_qs(parts.query), body)
            self.answers.append(status)
        payload = json.dumps(answer).encode()
        try:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(payload)))
            handler.end_headers()
            handler.wfile.write(payload)
        except OSError:
            pass

    def _judge(
        self, path: str, query: dict[str, list[str]], body: bytes
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        if 404 in self.answers:
            self.broken.append("the webhook was used after a 404")
        if path != f"/api/v10/webhooks/4242/{TOKEN}":
            return 404, {}, {"message": "Unknown Webhook", "code": 10015}
        if query.get("wait") != ["true"]:
            self.broken.append("nobody waits for the answer")
        now = time.monotonic()
        if now < self._blocked_until:
            self.broken.append("sent before retry_after was over")
        if now - self._begun >= self.window:
            self._begun, self._used = now, 0
        left = self._begun + self.window - now
        if self._used >= self.limit:
            self._blocked_until = now + left
            return (
                429,
                {"Retry-After": f"{left:.3f}", "X-RateLimit-Scope": "user"},
                {"message": "You are being rate limited.", "retry_after": left, "global": False},
            )
        self._used += 1
        headers = {}
        if self.headers:
            headers = {
                "X-RateLimit-Limit": str(self.limit),
                "X-RateLimit-Remaining": str(self.limit - self._used),
                "X-RateLimit-Reset-After": f"{left:.3f}",
                "X-RateLimit-Bucket": "abcd1234",
            }
        if self.status:
            return self.status, headers, {"message": "no"}
        message = json.loads(body)
        fault = _fault(message)
        if fault:
            self.broken.append(fault)
            return 400, headers, {"message": fault}
        self.messages.append(message)
        return 200, headers, {"id": str(len(self.messages))}


def _size(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _fault(message: dict[str, Any]) -> str:
    embeds = message.get("embeds", [])
    total = 0
    for embed in embeds:
        title, text = embed.get("title", ""), embed.get("description", "")
        footer = embed.get("footer", {}).get("text", "")
        if _size(title) > 256 or _size(text) > 4096 or _size(footer) > 2048 or not text:
            return "an embed is too long, or empty"
        total += _size(title) + _size(text) + _size(footer)
    if _size(message.get("content", "")) > 2000:
        return "the content is too long"
    if len(embeds) > 10 or total > 6000:
        return "too many embeds"
    if message.get("allowed_mentions") != {"parse": []}:
        return "somebody could be mentioned"
    return ""


class SilentServer:
    """Takes connections and never says a word."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/api/webhooks/4242/{TOKEN}"

    def __enter__(self) -> "SilentServer":
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

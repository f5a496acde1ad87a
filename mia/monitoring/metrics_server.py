"""The door at which Prometheus asks."""

import ipaddress
import socketserver
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import make_wsgi_app
from prometheus_client.registry import Collector

from mia.errors import ConfigError

_Start = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Door:
    """Where to listen, and to whom.

    Attributes
    ----------
    address : str
        Only a loopback address may do without the files below.
    port : int
        0 takes a free one.
    certificate, key : Path, optional
        Of this server, PEM.
    client_authority : Path, optional
        Certificate of who signs those of the scrapers; nobody else is answered.
    """

    address: str = "127.0.0.1"
    port: int = 9464
    certificate: Path | None = None
    key: Path | None = None
    client_authority: Path | None = None


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a scrape every few seconds is no news."""


def metrics_server(door: Door, *collectors: Collector) -> WSGIServer:
    """Return a server that listens; ``serve_forever`` runs it.

    Raises
    ------
    ConfigError
        If the address is open to others and not all three files are given, if a file cannot be
        used, or if the address is taken.
    """
    files = (door.certificate, door.key, door.client_authority)
    loopback = _is_loopback(door.address)
    if not loopback and None in files:
        raise ConfigError(
            f"metrics on {door.address} would show an account to the network: give --certificate, "
            "--key and --client-ca, or listen on 127.0.0.1"
        )
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    answer = _only_for(make_wsgi_app(registry), None if not loopback else _hosts(door.address))
    try:
        server = make_server(door.address, door.port, answer, _Server, _Quiet)
    except OSError as error:
        raise ConfigError(
            f"metrics cannot listen on {door.address}:{door.port} ({error.strerror}): "
            "choose another --port"
        ) from None
    if door.certificate is not None and door.key is not None:
        try:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(door.certificate, door.key)
            if door.client_authority is not None:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(door.client_authority)
        except OSError as error:
            server.server_close()
            raise ConfigError(f"metrics cannot use the certificates given: {error}") from None
        server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _hosts(address: str) -> frozenset[str]:
    return frozenset({address, f"[{address}]", "localhost", "127.0.0.1", "[::1]"})


def _only_for(
    app: Callable[..., Iterable[bytes]], hosts: frozenset[str] | None
) -> Callable[..., Any]:
    """Refuse a page that a foreign name led to this machine: a browser would read along."""

    def answer(environ: dict[str, Any], start: _Start) -> Iterable[bytes]:
        name = environ.get("HTTP_HOST", "").rpartition(":")
        host = name[0] if name[0] and name[2].isdigit() else environ.get("HTTP_HOST", "")
        if hosts is not None and host.lower() not in hosts:
            start("400 Bad Request", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"unknown host\n"]
        if environ.get("PATH_INFO") not in ("/", "/metrics"):
            start("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"ask for /metrics\n"]
        return app(environ, start)

    return answer

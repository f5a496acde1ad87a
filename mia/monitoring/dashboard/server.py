"""The dashboard as a process: where it listens, what it demands for that, and uvicorn."""

import ipaddress
import os
import socket
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn

from mia.errors import ConfigError
from mia.monitoring.dashboard.app import create_app
from mia.monitoring.dashboard.security import MINIMUM_TOKEN, Security, new_token


@dataclass(frozen=True, slots=True)
class Where:
    """Where the dashboard listens, and with what.

    Attributes
    ----------
    host : str
        An address; a name stands for the first of its addresses.
    port : int
        0 takes any free one.
    certificate, key : Path or None
        PEM files; both or none.
    token_file : Path or None
        Holds the token; without it one is made at each start.
    names : sequence of str
        Names under which browsers ask for it, beside the address itself.
    """

    host: str = "127.0.0.1"
    port: int = 8700
    certificate: Path | None = None
    key: Path | None = None
    token_file: Path | None = None
    names: Sequence[str] = ()


def serve(
    state_dir: Path,
    where: Where,
    say: Callable[[str], None],
    *,
    hz: float = 10.0,
    results: Path = Path("results"),
    chain: Path | None = None,
) -> int:
    """Serve until a signal comes; return its number, 0 if there was none.

    Parameters
    ----------
    state_dir : Path
    where : Where
    say : callable
        Takes lines for the person who started it; one of them holds the token.
    hz, results, chain
        See `create_app`.

    Raises
    ------
    ConfigError
        If it would listen for others without token and TLS, or cannot listen.
    """
    made = where.token_file is None
    require_protection(where)
    token = new_token() if where.token_file is None else read_token(where.token_file)
    listener = _listen(where)
    with listener:
        security = Security(token, allowed_hosts(where, listener), where.certificate is not None)
        config = uvicorn.Config(
            create_app(state_dir, security, hz=hz, results=results, chain=chain),
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            ws_max_size=4096,
            ws_per_message_deflate=False,
            ws_ping_interval=5.0,
            ws_ping_timeout=5.0,
            timeout_graceful_shutdown=2,
            ssl_certfile=where.certificate,
            ssl_keyfile=where.key,
        )
        _load(config)
        scheme = "https" if security.tls else "http"
        shown = f"[{where.host}]" if ":" in where.host else where.host
        address = f"{scheme}://{shown}:{listener.getsockname()[1]}"
        say(f"dashboard of {state_dir} at {address}")
        say(f"log in: {address}/login#{token}" if made else f"log in at {address}/login")
        server = _Server(config)
        server.run(sockets=[listener])
        return server.told


def require_protection(where: Where) -> None:
    """Refuse to listen for other machines without token and TLS.

    Raises
    ------
    ConfigError
    """
    if (where.certificate is None) != (where.key is None):
        raise ConfigError("dashboard.certificate and dashboard.key go together: set both")
    if _is_loopback(where.host):
        return
    if where.token_file is None or where.certificate is None:
        raise ConfigError(
            f"dashboard.host {where.host} can be reached from elsewhere: that needs "
            "dashboard.token_file, dashboard.certificate and dashboard.key, or use 127.0.0.1"
        )
    if not where.names and _is_unspecified(where.host):
        raise ConfigError(
            f"dashboard.host {where.host} is every address of this machine: name in "
            "dashboard.names what browsers call it"
        )


def read_token(path: Path) -> str:
    """Return the token in a file that only its owner may read.

    Raises
    ------
    ConfigError
        If it cannot be read, is open to others, or is too short.
    """
    try:
        mode = path.stat().st_mode
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"dashboard.token_file {path} cannot be read ({error})") from None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise ConfigError(f"dashboard.token_file {path} is open to others: chmod 600 {path}")
    if len(token) < MINIMUM_TOKEN or not token.isascii() or not token.isprintable():
        raise ConfigError(
            f"dashboard.token_file {path} holds no token of at least {MINIMUM_TOKEN} characters: "
            f"openssl rand -hex 32 > {path}"
        )
    return token


def allowed_hosts(where: Where, listener: socket.socket) -> frozenset[str]:
    """Return the values of the Host header that are served."""
    port = listener.getsockname()[1]
    names = {name.lower() for name in where.names}
    if _is_loopback(where.host):
        names |= {"127.0.0.1", "localhost", "[::1]"}
    elif not _is_unspecified(where.host):
        names.add(f"[{where.host}]" if ":" in where.host else where.host.lower())
    usual = 443 if where.certificate is not None else 80
    return frozenset(f"{name}:{port}" for name in names) | (
        frozenset(names) if port == usual else frozenset()
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def _is_unspecified(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_unspecified
    return not host


def _listen(where: Where) -> socket.socket:
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((where.host, where.port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"the dashboard cannot listen on {where.host}, port {where.port} "
            f"({error.strerror or error}): choose another dashboard.port"
        ) from None
    return listener


def _load(config: uvicorn.Config) -> None:
    try:
        config.load()
    except OSError as error:
        raise ConfigError(f"the dashboard's certificate or key is unusable ({error})") from None


class _Server(uvicorn.Server):
    """Ends in order at a signal and keeps its number; uvicorn's own would raise it once more."""

    told = 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.told, self.should_exit = sig, True

"""Every route, by real requests to the real process, without what it demands."""

import itertools
import os
import re
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import time
from html.parser import HTMLParser
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest
from dashboard_cases import ENVIRONMENT, RunningDashboard, running_dashboard
from starlette.routing import Route, WebSocketRoute
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from mia.errors import ConfigError
from mia.monitoring.dashboard.actions import CONFIRMATIONS
from mia.monitoring.dashboard.app import create_app
from mia.monitoring.dashboard.assets import load_assets
from mia.monitoring.dashboard.security import Security
from mia.monitoring.dashboard.server import Where, read_token, require_protection
from mia.monitoring.dashboard.views.routes import REPORT_POLICY

TOKEN = "a-token-that-stands-only-in-this-test-0123456789"
ASSETS = load_assets()
APP = create_app(Path("nowhere"), Security(TOKEN, frozenset({"127.0.0.1:1"})))
EVERY = ("0.0.0.0", "::", "")
OPEN = {"/login", "/static/{version}/{path:path}"}
PATHS = {"/static/{version}/{path:path}": ASSETS.url("feed.js")}


def address(path: str) -> str:
    """Return an address of a route; where it names a thing, of one that does not exist."""
    return PATHS.get(path) or re.sub(r"\{.*?\}", "none", path)


def http_routes():
    """Every (path, method) that the application has."""
    return [
        (route.path, method)
        for route in APP.routes
        if isinstance(route, Route)
        for method in sorted(route.methods or ())
    ]


ROUTES = http_routes()
SOCKETS = [route.path for route in APP.routes if isinstance(route, WebSocketRoute)]


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    folder = tmp_path_factory.mktemp("state")
    (folder / "secret.txt").write_text("must never be served")
    return folder


@pytest.fixture(scope="module")
def dashboard(state):
    with running_dashboard(state) as running:
        yield running


def ask(dashboard: RunningDashboard, path: str, method: str, **headers: str) -> int:
    """Ask with exactly these headers, in a connection of its own; return the status."""
    line = HTTPConnection(dashboard.host, timeout=60)
    line.putrequest(method, address(path), skip_host="host" in headers)
    body = b"" if method in ("GET", "HEAD") else b"{}"
    common = {"content-type": "application/json", "content-length": str(len(body))}
    for name, value in (common | headers).items():
        line.putheader(name, value)
    line.endheaders(body)
    try:
        return line.getresponse().status
    finally:
        line.close()


def own(dashboard: RunningDashboard) -> dict[str, str]:
    return {"origin": dashboard.url}


def test_no_kind_of_route_is_forgotten() -> None:
    assert len(ROUTES) + len(SOCKETS) >= len(APP.routes)
    assert {route.path for route in APP.routes} == {path for path, _ in ROUTES} | set(SOCKETS)
    assert len(SOCKETS) == 1
    assert {path for path, method in ROUTES if method not in ("GET", "HEAD")} == {
        "/login",
        *(f"/api/actions/{name}" for name in CONFIRMATIONS),
    }


@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_a_route_demands_token_origin_and_host(dashboard, path, method) -> None:
    logged_in = own(dashboard) | {"cookie": dashboard.cookie}
    refused = {
        "no token": ask(dashboard, path, method, **own(dashboard)),
        "bad token": ask(dashboard, path, method, **own(dashboard), cookie="mia=" + 64 * "0"),
        "odd token": ask(dashboard, path, method, **own(dashboard), cookie="mia=\xe4"),
        "the token itself": ask(
            dashboard, path, method, **own(dashboard), cookie=f"mia={dashboard.token}"
        ),
    }
    for case, status in refused.items():
        assert status == 401 or (path in OPEN and method != "POST" and status == 200), case
    foreign = {"origin": "https://evil.example", "cookie": dashboard.cookie}
    assert ask(dashboard, path, method, **foreign) == 403
    assert ask(dashboard, path, method, **(foreign | {"origin": "null"})) == 403
    near = f"http://127.0.0.1:{int(dashboard.host.split(':')[1]) + 1}"
    assert ask(dashboard, path, method, **(foreign | {"origin": near})) == 403
    for host in ("evil.example", f"evil.example:{dashboard.host.split(':')[1]}", "127.0.0.1", ""):
        assert ask(dashboard, path, method, **logged_in, host=host) == 400, host
    if method not in ("GET", "HEAD"):
        assert ask(dashboard, path, method, cookie=dashboard.cookie) == 403
    served = ask(dashboard, path, method, **logged_in)
    # An order without its word, and a login without a token, are let in and then refused.
    wanted = 200 if method in ("GET", "HEAD") else 401 if path == "/login" else 400
    assert served == (404 if "none" in address(path) else wanted)


@pytest.mark.parametrize("path", SOCKETS)
def test_the_socket_demands_token_origin_and_host(dashboard, path) -> None:
    socket_url = f"ws://{dashboard.host}{path}"
    cookie = {"Cookie": dashboard.cookie}
    cases = [
        ({}, dashboard.url, 401),
        ({"Cookie": "mia=" + 64 * "0"}, dashboard.url, 401),
        (cookie, "http://evil.example", 403),
        (cookie, None, 403),
    ]
    for headers, origin, status in cases:
        with (
            pytest.raises(InvalidStatus) as refused,
            connect(socket_url, additional_headers=headers, origin=origin),
        ):
            pass
        assert refused.value.response.status_code == status
    port = dashboard.host.split(":")[1]
    with (
        pytest.raises(InvalidStatus) as refused,
        socket.create_connection(("127.0.0.1", int(port))) as raw,
        connect(
            f"ws://evil.example:{port}{path}",
            sock=raw,
            additional_headers=cookie,
            origin=dashboard.url,
        ),
    ):
        pass
    assert refused.value.response.status_code == 400
    with connect(socket_url, additional_headers=cookie, origin=dashboard.url) as good:
        assert '"life":"none"' in good.recv(10)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_what_reads_cannot_be_written_to(dashboard, method) -> None:
    headers = own(dashboard) | {"cookie": dashboard.cookie}
    for path in ("/", "/api/screen", "/ws", "/nothing"):
        assert ask(dashboard, path, method, **headers) in (404, 405)


def raw_get(dashboard: RunningDashboard, target: str) -> bytes:
    host, port = dashboard.host.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(
            f"GET {target} HTTP/1.1\r\nHost: {dashboard.host}\r\n"
            f"Cookie: {dashboard.cookie}\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b""
        while part := raw.recv(65536):
            answer += part
    return answer


@pytest.mark.parametrize(
    "tail",
    [
        "../security.py",
        "../../dashboard/security.py",
        "%2e%2e/security.py",
        "..%2fsecurity.py",
        "%2e%2e%2f%2e%2e%2fsecurity.py",
        "vendor/../../security.py",
        "..%5csecurity.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "feed.js%00",
        "vendor",
        "",
    ],
)
def test_no_path_leads_out_of_the_static_files(dashboard, state, tail) -> None:
    base = ASSETS.url("feed.js").removesuffix("feed.js")
    for target in (base + tail, f"/static/{tail}", f"/api/screen?session={state}/secret"):
        answer = raw_get(dashboard, target)
        assert re.match(rb"HTTP/1.1 4\d\d", answer), target
        assert b"must never" not in answer
        assert b"SecurityGate" not in answer
        assert b"root:" not in answer


@pytest.mark.parametrize("query", ["session=../secret", "session=1e3", "session=", "from=x"])
def test_numbers_in_a_query_are_numbers(dashboard, query) -> None:
    with dashboard.client() as client:
        assert client.get(f"/api/screen?{query}").status_code == 400


def test_a_cookie_cannot_be_read_by_a_script_and_goes_to_no_other_site(dashboard) -> None:
    answer = httpx.post(
        f"{dashboard.url}/login", json={"token": dashboard.token}, headers=own(dashboard)
    )
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 200
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert dashboard.token not in cookie
    wrong = httpx.post(f"{dashboard.url}/login", json={"token": "x" * 43}, headers=own(dashboard))
    assert wrong.status_code == 401
    assert "set-cookie" not in wrong.headers
    odd = {"content-type": "application/json"} | own(dashboard)
    for body in (b"", b"[]", b'{"token": 1}', b'{"token": "\xff"}', b"{" * 3000):
        answer = httpx.post(f"{dashboard.url}/login", content=body, headers=odd)
        assert answer.status_code in (400, 401)
    answer = httpx.post(f"{dashboard.url}/login", content=b"x" * 9000, headers=odd)
    assert answer.status_code == 413


@pytest.mark.parametrize("path", sorted({p for p, m in ROUTES if m == "GET"}))
def test_a_page_may_load_nothing_from_elsewhere(dashboard, path) -> None:
    with dashboard.client() as client:
        answer = client.get(address(path))
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'self'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert ("immutable" in answer.headers["cache-control"]) == (path in PATHS)
    assert "server" not in answer.headers


class Inline(HTMLParser):
    """Gathers what a policy without inline code forbids, and addresses of elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        names = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(tag)
        self.found += [f"{tag} {name}" for name in names if name == "style" or name[:2] == "on"]
        for name in ("src", "href"):
            if tag != "a" and names.get(name, "/")[0] not in "/#":
                self.found.append(f"{tag} {names[name]}")


@pytest.mark.parametrize("path", sorted({p for p, m in ROUTES if m == "GET" and "api" not in p}))
def test_a_page_has_no_inline_script_or_style(dashboard, path) -> None:
    with dashboard.client() as client:
        answer = client.get(address(path))
    if "html" not in answer.headers["content-type"]:
        return
    parser = Inline()
    parser.feed(answer.text)
    assert parser.found == []


def test_a_stored_report_has_an_origin_of_its_own_and_may_ask_nobody() -> None:
    policy = {part.split()[0]: part.split()[1:] for part in REPORT_POLICY.split("; ")}
    assert policy["sandbox"] == ["allow-scripts"]
    assert policy["default-src"] == ["'none'"]
    assert "connect-src" not in policy


def start(*options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mia.cli", "dashboard", "--state-dir", "none", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=ENVIRONMENT | environ,
    )


def certificate(folder: Path) -> tuple[Path, Path]:
    key, pem = folder / "key.pem", folder / "cert.pem"
    arguments = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        "-subj /CN=trader.example -addext subjectAltName=DNS:trader.example"
    )
    subprocess.run(
        ["openssl", *arguments.split(), "-keyout", str(key), "-out", str(pem)],
        check=True,
        capture_output=True,
    )
    return pem, key


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@needs_openssl
def test_another_address_needs_token_and_tls_or_the_dashboard_does_not_start(tmp_path) -> None:
    pem, key = certificate(tmp_path)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    parts = {
        "token_file": token,
        "certificate": pem,
        "key": key,
        "names": ("trader.example",),
    }
    for host in ("0.0.0.0", "192.168.1.20", "::", "2001:db8::1", "trader.example", ""):
        for count in range(4):
            for names in itertools.combinations(parts, count):
                where = Where(host, 0, **{name: parts[name] for name in names})
                if {"token_file", "certificate", "key"} <= set(names) and host not in EVERY:
                    require_protection(where)
                    continue
                with pytest.raises(ConfigError, match=r"^dashboard\.") as refused:
                    require_protection(where)
                assert refused.value.exit_code == 3
        require_protection(Where(host, 0, **parts))
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.2"):
        require_protection(Where(host, 0))
    for mode, text in ((0o644, TOKEN), (0o600, "short"), (0o600, "x" * 40 + "\n" + "y" * 40)):
        token.write_text(text)
        token.chmod(mode)
        with pytest.raises(ConfigError, match="token_file") as refused:
            read_token(token)
        assert TOKEN not in str(refused.value)
    ended = start("--host=0.0.0.0", "--port=0")
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith("mia: dashboard.host 0.0.0.0 can be reached from elsewhere")


@needs_openssl
def test_with_token_and_tls_it_serves_the_names_that_it_was_given(tmp_path) -> None:
    pem, key = certificate(tmp_path)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    options = {"token_file": token, "certificate": pem, "key": key, "names": "trader.example"}
    settings = [f"--set=dashboard.{name}={value}" for name, value in options.items()]
    with running_dashboard(tmp_path / "state", "--host", "0.0.0.0", *settings) as dashboard:
        port = dashboard.url.rsplit(":", 1)[1]
        assert TOKEN not in " ".join(dashboard.said)
        context = ssl.create_default_context(cafile=pem)
        here = f"https://trader.example:{port}"
        headers = {"host": f"trader.example:{port}", "origin": here}
        with httpx.Client(verify=context, base_url=f"https://127.0.0.1:{port}") as client:
            name = {"sni_hostname": "trader.example"}
            answer = client.post("/login", json={"token": TOKEN}, headers=headers, extensions=name)
            assert answer.status_code == 200
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("__Host-mia=")
            assert "Secure" in cookie
            logged_in = headers | {"cookie": cookie.partition(";")[0]}
            assert client.get("/", headers=logged_in, extensions=name).status_code == 200
            plain = logged_in | {"origin": here.replace("https", "http")}
            assert client.get("/", headers=plain, extensions=name).status_code == 403
            by_number = logged_in | {"host": f"127.0.0.1:{port}"}
            assert client.get("/", headers=by_number, extensions=name).status_code == 400
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{port}/login")


def test_no_secret_leaves_the_process(tmp_path) -> None:
    canary = "canary-3f1c77aa90"
    secrets = {"DISCORD_WEBHOOK_URL": canary, "IB_PASSWORD": canary}
    with running_dashboard(tmp_path, environ=secrets) as dashboard:
        arguments = Path(f"/proc/{dashboard.process.pid}/cmdline")
        if arguments.exists():
            assert dashboard.token.encode() not in arguments.read_bytes()
        seen = b""
        with dashboard.client() as client:
            for path, method in ROUTES:
                answer = client.request(method, address(path))
                seen += answer.content + str(answer.headers).encode()
            answer = client.get("/nothing?token=" + dashboard.token)
            seen += answer.content
        dashboard.process.terminate()
        out, err = dashboard.process.communicate(timeout=30)
        assert dashboard.process.returncode == 143
        assert canary.encode() not in seen
        assert dashboard.token.encode() not in seen
        assert canary not in out + err
        assert dashboard.token not in out + err
    for file in tmp_path.rglob("*"):
        assert dashboard.token.encode() not in file.read_bytes()


def test_a_port_that_is_taken_is_said_in_a_line(dashboard) -> None:
    ended = start("--port", dashboard.host.split(":")[1])
    assert ended.returncode == 3
    assert "choose another dashboard.port" in ended.stderr


def test_a_login_takes_as_long_for_a_token_that_is_nearly_right() -> None:
    security = Security(TOKEN, frozenset())
    near, far = TOKEN[:-1] + "x", "x" * len(TOKEN)
    times = {near: [], far: []}
    for _ in range(300):
        for token, taken in times.items():
            began = time.perf_counter_ns()
            for _ in range(20):
                security.is_token(token)
            taken.append(time.perf_counter_ns() - began)
    fastest = [min(taken) for taken in times.values()]
    assert max(fastest) < 1.5 * min(fastest)
    assert security.is_token(TOKEN)
    assert not security.is_token("")
    assert not security.is_token(TOKEN + "x")


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
def test_the_state_directory_gets_nothing_that_others_could_read(dashboard, state) -> None:
    with dashboard.client() as client:
        client.post("/api/actions/halt", json={"confirm": "no"})
    files = [path for path in state.iterdir() if path.name.startswith("web")]
    assert files
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)

"""What `mia doctor` asks of the outside: the gateway, its clock, and the feed."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from mia.config.settings import Settings
from mia.core.ibkr.wire_time import parse_time

_TIMEOUT_S = 5.0
_VERSIONS = b"v157..176"
_FAR_S = 1.5
"""The gateway's time is cut to the second, so half a second is no difference."""


class Verdict(IntEnum):
    """How something is."""

    OK = 0
    WARN = 1
    FAIL = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    text : str
        What was found.
    cure : str
        What to do; empty if nothing is to be done.
    """

    name: str
    verdict: Verdict
    text: str
    cure: str = ""


def look_at_broker(settings: Settings, wall: Callable[[], int]) -> list[Finding]:
    """Greet the gateway without logging in, and hold its clock against ours."""
    ibkr = settings.ibkr
    if settings.feed in ("synth", "replay"):
        return [Finding("broker", Verdict.OK, "simulated: the run starts its own gateway")]
    if ibkr.port is None or ibkr.account is None:
        return [
            Finding(
                "broker",
                Verdict.FAIL,
                "ibkr.port and ibkr.account are not both set",
                "the paper port of a gateway is 4002, of TWS 7497",
            )
        ]
    where = f"{ibkr.host}:{ibkr.port}"
    try:
        version, greeting = greet(ibkr.host, ibkr.port)
    except OSError as error:
        return [
            Finding(
                "broker",
                Verdict.FAIL,
                f"{where}: {error.strerror or error}",
                "start the gateway, and allow API connections there",
            )
        ]
    found = [Finding("broker", Verdict.OK, f"{where} answers, server version {version}")]
    now = wall()
    try:
        theirs = parse_time(greeting, near=now)
    except ValueError:
        return found
    # On average half a second was cut off.
    ahead = (now - theirs) / 1e9 - 0.5
    if abs(ahead) > _FAR_S:
        words = f"ours is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} the gateway's"
        found.append(Finding("time", Verdict.WARN, words, "synchronise the clocks of both"))
    else:
        found.append(Finding("time", Verdict.OK, "ours agrees with the gateway's, to the second"))
    return found


def greet(host: str, port: int) -> tuple[int, str]:
    """Return the server version of a gateway and the time that it greets with.

    Raises
    ------
    OSError
        If none answers, or something else does.
    """
    until = time.monotonic() + _TIMEOUT_S
    with socket.create_connection((host, port), _TIMEOUT_S) as link:
        link.sendall(b"API\0" + len(_VERSIONS).to_bytes(4, "big") + _VERSIONS)
        data = b""
        while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
            link.settimeout(max(until - time.monotonic(), 0.01))
            piece = link.recv(4096)
            if not piece or len(data) > 1 << 16:
                raise OSError("something answers that is no gateway, or that trusts us not")
            data += piece
    version, _, rest = data[4:].decode("ascii", "replace").partition("\0")
    if not version.isdecimal():
        raise OSError("something answers that is no gateway")
    return int(version), rest.rstrip("\0")


def look_at_feed(settings: Settings) -> Finding:
    """Look whether the source of trades is there."""
    feed = settings.feed
    if feed == "none":
        return Finding("feed", Verdict.FAIL, "none is chosen", "set feed, as feed=sierra")
    if feed == "sierra":
        return _sierra(settings.sierra.folder, settings.symbol)
    if feed == "iqfeed":
        where = (settings.iqfeed.host, settings.iqfeed.level1_port)
        try:
            socket.create_connection(where, _TIMEOUT_S).close()
        except OSError as error:
            text = f"IQConnect at {where[0]}:{where[1]}: {error.strerror or error}"
            return Finding("feed", Verdict.FAIL, text, "start IQConnect and log in")
        return Finding("feed", Verdict.OK, f"IQConnect answers at {where[0]}:{where[1]}")
    if feed == "replay":
        source = settings.replay.source
        if source is None or not Path(source).exists():
            return Finding("feed", Verdict.FAIL, f"no {source or 'source'}", "set replay.source")
        return Finding("feed", Verdict.OK, f"a recording, {source}")
    if feed == "ibkr":
        text = "trades come from the gateway; who crossed the spread is inferred"
        return Finding("feed", Verdict.OK, text)
    return Finding("feed", Verdict.OK, "a synthetic market")


def _sierra(folder: str | None, symbol: str) -> Finding:
    if folder is None or not Path(folder).is_dir():
        text = f"sierra.folder {folder} is no folder" if folder else "sierra.folder is not set"
        return Finding("feed", Verdict.FAIL, text, "name Sierra Chart's data folder")
    files = sorted(Path(folder).glob(f"{symbol}*.scid"), key=lambda path: path.stat().st_mtime)
    if not files:
        cure = f"open a chart of {symbol} in Sierra Chart, with ticks kept"
        return Finding("feed", Verdict.FAIL, f"no {symbol}*.scid in {folder}", cure)
    age = max(time.time() - files[-1].stat().st_mtime, 0.0)
    return Finding("feed", Verdict.OK, f"{files[-1].name}, written {age:.0f} s ago")

"""The small files of a state directory, by which trader and kill command talk.

Standard library only, so that the kill command can read them when nothing else loads.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

LOCK = "lock"
RUN = "run.json"
KILL = "kill"
KILL_TAKEN = "kill.taken"
KILL_ACK = "kill.ack"
ARM = "arm"
JOURNAL = "journal.db"
LIMITS = "limits.json"
"""Limits in force in the newest run, with the layer that set each, for screens."""

POSITIONING = "positioning.json"
"""What the newest option chain of a run says, for screens."""


COMMANDS = ("halt", "flatten", "reset")
KILL_STATE = "kill.state"
"""Kind of the journal's events that hold the kill switch's state."""

_NAMELESS = "by hand"


class KillCommand(NamedTuple):
    """A command to the trader.

    Attributes
    ----------
    name : str
        ``halt``, ``flatten`` or ``reset``.
    identity : str
        Different for each command.
    ts : int
        When it was given, ns UTC; 0 if it was written by hand.
    by : str
        Who gave it, if that was somebody else than a person at a terminal.
    """

    name: str
    identity: str = _NAMELESS
    ts: int = 0
    by: str = ""


class KillAnswer(NamedTuple):
    """What the trader says to a command.

    Attributes
    ----------
    identity : str
        Of the command.
    outcome : str
        ``obeyed``, ``refused``, or ``done`` once entries are cancelled and, after a flatten,
        the position is zero.
    """

    identity: str
    outcome: str
    text: str


class RunInfo(NamedTuple):
    """How the trader runs; stays when it dies.

    Attributes
    ----------
    host, port, client_id
        Of the connection that places orders.
    started : int
        ns UTC.
    machine : str
        Name of the computer.
    """

    pid: int
    machine: str
    account: str
    host: str
    port: int
    client_id: int
    started: int
    config_hash: str = ""
    code_version: str = ""


def write_private(path: Path, text: str) -> None:
    """Replace a file by one that only its owner reads, whole or not at all, and durably.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_command(path: Path, command: KillCommand) -> None:
    """Write a command."""
    write_private(path, json.dumps(command._asdict()) + "\n")


def read_command(path: Path) -> KillCommand | None:
    """Return the command in a file, None if there is no file.

    A file that was made by hand may hold the bare word; one that says nothing understandable,
    or cannot be read, means ``halt``, since somebody wanted to stop something.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError:
        return KillCommand("halt")
    word = text.strip().lower()
    if word in COMMANDS:
        return KillCommand(word)
    values = _object(text)
    name = values.get("name")
    identity = values.get("identity")
    ts = values.get("ts")
    if name not in COMMANDS or not isinstance(identity, str) or not isinstance(ts, int):
        return KillCommand("halt")
    return KillCommand(name, identity, ts, str(values.get("by", "")))


def write_answer(path: Path, answer: KillAnswer) -> None:
    """Write the trader's answer."""
    write_private(path, json.dumps(answer._asdict()) + "\n")


def read_answer(path: Path) -> KillAnswer | None:
    """Return the trader's last answer, None without a readable one."""
    try:
        values = _object(path.read_text(encoding="utf-8"))
        return KillAnswer(**values)
    except (OSError, UnicodeDecodeError, TypeError):
        return None


def write_run(path: Path, run: RunInfo) -> None:
    """Write how the trader runs."""
    write_private(path, json.dumps(run._asdict(), indent=1) + "\n")


def read_run(path: Path) -> RunInfo | None:
    """Return how the trader runs or ran, None without a readable note of it."""
    try:
        return RunInfo(**_object(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, TypeError):
        return None


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}

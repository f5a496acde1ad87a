"""Reads faults: when something happens, and what, from a scenario file or from the control socket.

::

    [[fault]]
    name = "drop"
    when = { message = 3, direction = "in", count = 2, client = 1, order_ref = "*:S" }
    after = true
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mia.errors import ConfigError
from mia.gateway.faults.kinds import EXECUTION, KINDS, Kind

NS = 1_000_000_000
FOREVER = 0
_TRIGGER = {"message", "direction", "count", "times", "client", "order_ref", "status", "time"}
_MESSAGES = 109


@dataclass(frozen=True, slots=True)
class Frame:
    """A message on its way.

    Attributes
    ----------
    direction : str
        ``in`` from a client, ``out`` to it.
    client_id : int
        -1 before the client has said who it is.
    fields : list of str
        The message id first.
    order_ref : str
        Of the order that the message is about, empty if it is about none.
    """

    direction: str
    client_id: int
    fields: list[str]
    order_ref: str = ""

    @property
    def message(self) -> int:
        """The message id."""
        return int(self.fields[0]) if self.fields and self.fields[0].isdecimal() else -1


@dataclass(frozen=True, slots=True)
class Trigger:
    """When a fault happens.

    Attributes
    ----------
    messages : frozenset of int
        Ids that count; empty for any.
    direction : str
        ``in`` or ``out``; empty if the fault waits for a time, not for a message.
    count : int
        The first message that it happens to, 1 for the first that fits.
    times : int
        How many messages from there on, `FOREVER` for all.
    client : int, optional
    order_ref : str
        Pattern with ``*`` and ``?``; empty for any message.
    status : str
        Of an order status; empty for any.
    time : float or int
        Not before: market seconds since the start (float), or ns UTC (int).
    """

    messages: frozenset[int] = frozenset()
    direction: str = ""
    count: int = 1
    times: int = 1
    client: int | None = None
    order_ref: str = ""
    status: str = ""
    time: float | int = 0.0

    def fits(self, frame: Frame) -> bool:
        """Whether a message is one of those that count."""
        if frame.direction != self.direction:
            return False
        if self.messages and frame.message not in self.messages:
            return False
        if self.client is not None and frame.client_id != self.client:
            return False
        if self.order_ref and not fnmatchcase(frame.order_ref, self.order_ref):
            return False
        return not self.status or (frame.message == 3 and frame.fields[2] == self.status)

    def is_due(self, now: int, start: int) -> bool:
        """Whether its time has come; `now` and `start` are market time, ns UTC."""
        if isinstance(self.time, int):
            return now >= self.time
        return now - start >= self.time * NS


@dataclass(slots=True)
class Fault:
    """One fault, and how far it is.

    Attributes
    ----------
    parameters : dict
        All that its kind knows, defaults filled in.
    number : int
        Position in the order in which faults were given.
    seen, fired : int
        Messages that fitted; how often it happened.
    """

    kind: Kind
    when: Trigger
    parameters: dict[str, Any]
    number: int = 0
    seen: int = 0
    fired: int = 0
    memory: dict[Any, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the kind."""
        return self.kind.name

    @property
    def is_spent(self) -> bool:
        """Whether it cannot happen again."""
        return self.when.times != FOREVER and self.fired >= self.when.times

    def takes(self, frame: Frame, now: int, start: int) -> bool:
        """Count a message; tell whether the fault happens to it."""
        if self.is_spent or not self.when.fits(frame) or not self.when.is_due(now, start):
            return False
        if self.kind.live and frame.message == EXECUTION and frame.fields[1] != "-1":
            return False
        self.seen += 1
        if self.seen < self.when.count:
            return False
        self.fired += 1
        return True

    def __getitem__(self, name: str) -> Any:
        """Return a parameter."""
        return self.parameters[name]


def read_scenario(path: Path) -> list[Fault]:
    """Read a scenario file.

    Raises
    ------
    ConfigError
        If it cannot be read, or a fault in it is unknown or malformed.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML: {' '.join(str(error).split())}") from None
    unknown = sorted(set(content) - {"fault"})
    if unknown:
        raise ConfigError(f"{path} holds {unknown[0]!r}: a scenario is a list of [[fault]] tables")
    tables = content.get("fault", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{path}: faults are written as [[fault]] tables")
    faults = []
    for number, table in enumerate(tables):
        try:
            fault = read_fault(table)
        except ConfigError as error:
            raise ConfigError(f"{path}, fault {number + 1}: {error}") from None
        fault.number = number
        faults.append(fault)
    return faults


def read_fault(table: Mapping[str, Any]) -> Fault:
    """Read one fault from a table of a scenario or from a command.

    Raises
    ------
    ConfigError
        If its name, a key or a value is not known.
    """
    given = dict(table)
    name = given.pop("name", None)
    when = given.pop("when", {})
    if name is None:
        raise ConfigError(f"a fault needs a name, one of {', '.join(sorted(KINDS))}")
    if not isinstance(name, str) or name not in KINDS:
        raise ConfigError(f"unknown fault {name!r}: one of {', '.join(sorted(KINDS))}")
    kind = KINDS[name]
    if not isinstance(when, Mapping):
        raise ConfigError(f"{name}: when takes a table as {{ message = 3 }}, was {when!r}")
    parameters = dict(kind.parameters)
    for key, value in given.items():
        if key not in parameters:
            known = ", ".join(sorted(parameters)) or "none"
            raise ConfigError(f"{name} has no parameter {key!r}: it has {known}")
        parameters[key] = _like(name, key, value, parameters[key])
    for key, allowed in kind.choices.items():
        if parameters[key] not in allowed:
            listed = ", ".join(str(item) for item in allowed)
            raise ConfigError(f"{name}: {key} is one of {listed}, was {parameters[key]!r}")
    return Fault(kind, _trigger(kind, when), parameters)


def _like(name: str, key: str, value: Any, default: Any) -> Any:
    wanted = type(default)
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        raise ConfigError(f"{name}: {key} takes {_TYPES[wanted]}, was {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{name}: {key} must be a finite number, was {value}")
    return value


_TYPES = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}


def _trigger(kind: Kind, when: Mapping[str, Any]) -> Trigger:
    unknown = sorted(set(when) - _TRIGGER)
    if unknown:
        known = ", ".join(sorted(_TRIGGER))
        raise ConfigError(f"{kind.name}: unknown key {unknown[0]!r} in when: it has {known}")
    messages = kind.messages
    if "message" in when:
        given = when["message"] if isinstance(when["message"], list) else [when["message"]]
        if not all(type(item) is int and 0 < item < _MESSAGES for item in given):
            raise ConfigError(f"{kind.name}: message takes message ids, was {when['message']!r}")
        messages = frozenset(given)
    direction = when.get("direction", kind.direction)
    if direction not in ("in", "out") and (direction or kind.style != "occasion"):
        raise ConfigError(f"{kind.name}: direction is in or out, was {direction!r}")
    if kind.style != "occasion" and direction != kind.direction:
        raise ConfigError(f"{kind.name}: direction must be {kind.direction!r}, was {direction!r}")
    if not direction and set(when) - {"time", "client"}:
        direction = "out" if when.get("status") else "in"
    for key in ("count", "times", "client"):
        least = 1 if key == "count" else 0
        if key in when and (type(when[key]) is not int or when[key] < least):
            raise ConfigError(f"{kind.name}: {key} must be a whole number from {least} on")
    for key in ("order_ref", "status"):
        if not isinstance(when.get(key, ""), str):
            raise ConfigError(f"{kind.name}: {key} takes a text, was {when[key]!r}")
    return Trigger(
        messages=messages,
        direction=direction,
        count=when.get("count", 1),
        times=when.get("times", kind.times),
        client=when.get("client"),
        order_ref=when.get("order_ref", kind.order_ref),
        status=when.get("status", kind.status),
        time=_time(kind.name, when.get("time", 0.0)),
    )


def _time(name: str, given: Any) -> float | int:
    if isinstance(given, str):
        try:
            given = datetime.fromisoformat(given)
        except ValueError:
            raise ConfigError(f"{name}: time takes seconds or a date, was {given!r}") from None
    if isinstance(given, datetime):
        if given.tzinfo is None:
            raise ConfigError(f"{name}: time needs a zone, as 2025-03-10T14:30:00Z, was {given}")
        since = given - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * NS + since.microseconds * 1000
    if type(given) not in (int, float) or not 0 <= given < math.inf:
        raise ConfigError(f"{name}: time takes seconds from 0 on, was {given!r}")
    return float(given)

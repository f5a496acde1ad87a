"""The space of a search: named settings with ranges or choices, from a TOML file."""

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, floor, log
from pathlib import Path
from typing import Any

from mia.config.layers import reject_unknown
from mia.config.method import METHOD_GROUPS
from mia.config.settings import LoadedSettings, known_keys
from mia.errors import ConfigError

FORBIDDEN = {
    "account": "the account is no choice of the method",
    "cost": "whoever searches over costs finds the lowest",
    "fill": "whoever searches over fills finds the kindest",
    "flow": "it belongs to the data",
    "sources": "it belongs to the data",
    "ml": "models have their own promotion",
}
"""Groups that may not be searched, and why."""

THRESHOLDS = ("limits.min_confluence", "limits.min_confidence", "limits.bn_score_threshold")
"""Limits of the signal that may be searched; as every limit they can be tightened only."""

WORDS = {"low", "high", "step", "log", "choices"}
DIGITS = 6
"""Significant digits of a drawn number: enough to be told apart, few enough to be read."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting and what it may be.

    Attributes
    ----------
    name : str
        Dotted key, as ``trend.target_r``.
    low, high : float
        Bounds of a range, both included; 0 and the number of choices less 1 for choices.
    step : float
        Between the values of a range; 0 where it is continuous.
    log : bool
        Whether a range is drawn evenly in its logarithm.
    integer : bool
        Whether the values of a range are whole.
    choices : tuple
        Values of a choice, empty for a range.
    """

    name: str
    low: float
    high: float
    step: float = 0.0
    log: bool = False
    integer: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def count(self) -> int:
        """How many values there are; 0 if the range is continuous."""
        if self.choices:
            return len(self.choices)
        return floor((self.high - self.low) / self.step + 1e-9) + 1 if self.step else 0

    def at(self, place: float) -> Any:
        """Return the value at a place in [0, 1); places evenly drawn give values evenly drawn."""
        if self.count:
            return self._nth(min(int(place * self.count), self.count - 1))
        if self.log:
            value = exp(log(self.low) + place * (log(self.high) - log(self.low)))
        else:
            value = self.low + place * (self.high - self.low)
        if self.integer:
            return min(max(round(value), round(self.low)), round(self.high))
        return min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)

    def _nth(self, k: int) -> Any:
        if self.choices:
            return self.choices[k]
        value = self.low + k * self.step
        return round(value) if self.integer else float(f"{value:.{DIGITS}g}")

    def levels(self, wanted: int) -> list[Any]:
        """Return all values, or about as many as wanted of a continuous range."""
        if self.count:
            return [self._nth(k) for k in range(self.count)]
        values = [self.at((k + 0.5) / wanted) for k in range(wanted)]
        values[0], values[-1] = self.at(0.0), self._end()
        return list(dict.fromkeys(values))

    def _end(self) -> Any:
        return round(self.high) if self.integer else self.high

    def place(self, value: Any) -> float:
        """Return where a value lies between the least, 0, and the last, 1; outside it is cut."""
        if self.choices:
            found = self.choices.index(value) if value in self.choices else 0
            return found / (len(self.choices) - 1)
        if self.log:
            share = (log(value) - log(self.low)) / (log(self.high) - log(self.low))
        else:
            share = (value - self.low) / (self.high - self.low)
        return min(max(float(share), 0.0), 1.0)

    def extremes(self) -> list[Any]:
        """Return values of which each must be allowed for all to be: the ends, or all choices."""
        return list(self.choices) if self.choices else [self.levels(2)[0], self.levels(2)[-1]]

    def plain(self) -> dict[str, Any]:
        """Describe the parameter as its file does."""
        if self.choices:
            return {"choices": list(self.choices)}
        step = {"step": self.step} if self.step else {}
        return {"low": self.low, "high": self.high, **step, **({"log": True} if self.log else {})}


@dataclass(frozen=True, slots=True)
class Space:
    """All parameters of a search, in the order of their file."""

    parameters: tuple[Parameter, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Dotted keys."""
        return tuple(parameter.name for parameter in self.parameters)

    def at(self, places: Sequence[float]) -> dict[str, Any]:
        """Return the values at places in [0, 1), one per parameter."""
        return {p.name: p.at(x) for p, x in zip(self.parameters, places, strict=True)}

    def plain(self) -> dict[str, Any]:
        """Describe the space as its file does."""
        return {parameter.name: parameter.plain() for parameter in self.parameters}


def assignments(values: Mapping[str, Any]) -> list[str]:
    """Write values as ``key=value`` of the command line."""
    return [f"{name}={json.dumps(value)}" for name, value in values.items()]


def read_space(path: Path) -> Space:
    """Read a space.

    Parameters
    ----------
    path : Path
        TOML with the tables of a profile, in which each setting is a table of its own:
        ``{low = 1.0, high = 3.0}`` with ``step`` or ``log = true`` if wanted, or
        ``{choices = [3, 5, 8]}``. Bounds that are both whole mean whole values.

    Raises
    ------
    ConfigError
        If the file is missing or no TOML, a setting is unknown or may not be searched, or a
        range is none.
    """
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"space {path} is no TOML file: {error}") from None
    except OSError as error:
        raise ConfigError(f"cannot read space {path}: {error.strerror}") from None
    found = _flat(read, str(path))
    if not found:
        raise ConfigError(f"space {path} names no setting: give one as {_EXAMPLE}")
    reject_unknown(found, known_keys(), f"space {path}")
    return Space(tuple(_parameter(name, table, path) for name, table in found.items()))


_EXAMPLE = "[trend] target_r = {low = 1.5, high = 3.0}"


def _flat(tables: Mapping[str, Any], path: str, prefix: str = "") -> dict[str, Mapping[str, Any]]:
    flat: dict[str, Mapping[str, Any]] = {}
    for key, value in tables.items():
        name = f"{prefix}{key}"
        if not isinstance(value, Mapping):
            raise ConfigError(f"{name} in space {path} is one value: give a range, as {_EXAMPLE}")
        if value and set(value) <= WORDS:
            flat[name] = value
        elif set(value) & WORDS:
            odd = ", ".join(sorted(set(value) - WORDS))
            raise ConfigError(f"{name} in space {path}: unknown {odd}; known: {_known_words()}")
        else:
            flat |= _flat(value, path, f"{name}.")
    return flat


def _known_words() -> str:
    return ", ".join(sorted(WORDS))


def _parameter(name: str, table: Mapping[str, Any], path: Path) -> Parameter:
    def refuse(why: str) -> ConfigError:
        return ConfigError(f"{name} in space {path}: {why}")

    group = name.partition(".")[0]
    if group in FORBIDDEN:
        raise refuse(f"may not be searched: {FORBIDDEN[group]}")
    if group not in METHOD_GROUPS and name not in THRESHOLDS:
        raise refuse("may not be searched: only parameters of the method are, see docs/method.md")
    if "choices" in table:
        choices = table["choices"]
        if len(table) > 1 or not isinstance(choices, list) or len(choices) < 2:
            raise refuse("choices is a list of two values or more, and stands alone")
        if len({json.dumps(choice) for choice in choices}) < len(choices):
            raise refuse("a choice is given twice")
        return Parameter(name, 0.0, len(choices) - 1.0, choices=tuple(choices))
    return _range(name, table, refuse)


def _range(name: str, table: Mapping[str, Any], refuse: Callable[[str], ConfigError]) -> Parameter:
    values = [table.get(word) for word in ("low", "high")]
    step, even = table.get("step", 0), table.get("log", False)
    for value in (*values, step):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise refuse("a range has numbers for low and high, and for step where there is one")
    low, high = (float(value) for value in values if value is not None)
    if not low < high:
        raise refuse(f"low must be below high, were {low:g} and {high:g}")
    if not isinstance(even, bool):
        raise refuse("log is true or false")
    if even and (low <= 0.0 or step):
        raise refuse("log needs a positive low, and no step")
    integer = all(isinstance(value, int) for value in (*values, step))
    width = float(step) or (1.0 if integer and not even else 0.0)
    if width < 0.0 or width > high - low:
        raise refuse(f"step must be positive and at most the range, was {step:g}")
    return Parameter(name, low, high, width, even, integer)


def check_space(
    space: Space,
    load: Callable[[Mapping[str, Any]], LoadedSettings],
    effect: Callable[[LoadedSettings], str],
) -> None:
    """Make sure that each parameter may have its extremes and changes something.

    Parameters
    ----------
    load : callable
        Settings with some values in the place of the user's own.
    effect : callable
        Hash of what the settings come to.

    Raises
    ------
    ConfigError
        If a value is refused, or a parameter has no effect.
    """
    for parameter in space.parameters:
        found = {effect(load({parameter.name: value})) for value in parameter.extremes()}
        if len(found) < 2:
            raise ConfigError(
                f"{parameter.name} has no effect between its extremes: the limits of mode and "
                "level decide, or another setting does; leave it out"
            )

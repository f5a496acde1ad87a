"""The layers that settings come from, each as dotted keys with values that nobody has judged yet.

A key that nothing knows is an error wherever it stands, and so is a line that cannot be read:
a misspelt risk limit must not be one that silently does not apply.
"""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream

from mia.errors import ConfigError

PREFIX = "MIA_"
PLAIN_NAMES = ("TRADING_MODE", "RISK_LEVEL", "MAX_DAILY_LOSS", "MAX_POSITION_SIZE")
"""Names of environment variables that need no prefix."""

OTHER_NAMES = frozenset(
    {
        "MIA_ANNOTATE",
        "MIA_BUSY_S",
        "MIA_CLIENT_ENVS",
        "MIA_CRASH_AT",
        "MIA_DATA",
        "MIA_FAULT_N",
        "MIA_FAULT_PART",
        "MIA_FAULT_RESULTS",
        "MIA_FRAME_COUNT",
        "MIA_FRAME_KILLS",
        "MIA_FRAMES_SHOWN",
        "MIA_FUZZ_N",
        "MIA_FUZZ_SECONDS",
        "MIA_FUZZ_SEED",
        "MIA_HONESTY_SEEDS",
        "MIA_NULL_SEEDS",
        "MIA_ORDER_STEPS",
        "MIA_PROFILE",
        "MIA_REAL_DATA",
        "MIA_SLOW_CLIENTS",
        "MIA_SOAK_S",
        "MIA_SOAK_SEED",
        "MIA_STRACE",
        "MIA_STATE_DIR",
        "MIA_TRACE",
        "MIA_TWIN_EXAMPLES",
        "MIA_VECTORS",
        "MIA_WATCH_PAIRS",
    }
)
"""Names with the prefix that are no settings: a default for ``--data``, tests, and the build."""

PROFILES = resources.files("mia.config") / "profiles"


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested mappings into one with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Turn known dotted keys into nested dictionaries."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *groups, name = key.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = value
    return nested


def reject_unknown(flat: Mapping[str, Any], known: Mapping[str, Any], layer: str) -> None:
    """Refuse keys that are not known, and yes or no where a number is wanted.

    Parameters
    ----------
    flat : mapping
        Values by dotted key.
    known : mapping
        Defaults by dotted key.
    layer : str
        As messages call it.

    Raises
    ------
    ConfigError
        At the first of them.
    """
    for key, value in flat.items():
        if any(name.startswith(f"{key}.") for name in known):
            raise ConfigError(
                f"{key!r} in {layer} is a group of settings: name one of them, "
                f"as {next(name for name in known if name.startswith(f'{key}.'))}"
            )
        if key not in known:
            raise _unknown(key, known, layer)
        if isinstance(value, bool) and not isinstance(known[key], bool):
            raise ConfigError(f"{key} in {layer} takes no yes or no, was {str(value).lower()}")


def _unknown(key: str, known: Iterable[str], layer: str) -> ConfigError:
    lower = {name.lower(): name for name in known}
    last = {name.rsplit(".", 1)[-1]: name for name in lower}
    near = get_close_matches(key.lower(), lower, n=1) or [
        last[name] for name in get_close_matches(key.lower().rsplit(".", 1)[-1], last, n=1)
    ]
    hint = f"did you mean {lower[near[0]]}?" if near else "`mia config show` lists all keys"
    return ConfigError(f"unknown key {key!r} in {layer}: {hint}")


def find_profile(name: str) -> Path:
    """Return the file of a profile: a path as it stands, else one that the package ships.

    Raises
    ------
    ConfigError
        If there is none.
    """
    path = Path(name)
    if path.is_file():
        return path
    shipped = PROFILES / f"{name}.toml"
    if shipped.is_file():
        return Path(str(shipped))
    names = sorted(
        entry.name.removesuffix(".toml")
        for entry in PROFILES.iterdir()
        if entry.name.endswith(".toml")
    )
    raise ConfigError(
        f"no profile {name!r}: give the path of a TOML file or one of {', '.join(names)}"
    )


def read_profile(name: str) -> dict[str, Any]:
    """Read a profile.

    Raises
    ------
    ConfigError
        If there is none, or it is no TOML file.
    """
    path = find_profile(name)
    try:
        return flatten(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"profile {path} is no TOML file: {error}") from None
    except OSError as error:
        raise ConfigError(f"cannot read profile {path}: {error.strerror}") from None


def read_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Read ``key=value`` of the command line; values are JSON where they can be, else text.

    Raises
    ------
    ConfigError
        If an item has no ``=``, or a key is given twice.
    """
    read: dict[str, Any] = {}
    for item in assignments:
        name, equals, text = item.partition("=")
        key = name.strip()
        if not equals or not key:
            raise ConfigError(f"--set takes key=value, as gate.min_rr=2, was {item!r}")
        for full, value in flatten({key: _value(text)}).items():
            if full in read:
                raise ConfigError(f"--set gives {full} twice: keep one")
            read[full] = value
    return read


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def read_environment(environ: Mapping[str, str], known: Mapping[str, Any]) -> dict[str, Any]:
    """Read settings from environment variables; a variable that is empty counts as not set.

    Parameters
    ----------
    environ : mapping
        Variables by name: ``MIA_GATE__MIN_RR`` for ``gate.min_rr``; see also `PLAIN_NAMES`.
    known : mapping
        Every dotted key.

    Raises
    ------
    ConfigError
        If a variable with the prefix is unknown, or a setting is given by two names.
    """
    pairs = (
        (name, text)
        for name, text in sorted(environ.items())
        if name.upper() in PLAIN_NAMES
        or (name.upper().startswith(PREFIX) and name.upper() not in OTHER_NAMES)
    )
    return _named(pairs, known, "environment")


def read_env_file(path: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    """Read settings from a file of ``NAME=value`` lines, named as in the environment.

    Parameters
    ----------
    path : Path
        Need not exist.
    known : mapping
        Every dotted key.

    Raises
    ------
    ConfigError
        If the file cannot be read, a line is no assignment, or a name is unknown.
    """
    if not path.exists():
        return {}
    pairs: list[tuple[str, str]] = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            for binding in parse_stream(file):
                if binding.error or (binding.key is not None and binding.value is None):
                    # The rest of the line may be a secret: no more than a known name is shown.
                    word = binding.original.string.split()[0]
                    shown = f": {word!r}" if word.upper() in _names(known) else ""
                    line = binding.original.line
                    raise ConfigError(f"line {line} of {path} is no NAME=value{shown}")
                if binding.key is not None:
                    pairs.append((binding.key, binding.value or ""))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text in UTF-8: {error}") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    return _named(pairs, known, str(path))


def _names(known: Iterable[str]) -> dict[str, str]:
    """Return the dotted keys by their names in the environment."""
    keys = {name: name.lower() for name in PLAIN_NAMES}
    return keys | {PREFIX + key.replace(".", "__").upper(): key for key in known}


def _named(
    pairs: Iterable[tuple[str, str]], known: Mapping[str, Any], layer: str
) -> dict[str, Any]:
    keys = _names(known)
    found: dict[str, Any] = {}
    for name, text in pairs:
        key = keys.get(name.upper())
        if key is None:
            raise ConfigError(f"unknown key {name!r} in {layer}: {_hint(name, keys)}")
        if key in found and text:
            raise ConfigError(f"{layer} gives {key} twice, again as {name}: keep one")
        if text:
            found[key] = _value(text)
    return found


def _hint(name: str, keys: Mapping[str, str]) -> str:
    near: Iterator[str] = iter(get_close_matches(name.upper(), keys, n=1))
    return f"did you mean {found}?" if (found := next(near, "")) else "see `mia config show`"

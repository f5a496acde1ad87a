"""Settings of one trial: made by the coordinator, sent to workers as plain values."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import mia
from mia.config.limits import EffectiveLimits
from mia.config.settings import LoadedSettings, Settings, load_settings
from mia.data.digest import digest
from mia.execution.assembly import fit_settings
from mia.optimize.space import assignments

SOURCES = ("_fast", "config", "core", "data", "features", "strategies", "execution")
"""Rooms whose code decides what a trial yields."""


@dataclass(frozen=True, slots=True)
class Base:
    """Settings that all trials of a study share.

    Attributes
    ----------
    profile : str, optional
    given : sequence of str
        ``key=value`` of the command line.
    width_s : int
        Width of the bars, 0 for trades.
    """

    profile: str | None
    given: Sequence[str]
    width_s: int

    def load(self, values: Mapping[str, Any]) -> LoadedSettings:
        """Return the settings with some values in place of the others.

        Raises
        ------
        ConfigError
            If they are refused.
        """
        return load_settings(self.profile, [*self.given, *assignments(values)])

    def effect(self, loaded: LoadedSettings) -> str:
        """Hash what a run obeys: settings fitted to the data, and limits in force.

        Two sets of values that come to the same are the same trial.
        """
        plan = fit_settings(loaded, self.width_s)
        groups = {name: group.model_dump() for name, group in plan.groups.items()}
        return digest(groups, _limits(plan.limits), plan.primary, plan.micro)


def _limits(limits: EffectiveLimits) -> dict[str, Any]:
    return {f.name: getattr(limits, f.name) for f in fields(limits) if f.name != "sources"}


def pack(loaded: LoadedSettings) -> dict[str, Any]:
    """Return settings and limits in force as plain values that can be sent."""
    return {
        "settings": loaded.settings.model_dump(),
        "limits": _limits(loaded.limits),
        "origin": dict(loaded.origin),
        "profile": loaded.profile,
    }


def unpack(packed: Mapping[str, Any]) -> LoadedSettings:
    """Return what `pack` took, exactly; environment and files of this machine do not count."""
    return LoadedSettings(
        Settings(**packed["settings"]),
        EffectiveLimits(**packed["limits"], sources=MappingProxyType({})),
        MappingProxyType(packed["origin"]),
        packed["profile"],
    )


def source_hash() -> str:
    """Hash the Python code that decides what a trial yields; the same on every machine."""
    return _hashed("*.py")


def code_hash() -> str:
    """Hash that code and the compiled kernels of this machine."""
    return digest(_hashed("*.py"), _hashed("*.so"), _hashed("*.pyd"), mia.__version__)


def _hashed(pattern: str) -> str:
    root = Path(mia.__file__).parent
    found = [path for room in SOURCES for path in (root / room).rglob(pattern)]
    if pattern == "*.py":
        found += [root / "backtest.py", root / "optimize" / "trial.py"]
    known = hashlib.sha256()
    for path in sorted(found, key=lambda path: path.relative_to(root).as_posix()):
        known.update(path.relative_to(root).as_posix().encode() + b"\0")
        known.update(hashlib.sha256(path.read_bytes()).digest())
    return known.hexdigest()

"""What a run was made of, so that it can be made again."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import mia
from mia.config.layers import flatten
from mia.config.operations import SECRETS
from mia.config.settings import LoadedSettings
from mia.data.digest import digest

if TYPE_CHECKING:
    # It reads every format of files there is: a trader that starts need not wait for that.
    from mia.data.tape import Tape


def effective_limits(loaded: LoadedSettings) -> dict[str, Any]:
    """Return the limits in force as plain values."""
    names = type(loaded.limits).__dataclass_fields__
    return {name: getattr(loaded.limits, name) for name in names if name != "sources"}


def configuration_hash(loaded: LoadedSettings) -> str:
    """Hash every effective setting and limit; secrets decide nothing and are left out."""
    settings = flatten(loaded.settings.model_dump())
    return digest(
        {key: value for key, value in settings.items() if key not in SECRETS},
        effective_limits(loaded),
    )


def identity(loaded: LoadedSettings, tape: "Tape", **facts: Any) -> dict[str, Any]:
    """Describe a run: source, mode, hashes of configuration and data, version of the code.

    Parameters
    ----------
    loaded : LoadedSettings
    tape : Tape
    **facts
        More that is worth knowing, as plain values.
    """
    return {
        "source": Path(tape.name).name,
        "source_kind": tape.kind,
        "trading_mode": loaded.settings.trading_mode,
        "risk_level": loaded.settings.risk_level,
        **facts,
        "configuration_sha256": configuration_hash(loaded),
        "data_sha256": tape.sha256,
        "code_version": mia.__version__,
    }

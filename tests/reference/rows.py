"""Flat rows named as the fields of the kernels' `Row`."""

from collections.abc import Sequence
from typing import Any

from reference.bars import Bar
from reference.battle_navale import Battle
from reference.regime import RegimeState
from reference.statistics import Statistics


def named(prefix: str, names: Sequence[str], values: Sequence[int] | None) -> dict[str, int]:
    """Name the values of one group, 0 and invalid if there are none."""
    row = {f"{prefix}_valid": int(values is not None)}
    values = values or (0,) * len(names)
    return row | {f"{prefix}_{name}": value for name, value in zip(names, values, strict=True)}


def row_of(bar: Bar, stats: Statistics, battle: Battle, regime: RegimeState) -> dict[str, Any]:
    """Start a row with what these four say."""
    row: dict[str, Any] = {f"bar.{k}": v for k, v in vars(bar).items() if k != "footprint"}
    row |= vars(stats)
    row["atr_valid"], row["vr_valid"] = int(stats.atr_valid), int(stats.vr_valid)
    row |= {f"regime.{k}": v for k, v in vars(regime).items()}
    row["regime.tested"] = int(regime.tested)
    row |= {f"battle.{k}": v for k, v in vars(battle).items() if k not in {"active", "candidate"}}
    active, box = battle.active, battle.candidate
    return row | {
        "battle.active_dir": active.colour if active else 0,
        "battle.active_low": active.box.low if active else 0,
        "battle.active_high": active.box.high if active else 0,
        "battle.active_bars": active.box.bars if active else 0,
        "battle.active_launch": active.launch if active else 0,
        "battle.has_candidate": int(box is not None),
        "battle.candidate_low": box.low if box else 0,
        "battle.candidate_high": box.high if box else 0,
        "battle.candidate_bars": box.bars if box else 0,
        "battle.candidate_dir": box.forming if box else 0,
    }

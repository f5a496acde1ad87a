"""Which parameter sets are tried: drawn before anything ran, so that no result can steer them."""

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, Protocol

import numpy as np

from mia.errors import ConfigError
from mia.optimize.space import Space

Values = dict[str, Any]
LEVELS = 5
MOST_CELLS = 200_000


class Sampler(Protocol):
    """Proposes parameter sets, in rounds that do not depend on how many workers there are."""

    def ask(self) -> Sequence[Values]:
        """Return the sets of the next round, none when there is nothing left to try."""

    def tell(self, scores: Sequence[float | None]) -> None:
        """Take the objective of each set of the round, None where there is none."""

    def keeps(self, steps: Mapping[int, Sequence[float | None]]) -> set[int]:
        """Choose which sets of the round go on, from the objective after each training block."""


class Drawn:
    """All sets in one round, whatever comes of them.

    Parameters
    ----------
    sets : sequence of dict
    """

    def __init__(self, sets: Sequence[Values]) -> None:
        self._sets = list(sets)

    def ask(self) -> Sequence[Values]:
        """Return all sets once, then none."""
        asked, self._sets = self._sets, []
        return asked

    def tell(self, scores: Sequence[float | None]) -> None:
        """Learn nothing."""

    def keeps(self, steps: Mapping[int, Sequence[float | None]]) -> set[int]:
        """Keep all."""
        return set(steps)


def random_sets(space: Space, trials: int, seed: int) -> list[Values]:
    """Draw independent sets; the first of a longer draw are those of a shorter one."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return [space.at(places) for places in rng.random((trials, len(space.names))).tolist()]


def sobol_sets(space: Space, trials: int, seed: int) -> list[Values]:
    """Take the first points of a scrambled Sobol sequence, which fill the space evenly.

    Joe and Kuo (2008), "Constructing Sobol sequences with better two-dimensional projections";
    Owen's scrambling, both of scipy.
    """
    from scipy.stats import qmc

    drawn = qmc.Sobol(len(space.names), scramble=True, rng=np.random.default_rng(seed))
    # The sequence is balanced at powers of two only; its start is the same at every length.
    points = drawn.random_base2(max(trials - 1, 1).bit_length())[:trials]
    return [space.at(places) for places in points.tolist()]


def grid_sets(space: Space, trials: int, seed: int, levels: int = LEVELS) -> list[Values]:
    """Return sets of the full grid in an order drawn once, as many as wanted.

    Raises
    ------
    ConfigError
        If the grid is too large to be listed.
    """
    axes = [parameter.levels(levels) for parameter in space.parameters]
    cells = prod(len(axis) for axis in axes)
    if cells > MOST_CELLS:
        raise ConfigError(
            f"the grid has {cells:,} cells, {MOST_CELLS:,} are allowed: "
            "give fewer parameters, larger steps, or another --sampler"
        )
    order = np.random.Generator(np.random.PCG64(seed)).permutation(cells)[:trials]
    cell = list(product(*axes))
    return [dict(zip(space.names, cell[k], strict=True)) for k in order.tolist()]


SAMPLERS = ("sobol", "random", "grid", "tpe")


def make_sampler(
    kind: str, space: Space, trials: int, seed: int, *, prune: bool = False, round_size: int = 8
) -> Sampler:
    """Make a sampler by its name.

    Parameters
    ----------
    trials : int
        Sets in all, without the one that is tried first in any case: the settings as they are.

    Raises
    ------
    ConfigError
        If the name is unknown, or Optuna is needed and not installed.
    """
    if kind == "tpe":
        from mia.optimize.tpe import TreeParzen

        return TreeParzen(space, trials, seed, prune=prune, round_size=round_size)
    if prune:
        raise ConfigError("--prune needs --sampler tpe: the others learn nothing from results")
    makers = {"sobol": sobol_sets, "random": random_sets, "grid": grid_sets}
    if kind not in makers:
        raise ConfigError(f"unknown --sampler {kind!r}: choose one of {', '.join(SAMPLERS)}")
    return Drawn(makers[kind](space, trials, seed))

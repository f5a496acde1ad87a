"""How the objective depends on parameters: shares of variance, and maps over pairs."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.core.statistics import Floats
from mia.optimize.space import Parameter, Space
from mia.optimize.study import Trial
from mia.performance.figures import finite

CLASSES = 5
PERMUTATIONS = 1000
MAPPED = 4
"""Parameters of the largest shares of which all pairs are drawn."""

NEIGHBOURS = 5


def classes(parameter: Parameter, values: Sequence[Any]) -> tuple[NDArray[np.int64], list[str]]:
    """Sort values into at most five classes: each value one, or stretches of equal length.

    Returns
    -------
    codes : ndarray of int64, shape (n,)
    names : list of str
    """
    if parameter.choices or 0 < parameter.count <= CLASSES:
        known = list(parameter.choices) or parameter.levels(CLASSES)
        found = [known.index(value) for value in values]
        return np.array(found, dtype=np.int64), [_text(value) for value in known]
    places = np.array([parameter.place(value) for value in values])
    codes = np.minimum((places * CLASSES).astype(np.int64), CLASSES - 1)
    edges = [parameter.at(k / CLASSES) for k in range(CLASSES)] + [parameter.extremes()[-1]]
    names = [f"{_text(edges[k])} \N{EN DASH} {_text(edges[k + 1])}" for k in range(CLASSES)]
    return codes, names


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def variance_share(codes: NDArray[np.int64], scores: Floats) -> float:
    """Return the share of the variance of scores that lies between classes (eta squared)."""
    total = float(np.sum((scores - scores.mean()) ** 2))
    if total <= 0.0:
        return 0.0
    sums = np.bincount(codes, weights=scores - scores.mean())
    counts = np.bincount(codes)
    held = counts > 0
    return float(np.sum(sums[held] ** 2 / counts[held]) / total)


def importance(
    space: Space, trials: Sequence[Trial], scores: Floats, seed: int = 0
) -> list[dict[str, Any]]:
    """Rank parameters by how much of the variance of the objective they explain by themselves.

    Parameters
    ----------
    trials : sequence of Trial
        Those with values for every parameter.
    scores : ndarray of float64, shape (trials,)
        Objective of each.

    Returns
    -------
    list of dict
        Largest first: ``share`` is eta squared, ``by_chance`` its mean over permutations of the
        scores, ``p_value`` the share of permutations at least as large. Interactions of
        parameters are in no share.
    """
    if len(trials) < 3:
        return []
    rng = np.random.Generator(np.random.PCG64(seed))
    mixed = np.array([rng.permutation(scores) for _ in range(PERMUTATIONS)])
    found = []
    for parameter in space.parameters:
        codes, names = classes(parameter, [trial.params[parameter.name] for trial in trials])
        share = variance_share(codes, scores)
        chance = np.array([variance_share(codes, row) for row in mixed])
        means = [finite(np.mean(scores[codes == k])) if np.any(codes == k) else None
                 for k in range(len(names))]  # fmt: skip
        found.append(
            {
                "name": parameter.name,
                "share": share,
                "by_chance": float(chance.mean()),
                "p_value": float((1 + np.sum(chance >= share - 1e-12)) / (1 + len(chance))),
                "classes": names,
                "mean_objective": means,
                "trials": np.bincount(codes, minlength=len(names)).tolist(),
            }
        )
    return sorted(found, key=lambda row: (-row["share"], row["name"]))


def stability(
    space: Space, trials: Sequence[Trial], scores: Floats, ranked: Sequence[str]
) -> list[dict[str, Any]]:
    """Average the objective over cells of pairs of the first parameters of a ranking."""
    chosen = [next(p for p in space.parameters if p.name == name) for name in ranked[:MAPPED]]
    maps = []
    for one, two in combinations(chosen, 2):
        rows, row_names = classes(one, [trial.params[one.name] for trial in trials])
        columns, column_names = classes(two, [trial.params[two.name] for trial in trials])
        cells: list[list[float | None]] = []
        counts: list[list[int]] = []
        for r in range(len(row_names)):
            inside = [(rows == r) & (columns == c) for c in range(len(column_names))]
            cells.append([finite(np.mean(scores[m])) if m.any() else None for m in inside])
            counts.append([int(m.sum()) for m in inside])
        maps.append(
            {
                "rows": one.name,
                "columns": two.name,
                "row_names": row_names,
                "column_names": column_names,
                "mean_objective": cells,
                "trials": counts,
            }
        )
    return maps


def neighbourhood(
    space: Space, trials: Sequence[Trial], scores: Floats, best: int
) -> dict[str, Any] | None:
    """Compare the best trial with those nearest to it: a peak alone is chance or a mistake.

    Parameters
    ----------
    best : int
        Its place among `trials`.

    Returns
    -------
    dict or None
        Means of the objective; distances are Euclidean over the parameters, each from 0 to 1.
        None with too few trials.
    """
    if len(trials) < NEIGHBOURS + 2:
        return None
    places = np.array(
        [[p.place(trial.params[p.name]) for p in space.parameters] for trial in trials]
    )
    distances = np.sqrt(np.sum((places - places[best]) ** 2, axis=1))
    distances[best] = np.inf
    near = np.argsort(distances, kind="stable")[:NEIGHBOURS]
    others = np.delete(scores, best)
    return {
        "neighbours": len(near),
        "best": float(scores[best]),
        "mean_of_neighbours": float(scores[near].mean()),
        "mean_of_all_others": float(others.mean()),
        "farthest": float(distances[near].max()),
    }

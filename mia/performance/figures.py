"""Numbers as a summary holds them: plain, finite or None."""

from collections.abc import Iterable
from math import isfinite
from typing import Any

import numpy as np

from mia.core.statistics import Floats

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def finite(value: float | np.floating[Any]) -> float | None:
    """Return a plain float, None where it is not finite."""
    return float(value) if isfinite(value) else None


def bounds(interval: tuple[float, float]) -> list[float | None]:
    """Return the ends of an interval, None where they are not finite."""
    return [finite(interval[0]), finite(interval[1])]


def numbers(values: Iterable[float]) -> Floats:
    """Return the finite ones of values as an array of float64."""
    array = np.array(list(values), dtype=np.float64)
    return array[np.isfinite(array)]


def mean(values: Floats) -> float | None:
    """Return the mean, None without values."""
    return finite(np.mean(values)) if len(values) else None


def ratio(part: float, whole: float) -> float | None:
    """Return a share of a positive whole, None of others."""
    return finite(part / whole) if whole > 0.0 else None


def quantiles(values: Floats) -> dict[str, float | None]:
    """Return the quantiles 5, 25, 50, 75 and 95 %, named ``p05`` to ``p95``."""
    found = np.quantile(values, QUANTILES) if len(values) else [float("nan")] * len(QUANTILES)
    return {
        f"p{round(100 * q):02d}": finite(value) for q, value in zip(QUANTILES, found, strict=True)
    }

"""Comparison of two implementations: integers and names exactly, floats to nine digits."""

import math
from collections.abc import Iterator, Mapping
from typing import Any


def differences(expected: Any, actual: Any, where: str = "") -> Iterator[str]:
    """Yield every difference beyond the tolerance; integers and names must be equal."""
    if isinstance(expected, Mapping):
        for key, value in expected.items():
            yield from differences(value, actual[key], f"{where}.{key}")
    elif isinstance(expected, list | tuple):
        if len(expected) != len(actual):
            yield f"{where}: {len(expected)} values expected, got {len(actual)}"
            return
        for k, value in enumerate(expected):
            yield from differences(value, actual[k], f"{where}[{k}]")
    elif isinstance(expected, float) and isinstance(actual, int | float):
        both_undefined = math.isnan(expected) and math.isnan(actual)
        if not both_undefined and not abs(expected - actual) <= 1e-9 * max(1.0, abs(expected)):
            yield f"{where}: expected {expected!r}, got {actual!r}"
    elif expected != actual:
        yield f"{where}: expected {expected!r}, got {actual!r}"


def assert_same(expected: Any, actual: Any) -> None:
    """Fail with the first twenty differences."""
    found = list(differences(expected, actual))
    assert not found, "\n".join(found[:20])

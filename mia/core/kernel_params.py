"""The method's parameters as the record that kernels read."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mia._fast import records
from mia.config.method import METHOD_GROUPS, Group

_CODES = {
    "vwap_anchor": {"globex": 0, "rth": 1},
    "flow_side_fallback": {"none": 0, "tick_rule": 1},
}


def _flatten(name: str, group: Group) -> dict[str, float]:
    flat: dict[str, float] = {}
    for field in type(group).model_fields:
        value = getattr(group, field)
        key = f"{name}_{field}"
        if isinstance(value, Group):
            flat |= _flatten(key, value)
        elif key == "mtf_frames_min":
            flat |= {f"mtf_frame_{k}": width for k, width in enumerate(value)}
        elif isinstance(value, str):
            flat[key] = _CODES.get(key, {}).get(value, 0)
        else:
            flat[key] = value
    return flat


def kernel_params(
    groups: Mapping[str, Group] | None = None, **overrides: float
) -> NDArray[np.void]:
    """Flatten the groups of the method into one record for the kernels.

    Parameters
    ----------
    groups : mapping of str to Group, optional
        Groups by name; those absent take their defaults.
    **overrides : float
        Single fields by flattened name, as in ``bn_window=7``.

    Returns
    -------
    ndarray of records.PARAMS_DTYPE, shape (1,)

    Raises
    ------
    KeyError
        If an override names no field of the record.
    """
    flat: dict[str, float] = {}
    for name, model in METHOD_GROUPS.items():
        flat |= _flatten(name, (groups or {}).get(name) or model())
    record = np.zeros(1, records.PARAMS_DTYPE)
    names = records.PARAMS_DTYPE.names or ()
    for field in names:
        record[field] = flat[field]
    for field, value in overrides.items():
        if field not in names:
            raise KeyError(f"{field} is no parameter of the kernels")
        record[field] = value
    return record

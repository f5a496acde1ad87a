"""The method's parameters as one flat namespace of plain Python values."""

from collections.abc import Mapping
from types import SimpleNamespace

from mia.config.method import METHOD_GROUPS, Group

_CODED = {
    "vwap_anchor": ("globex", "rth"),
    "flow_side_fallback": ("none", "tick_rule"),
}


def _flatten(prefix: str, group: Group) -> dict[str, object]:
    flat: dict[str, object] = {}
    for field in type(group).model_fields:
        value = getattr(group, field)
        key = f"{prefix}_{field}"
        if isinstance(value, Group):
            flat |= _flatten(key, value)
        else:
            flat[key] = value
    return flat


def _override(flat: dict[str, object], name: str, value: object) -> None:
    key = name.replace(".", "_")
    if key.startswith("mtf_frame_"):
        frames = list(flat["mtf_frames_min"])
        frames[int(key.removeprefix("mtf_frame_"))] = int(value)
        flat["mtf_frames_min"] = tuple(frames)
        return
    if key not in flat:
        raise KeyError(f"{name} is no parameter of the method")
    if key in _CODED and not isinstance(value, str):
        value = _CODED[key][int(value)]
    flat[key] = value


def parameters(source: object = None, **overrides: object) -> SimpleNamespace:
    """Make the flat parameters.

    Parameters
    ----------
    source : mapping, record or namespace, optional
        A mapping of flattened (``bn_window``) or dotted (``bn.window``) names to values that
        differ from the defaults, a record of the kernels' PARAMS_DTYPE (shape ``()`` or
        ``(1,)``), or a namespace made here earlier, which is copied.
    **overrides
        Single values by flattened name, applied last.

    Returns
    -------
    SimpleNamespace
        All parameters; choices such as ``vwap_anchor`` keep their words.
    """
    if isinstance(source, SimpleNamespace):
        flat = dict(vars(source))
    else:
        flat = {}
        for name, model in METHOD_GROUPS.items():
            flat |= _flatten(name, model())
    if isinstance(source, Mapping):
        for name, value in source.items():
            _override(flat, name, value)
    elif source is not None and not isinstance(source, SimpleNamespace):
        record = source[0] if getattr(source, "shape", ()) else source
        for name in record.dtype.names:
            _override(flat, name, record[name].item())
    for name, value in overrides.items():
        _override(flat, name, value)
    return SimpleNamespace(**flat)

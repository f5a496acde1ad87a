"""The record that kernels read says what the settings say, all of it."""

from typing import Any

import pytest

from mia._fast import records
from mia.config.method import METHOD_GROUPS
from mia.config.settings import load_settings
from mia.core.kernel_params import kernel_params

FIELDS = records.PARAMS_DTYPE.names or ()
FRAMES = [f"mtf_frame_{k}" for k in range(4)]
ELSEWHERE = {"stream", "book", "gate", "cost", "fill", "risk", "exit", "ml", "account"}
"""Groups that only Python reads."""


def leaves(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}_{name}"
        flat |= leaves(key, value) if isinstance(value, dict) else {key: value}
    return flat


DEFAULTS = {
    key: value
    for name, group in METHOD_GROUPS.items()
    for key, value in leaves(name, group().model_dump()).items()
}


def setting_of(field: str) -> str:
    """Return the dotted key of a field of the record."""
    group = max((name for name in METHOD_GROUPS if field.startswith(f"{name}_")), key=len)
    rest = field.removeprefix(f"{group}_")
    return f"{group}.{rest.replace('min_strength_P', 'min_strength.P')}"


def test_each_field_of_the_record_has_the_default_of_its_setting() -> None:
    record = kernel_params()[0]
    for k, width in enumerate(DEFAULTS["mtf_frames_min"]):
        assert record[FRAMES[k]] == width
    codes = {"vwap_anchor": 0, "flow_side_fallback": 1}
    for field in set(FIELDS) - set(FRAMES):
        assert record[field] == pytest.approx(float(codes.get(field, DEFAULTS[field])))


def test_each_setting_of_a_kernels_group_has_a_field() -> None:
    for key in DEFAULTS:
        group = max((name for name in METHOD_GROUPS if key.startswith(f"{name}_")), key=len)
        if group in ELSEWHERE:
            assert key not in FIELDS
        else:
            assert key in FIELDS or key == "mtf_frames_min"


def another(key: str, value: Any) -> str:
    """Return a valid value of a setting that is not its default, as text."""
    words = {"vwap.anchor": "rth", "flow.side_fallback": "none"}
    if key in words:
        return words[key]
    if isinstance(value, bool):
        return str(not value).lower()
    if isinstance(value, int):
        return str(value - 1 if key == "feat.f6_levels" else value + 1)
    return str(value * 0.9 + 0.0137)


@pytest.mark.parametrize("field", sorted(set(FIELDS) - set(FRAMES)))
def test_a_setting_moves_its_field_and_no_other(field: str) -> None:
    key = setting_of(field)
    text = another(key, DEFAULTS[field])
    groups = load_settings(None, [f"{key}={text}"], environ={}).settings.groups()
    before, after = kernel_params()[0], kernel_params(groups)[0]
    assert [name for name in FIELDS if before[name] != after[name]] == [field]


def test_the_widths_of_the_frames_move_theirs() -> None:
    groups = load_settings(None, ["mtf.frames_min=[2,4,8,16]"], environ={}).settings.groups()
    assert [kernel_params(groups)[0][name] for name in FRAMES] == [2, 4, 8, 16]


def test_an_override_names_a_field() -> None:
    assert kernel_params(bn_window=7)[0]["bn_window"] == 7
    with pytest.raises(KeyError, match="bn_windwo is no parameter"):
        kernel_params(bn_windwo=7)

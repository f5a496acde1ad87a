"""docs/configuration.md says what the settings say."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

import mia
from mia import errors
from mia.command_line import EXIT_CODES
from mia.config.limits import LEVEL_LIMITS, MODE_LIMITS
from mia.config.method import METHOD_GROUPS
from mia.config.settings import known_keys

ROOT = Path(mia.__file__).parent.parent
PAGE = ROOT / "docs" / "configuration.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    path = ROOT / "scripts" / "make_configuration_tables.py"
    spec = importlib.util.spec_from_file_location("make_configuration_tables", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_those_that_the_script_writes(page: str, tables: ModuleType) -> None:
    assert tables.render(page) == page, "run scripts/make_configuration_tables.py"


def test_every_key_has_one_row(page: str) -> None:
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    for key in known_keys():
        assert rows.count(key) == 1, key


def test_every_group_has_a_heading(page: str) -> None:
    for group in (*METHOD_GROUPS, "general", "demo", "limits", "ibkr", "live"):
        assert f"\n### {group}\n" in page


def test_every_limit_of_every_mode_and_level_is_told(page: str) -> None:
    for columns in (MODE_LIMITS, LEVEL_LIMITS):
        assert f"| limit | {' | '.join(columns)} |" in page
        for name in next(iter(columns.values())):
            assert f"| `{name}`" in page


def test_every_exit_code_is_told_on_the_page_and_in_the_help(page: str) -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {kind.exit_code for kind in kinds if issubclass(kind, errors.MiaError)}
    assert codes == set(range(1, 9))
    for code in codes | {0, 130, 143}:
        assert f"\n| {code} |" in page
        assert f" {code} " in f" {EXIT_CODES} "


def test_keys_without_effect_are_keys(tables: ModuleType) -> None:
    assert set(known_keys()) >= tables.NO_EFFECT
    assert set(known_keys()) >= set(tables.WORDS)

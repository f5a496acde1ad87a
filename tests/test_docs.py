"""What the documents say of settings, limits and gates is what the code has."""

import doctest
import json
import re
from pathlib import Path

import pytest

from mia.config.limits import LEVEL_LIMITS, MODE_LIMITS
from mia.config.method import METHOD_GROUPS
from mia.config.settings import known_keys
from mia.core.base_types import Reason

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
METHOD = (DOCS / "method.md").read_text(encoding="utf-8")
KNOWN = known_keys()
GROUPS = {key.split(".")[0] for key in KNOWN if "." in key}
CODE = re.compile(r"`([a-z_]+)((?:\.\w+)+)(?: ?= ?([^`]+))?`")


def named_settings(text):
    """Yield (key, value or None) of each setting that stands in code style."""
    for group, rest, value in CODE.findall(text):
        if group in GROUPS and not rest.endswith((".md", ".py", ".toml", ".json", ".ndjson")):
            yield group + rest, value or None


def exists(key):
    return key in KNOWN or any(name.startswith(f"{key}.") for name in KNOWN)


def as_default(text):
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return [int(part) for part in text.split(",")] if "," in text else text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_a_page_names_exists(page) -> None:
    unknown = [
        key for key, _ in named_settings(page.read_text(encoding="utf-8")) if not exists(key)
    ]
    assert unknown == []


def test_every_default_that_the_method_states_is_the_default() -> None:
    stated = {key: value for key, value in named_settings(METHOD) if value is not None}
    stated.pop("group.name", None)
    assert len(stated) > 150
    for key, value in stated.items():
        default = KNOWN[key]
        wanted = list(default) if isinstance(default, tuple) else default
        assert as_default(value) == wanted, key


def test_every_setting_of_the_method_is_documented() -> None:
    named = set()
    for page in (DOCS / "method.md", DOCS / "configuration.md"):
        if page.exists():
            named |= {key for key, _ in named_settings(page.read_text(encoding="utf-8"))}
    missing = [key for key in KNOWN if key.split(".")[0] in METHOD_GROUPS and key not in named]
    assert missing == []


def as_limit(text):
    if text == "none":
        return float("inf")
    hours, colon, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes) if colon else float(text)


@pytest.mark.parametrize(("title", "tables"), [("mode", MODE_LIMITS), ("level", LEVEL_LIMITS)])
def test_tables_of_limits_are_those_in_force(title, tables) -> None:
    rows = METHOD.split(f"| By {title} |")[1].split("\n\n")[0].splitlines()
    columns = [cell.strip() for cell in rows[0].strip("| ").split("|")]
    assert columns == list(tables)
    found = {column: {} for column in columns}
    for row in rows[2:]:
        name, *cells = (cell.strip() for cell in row.strip("| ").split("|"))
        for column, cell in zip(columns, cells, strict=True):
            found[column][name.strip("`")] = as_limit(cell)
    assert found == tables


def test_gates_are_listed_in_the_order_of_their_codes() -> None:
    section = METHOD.split("**Gates**")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE)
    evaluated = list(Reason)[list(Reason).index(Reason.STOP_TOO_FAR) :]
    assert listed == [reason.value for reason in evaluated]


def test_examples_of_the_method_give_what_they_say() -> None:
    result = doctest.testfile(str(DOCS / "method.md"), module_relative=False, encoding="utf-8")
    assert result.attempted > 8
    assert result.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page) -> None:
    root = DOCS.parent
    text = page.read_text(encoding="utf-8")
    paths = re.findall(r"`((?:mia|tests|bench|docs|scripts)/[\w./-]+)`", text)
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    missing = [path for path in paths if not (root / path).exists()]
    missing += [link for link in links if not (page.parent / link).exists()]
    assert missing == []

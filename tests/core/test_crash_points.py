import ast
import os
import signal
import subprocess
import sys
import timeit
from pathlib import Path

import pytest

import mia
from mia.core.crash_points import CRASH_POINTS, crash_point

CODE = """
from mia.core.crash_points import crash_point
for number in range(5):
    crash_point("before_intent")
    print(number, flush=True)
    crash_point("after_intent")
"""


def run(wish: str, code: str = CODE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "MIA_CRASH_AT": wish},
    )


@pytest.mark.parametrize(
    ("wish", "lines"),
    [("after_intent", 1), ("after_intent:3", 3), ("before_intent", 0), ("before_intent:5", 4)],
)
def test_the_process_is_killed_at_the_pass_that_was_named(wish: str, lines: int) -> None:
    child = run(wish)
    assert child.returncode == -signal.SIGKILL
    assert child.stdout.count("\n") == lines


@pytest.mark.parametrize("wish", ["", "after_intent:6", "before_cycle_saved"])
def test_it_lives_when_the_place_is_not_reached(wish: str) -> None:
    child = run(wish)
    assert child.returncode == 0, child.stderr
    assert child.stdout.count("\n") == 5


@pytest.mark.parametrize(
    "wish", ["after_intend", "after_intent:x", "after_intent:0", "after_intent:"]
)
def test_a_place_that_does_not_exist_is_refused_at_once(wish: str) -> None:
    child = run(wish)
    assert child.returncode == 1
    assert "is no crash point" in child.stderr


def test_a_place_missing_from_the_list_is_found_while_places_are_in_use() -> None:
    child = run("after_intent", "from mia.core.crash_points import crash_point; crash_point('x')")
    assert "not in the list" in child.stderr


def test_the_list_is_every_place_in_the_code() -> None:
    found = set()
    for source in Path(mia.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "crash_point":
                (argument,) = node.args
                assert isinstance(argument, ast.Constant), source
                found.add(argument.value)
    assert found == set(CRASH_POINTS)


def test_a_place_costs_next_to_nothing_when_none_is_wanted() -> None:
    best = min(timeit.repeat(lambda: crash_point("after_intent"), number=10_000, repeat=5))
    assert best / 10_000 < 2e-6

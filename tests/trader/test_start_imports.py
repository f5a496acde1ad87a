"""What a trader does not wait for when it starts."""

import os
import subprocess
import sys

import pytest

from mia.trader import assembly, model_watch

SLOW = (
    "pandas",
    "pyarrow",
    "scipy",
    "mia.data.store",
    "mia.data.chains",
    "mia.performance.results",
)


@pytest.mark.parametrize("module", ["mia.trader.app", "mia.trader.live"])
def test_a_start_does_not_import_what_only_files_and_reports_need(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {SLOW!r} if name in sys.modules])"
    out = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ).stdout
    assert out.strip() == "[]"


def test_after_the_start_only_what_is_new_is_collected() -> None:
    code = (
        "import gc; from mia.trader.live_parts import settle_collector; settle_collector(); "
        "print(gc.get_freeze_count() > 10_000, len(gc.get_objects()) < 1_000)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ).stdout
    assert out.split() == ["True", "True"]


def test_events_of_models_have_one_name() -> None:
    assert assembly._MODEL_EVENT == model_watch.KIND

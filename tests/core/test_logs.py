import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from mia.core import logs

SECRET = "canary-0815-secret"


@pytest.fixture
def clean() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    hooks = sys.excepthook, threading.excepthook
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook = hooks


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("as_json", [True, False])
def test_no_secret_gets_into_a_log_whatever_way_it_takes(as_json: bool) -> None:
    out = io.StringIO()
    logs.set_up(as_json=as_json, secrets=[SECRET], stream=out)
    log = logging.getLogger("some.library")
    log.warning("the url is %s", f"https://x/{SECRET}")
    log.warning("a dictionary %(a)s", {"a": SECRET})
    try:
        raise RuntimeError(f"cannot post to https://discord.com/api/webhooks/1/{SECRET}")
    except RuntimeError:
        log.exception("it failed with %s", SECRET)
    log.error("where %s", SECRET, stack_info=True)
    log.error("wrong %d format", SECRET)
    said = out.getvalue()
    assert SECRET not in said
    assert said.count("***") >= 4
    assert "RuntimeError" in said


@pytest.mark.usefixtures("clean")
def test_each_line_of_json_says_when_who_and_what() -> None:
    out = io.StringIO()
    logs.set_up(as_json=True, stream=out)
    logging.getLogger("a.b").warning("two\nlines")
    try:
        raise ValueError("bad")
    except ValueError:
        logging.getLogger("c").exception("it failed")
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert first["level"] == "WARNING"
    assert first["logger"] == "a.b"
    assert first["text"] == "two\nlines"
    assert first["ts"].endswith("Z")
    assert "ValueError: bad" in second["error"]


@pytest.mark.usefixtures("clean")
def test_levels_below_the_chosen_one_are_silent() -> None:
    out = io.StringIO()
    logs.set_up(logging.WARNING, stream=out)
    logging.getLogger("x").info("quiet")
    assert out.getvalue() == ""


@pytest.mark.parametrize("where", ["main", "thread"])
@pytest.mark.parametrize("set_up", [True, False])
def test_an_error_that_nobody_catches_is_told_without_secrets(where: str, set_up: bool) -> None:
    code = (
        "import os, threading; from mia.core import logs\n"
        f"logs.{'set_up()' if set_up else 'cover_tracebacks()'}\n"
        "def fail(): raise RuntimeError('lost ' + os.environ['BROKER_PASSWORD'])\n"
        + ("fail()" if where == "main" else "threading.Thread(target=fail).start()")
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"BROKER_PASSWORD": SECRET, "PYTHONPATH": ":".join(filter(None, sys.path))},
        check=False,
    )
    assert "RuntimeError: lost ***" in done.stderr
    assert SECRET not in done.stderr
    assert done.returncode == (1 if where == "main" else 0)

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mia.core.ibkr import backend as ibkr_backend
from mia.core.ibkr.backend import load_backend
from mia.errors import BrokerError, ConfigError

ROOT = Path(ibkr_backend.__file__).parents[3]


def python_of(name):
    """Interpreter of an environment with another client library, as MIA_CLIENT_ENVS names it."""
    folder = os.environ.get("MIA_CLIENT_ENVS")
    if not folder:
        pytest.skip("MIA_CLIENT_ENVS names no folder of client environments")
    python = Path(folder, name, "bin", "python")
    if not python.exists():
        pytest.skip(f"no environment {name} in {folder}")
    return str(python)


def run(python, code):
    return subprocess.run(
        [python, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_library_offers_the_versions_that_the_gateway_must_speak():
    backend = load_backend()
    assert (backend.name, backend.version) == ("ib_insync", "0.9.86")
    assert (backend.min_version, backend.max_version) == (157, 176)


def test_an_unknown_library_is_a_wrong_setting():
    with pytest.raises(ConfigError, match="choose one of ib_insync, ib_async"):
        load_backend("ibapi")


def test_a_library_that_is_not_installed_says_how_to_install_it():
    with pytest.raises(BrokerError, match=r"pip install ib_async==2\.1\.0"):
        load_backend("ib_async")


@pytest.mark.parametrize("where", ["outside a loop", "inside a loop"])
def test_loading_neither_warns_nor_touches_the_loop_of_the_caller(where):
    load = "load_backend(); assert asyncio.get_running_loop() is loop"
    code = "import asyncio\nfrom mia.core.ibkr.backend import load_backend\n" + (
        "async def main():\n    loop = asyncio.get_running_loop()\n    "
        + load.replace("; ", "\n    ")
        + "\nasyncio.run(main())"
        if where == "inside a loop"
        else "load_backend()\nasync def main(): return 1\nassert asyncio.run(main()) == 1"
    )
    done = run(sys.executable, code)
    assert (done.returncode, done.stderr) == (0, "")


def test_ib_async_loads_in_an_environment_of_its_own():
    code = (
        "from mia.core.ibkr.backend import load_backend\n"
        "b = load_backend('ib_async'); print(b.version, b.min_version, b.max_version)"
    )
    done = run(python_of("ib_async"), code)
    assert (done.stdout.strip(), done.stderr) == ("2.1.0 157 178", "")


def test_the_loop_writes_to_sockets_at_once():
    loop = ibkr_backend.new_event_loop()
    try:
        assert isinstance(loop, asyncio.SelectorEventLoop)
    finally:
        loop.close()

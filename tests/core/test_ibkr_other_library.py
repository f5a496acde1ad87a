"""The same scene in environments with each client library, against a gateway of its own process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mia.core.ibkr import backend as ibkr_backend

ROOT = Path(ibkr_backend.__file__).parents[3]
SCENE = Path(__file__).with_name("ibkr_async_scene.py")


@pytest.fixture
def gateway_port():
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mia.cli",
            "gateway",
            "--port",
            "0",
            "--speed",
            "20",
            "--max-version",
            "178",
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = server.stdout.readline()
        yield int(line.rpartition(":")[2])
    finally:
        server.terminate()
        server.wait(10)
        server.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize(("library", "version"), [("ib_insync", 176), ("ib_async", 178)])
def test_a_bracket_is_traded_through_either_library(library, version, gateway_port):
    python = sys.executable
    if library != "ib_insync":
        folder = os.environ.get("MIA_CLIENT_ENVS")
        if not folder or not Path(folder, library, "bin", "python").exists():
            pytest.skip(f"MIA_CLIENT_ENVS names no folder with an environment {library}")
        python = str(Path(folder, library, "bin", "python"))
    done = subprocess.run(
        [python, "-W", "error", str(SCENE), str(gateway_port), library],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{library} {version} ")

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import pytest
from search_samples import run

from mia.errors import ConfigError, MiaError
from mia.optimize import pool
from mia.optimize.pool import Pool, Tls

Client = pytest.importorskip("distributed").Client
pytestmark = pytest.mark.slow


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextmanager
def command(module, *arguments, cwd):
    """Start a command of Dask as its documentation does, and end it."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", f"distributed.cli.{module}", *arguments],
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(port):
    until = time.monotonic() + 90
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the scheduler did not start within 90 s")


@contextmanager
def cluster(folder, scheme, workers, *security):
    port = free_port()
    address = f"{scheme}://127.0.0.1:{port}"
    with ExitStack() as stack:
        scheduler = (
            "--host", f"{scheme}://127.0.0.1", "--port", str(port), "--no-dashboard", *security,
        )  # fmt: skip
        stack.enter_context(command("dask_scheduler", *scheduler, cwd=folder))
        wait_for(port)
        arguments = (address, "--nthreads", "1", "--no-nanny", "--no-dashboard", *security)
        started = [
            stack.enter_context(
                command("dask_worker", *arguments, "--local-directory", str(folder), cwd=folder)
            )
            for _ in range(workers)
        ]
        yield address, started


def wait_for_workers(address, count):
    """The cluster is as large as it will be, so that each worker gets some of the work."""
    with Client(address, timeout=30, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=90)


def outcomes(path):
    with sqlite3.connect(path) as db:
        return dict(db.execute("SELECT key, outcome FROM tasks WHERE state = 'done'"))


def workers_of(path):
    with sqlite3.connect(path) as db:
        return {row[0] for row in db.execute("SELECT worker FROM tasks WHERE state = 'done'")}


def test_a_cluster_yields_the_bits_of_one_process_though_a_worker_is_killed(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    alone = run(here, trials=5)
    with cluster(tmp_path, "tcp", 3) as (address, workers):
        wait_for_workers(address, 3)
        killed = []

        def kill_one(done, total):
            if done == 4 and not killed:
                killed.append(workers[0].pid)
                workers[0].send_signal(signal.SIGKILL)

        found = run(there, kill_one, trials=5, cluster=address)
    assert killed
    assert found.ran == 24
    assert outcomes(there / "ledger.sqlite") == outcomes(here / "ledger.sqlite")
    assert found.report == alone.report
    took_part = {int(name.rsplit(":", 1)[1]) for name in workers_of(there / "ledger.sqlite")}
    # The cluster may have put a new process in the place of the one that was killed.
    assert len(took_part & {worker.pid for worker in workers}) >= 2
    assert os.getpid() not in took_part


def certificates(folder):
    """Make a small authority and one certificate that it signed."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("req", "-newkey", "rsa:2048", "-nodes", "-subj")
    openssl(*new, "/CN=mia-test-ca", "-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem")
    openssl(*new, "/CN=mia-test", "-keyout", "key.pem", "-out", "request.pem")
    sign = ("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key")
    openssl(*sign, "-CAcreateserial", "-days", "2", "-out", "cert.pem")
    return Tls(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl on PATH")
def test_a_cluster_with_certificates_takes_who_has_one_and_nobody_else(tmp_path):
    tls = certificates(tmp_path)
    security = (
        "--tls-ca-file", str(tls.ca), "--tls-cert", str(tls.cert), "--tls-key", str(tls.key),
    )  # fmt: skip
    with cluster(tmp_path, "tls", 2, *security) as (address, _):
        with pytest.raises(MiaError, match="no Dask scheduler answers"):
            Pool(1, address.replace("tls", "tcp"))
        found = run(tmp_path, trials=1, cluster=address, tls=tls)
    assert found.ran == 8


def test_a_cluster_of_one_core_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "WORKERS_SECONDS", 5.0)
    with (
        cluster(tmp_path, "tcp", 1) as (address, _),
        pytest.raises(MiaError, match="two are the least"),
    ):
        Pool(1, address)


def test_a_scheduler_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "CONNECT_SECONDS", 2.0)
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(MiaError, match="dask scheduler"):
        Pool(1, address)
    files = Tls(tmp_path / "a", tmp_path / "b", tmp_path / "c")
    with pytest.raises(ConfigError, match="tls://"):
        Pool(1, address, files)
    with pytest.raises(ConfigError, match="give --cluster"):
        Pool(1, None, files)

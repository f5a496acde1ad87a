"""Workers that run tasks: processes of this machine, or those of a Dask cluster; one call site."""

import math
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any

from mia.errors import ConfigError, MiaError
from mia.optimize.trial import Done, Failure, Task, run_tasks

AT_LEAST_SECONDS = 1.0
"""What one call of a worker should take: sending it costs milliseconds."""

WATCH_SECONDS = 1.0
CONNECT_SECONDS = 15.0
WORKERS_SECONDS = 60.0
"""How long a cluster may take to have two cores: with one, joblib would run every task here."""
SILENCE_SECONDS = 3600.0
"""How long one call may take on a cluster: joblib tells nobody of a task that Dask gave up."""
RESTARTS = 3
"""Times in a row that workers may die without any of them finishing a task."""


class TaskError(RuntimeError):
    """A task failed by an error that nobody expected; the text is the worker's traceback."""


class WorkersLostError(MiaError):
    """Workers died again and again without finishing anything."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Files that encrypt and authenticate the connection to a cluster."""

    ca: Path
    cert: Path
    key: Path


class Pool:
    """Runs tasks and hands out results as they come.

    Parameters
    ----------
    jobs : int
        Processes of this machine; on a cluster the workers that there are count.
    cluster : str, optional
        Address of a Dask scheduler, as ``tcp://10.0.0.5:8786``.
    tls : Tls, optional
        For an address that begins with ``tls://``.

    Raises
    ------
    ConfigError
        If Dask is not installed, or `tls` and the address do not go together.
    MiaError
        If there is no scheduler at the address, or its workers have less than two cores.
    """

    def __init__(self, jobs: int, cluster: str | None = None, tls: Tls | None = None) -> None:
        self._jobs = jobs
        self._stack = ExitStack()
        self._seconds = math.nan
        self._cluster = cluster
        if cluster is not None:
            self._stack.enter_context(_client(cluster, tls))
        elif tls is not None:
            raise ConfigError("the --tls options are about a cluster: give --cluster too")

    def __enter__(self) -> "Pool":
        """Return the pool itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the processes that the pool started; leave those of a cluster alone."""
        self._stack.close()
        if self._cluster is None:
            from joblib.externals.loky import get_reusable_executor

            get_reusable_executor().shutdown(wait=True, kill_workers=True)

    def run(self, tasks: Sequence[Task]) -> Iterator[Done]:
        """Run tasks, in any order, and yield each result when it is there.

        When workers die, what they had not handed in is run again on new ones.

        Raises
        ------
        WorkersLostError
            If workers die and die without finishing a task.
        """
        left = {task.key: task for task in tasks}
        deaths = 0
        while left:
            try:
                for done in self._once(list(left.values())):
                    del left[done.key]
                    deaths = 0
                    yield done
            except Exception as error:
                if not _is_death(error):
                    raise
                deaths += 1
                if deaths >= RESTARTS:
                    raise WorkersLostError(
                        f"workers died {deaths} times in a row without a result "
                        f"({type(error).__name__}): not enough memory? finished trials are kept"
                    ) from error

    def _once(self, tasks: Sequence[Task]) -> Iterator[Done]:
        from joblib import Parallel, delayed

        with self._backend():
            # Two calls wait for each worker: no worker idles, and no estimate is stale for long.
            parallel = Parallel(
                return_as="generator_unordered",
                batch_size=1,
                pre_dispatch="2 * n_jobs",
                timeout=None if self._cluster is None else SILENCE_SECONDS,
            )
            call = run_tasks if self._cluster is not None else partial(run_while, os.getpid())
            results = parallel(delayed(call)(part) for part in self._parts(tasks))
            try:
                for part in results:
                    if isinstance(part, Failure):
                        raise part.error or TaskError(part.text)
                    for done in part:
                        self._learn(done.seconds)
                        yield done
            finally:
                results.close()

    def _backend(self) -> AbstractContextManager[Any]:
        from joblib import parallel_config

        config: AbstractContextManager[Any]
        if self._cluster is not None:
            config = parallel_config(backend="dask", wait_for_workers_timeout=60)
        else:
            config = parallel_config(backend="loky", n_jobs=self._jobs, inner_max_num_threads=1)
        return config

    def _learn(self, seconds: float) -> None:
        self._seconds = seconds if math.isnan(self._seconds) else (3 * self._seconds + seconds) / 4

    def _parts(self, tasks: Sequence[Task]) -> Iterator[list[Task]]:
        """Cut tasks into calls of about a second, smaller towards the end."""
        start = 0
        while start < len(tasks):
            size = 1
            if not math.isnan(self._seconds):
                size = math.ceil(AT_LEAST_SECONDS / max(self._seconds, 1e-3))
            size = max(1, min(size, (len(tasks) - start) // (4 * self._jobs)))
            yield list(tasks[start : start + size])
            start += size


def run_while(coordinator: int, tasks: Sequence[Task]) -> list[Done] | Failure:
    """Run tasks in a process that ends when its coordinator does.

    Parameters
    ----------
    coordinator : int
        Its process id; a worker that outlived it would work for nobody, and hold memory.
    """
    if os.getpid() != coordinator:
        _watch(coordinator)
    return run_tasks(tasks)


@cache
def _watch(coordinator: int) -> None:
    if sys.platform == "win32":
        # There a parent's id stays after its death; idle workers end by themselves in time.
        return

    def watch() -> None:
        while os.getppid() == coordinator:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="coordinator-watch", daemon=True).start()


def _is_death(error: Exception) -> bool:
    """Tell whether an error says that a worker ended, rather than that a task failed."""
    from concurrent.futures.process import BrokenProcessPool

    # loky's own error is a kind of the standard one; Dask's need not be importable here.
    return isinstance(error, BrokenProcessPool | TimeoutError) or type(error).__name__ in (
        "KilledWorker",
        "TerminatedWorkerError",
    )


@contextmanager
def _client(address: str, tls: Tls | None) -> Iterator[None]:
    try:
        from distributed import Client, Security
    except ImportError:
        raise ConfigError(
            "--cluster needs Dask: pip install 'mia-trading[dask]' here and on every worker"
        ) from None
    encrypted = address.startswith("tls://")
    if tls is not None and not encrypted:
        raise ConfigError(f"the --tls options need an address as tls://..., was {address}")
    security = None
    if tls is not None:
        security = Security(  # type: ignore[no-untyped-call]  # distributed has no types
            tls_ca_file=str(tls.ca),
            tls_client_cert=str(tls.cert),
            tls_client_key=str(tls.key),
            require_encryption=True,
        )
    try:
        client = Client(  # type: ignore[no-untyped-call]  # distributed has no types
            address, security=security, timeout=CONNECT_SECONDS, set_as_default=True
        )
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise MiaError(
            f"no Dask scheduler answers at {address} ({type(error).__name__}): start one with "
            "`dask scheduler`, see docs/scaling.md"
        ) from None
    with client:
        _wait_for_cores(client, address)
        yield


def _wait_for_cores(client: Any, address: str) -> None:
    until = time.monotonic() + WORKERS_SECONDS
    while (cores := sum(client.ncores().values())) < 2:
        if time.monotonic() > until:
            raise MiaError(
                f"the workers of {address} have {cores} cores, and two are the least: start more "
                "with `dask worker`, or leave out --cluster"
            )
        time.sleep(0.1)

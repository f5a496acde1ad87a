"""One search from data to report: what `mia optimize` and scripts call."""

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mia.data.tape import Tape
from mia.optimize.columns import columns_of
from mia.optimize.folds import make_folds
from mia.optimize.ledger import Ledger
from mia.optimize.pool import Pool, Tls
from mia.optimize.report import report_of
from mia.optimize.sampling import make_sampler
from mia.optimize.space import check_space, read_space
from mia.optimize.study import Coordinator, Plan
from mia.optimize.trial import Place
from mia.optimize.variant import Base

Progress = Callable[[int, int], None]
Bar = Callable[[str], AbstractContextManager[Progress]]
"""Shows progress of what is named, while the block runs."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a search is asked to do, as of the command line.

    Attributes
    ----------
    space : Path
        File of the space.
    profile : str, optional
    given : sequence of str
        Settings as ``key=value``.
    scheme, sampler, objective : str
    folds, train, warmup, embargo : int
        As of `mia.optimize.folds.make_folds`.
    trials, seed : int
    prune : bool
    bar_seconds : int, optional
        Width of bars that are made of trades first.
    jobs : int
        Worker processes.
    cluster : str, optional
    tls : Tls, optional
    ledger, columns : Path
        File of the ledger, and folder of the columns.
    store, vix : Path, optional
        Where VIX and calendar are.
    """

    space: Path
    profile: str | None
    given: Sequence[str]
    scheme: str
    sampler: str
    objective: str
    folds: int
    train: int
    warmup: int
    embargo: int
    trials: int
    seed: int
    prune: bool
    bar_seconds: int | None
    jobs: int
    cluster: str | None
    tls: Tls | None
    ledger: Path
    columns: Path
    store: Path | None = None
    vix: Path | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A finished search.

    Attributes
    ----------
    report : dict
        As of `mia.optimize.report.report_of`.
    reused, ran : int
        Results that the ledger had, and those made now.
    seconds : float
        Processor time of all results.
    """

    report: dict[str, Any]
    reused: int
    ran: int
    seconds: float


def now() -> datetime:
    """Return the time of this machine; the ledger notes it, no result depends on it."""
    return datetime.now(UTC)


def search(wishes: Wishes, tape: Tape, market: str, bar: Bar) -> Found:
    """Run a search, or what is left of one that was interrupted.

    Parameters
    ----------
    wishes : Wishes
    tape : Tape
    market : str
        Instrument, or name of the synthetic market: variants tried on it count together.
    bar : callable

    Raises
    ------
    ConfigError
        If space, scheme, sampler or settings are refused.
    DataError
        If the data do not suffice.
    AlreadyRunning
        If another coordinator has the ledger.
    MiaError
        If the workers are lost.
    """
    width = tape.width_s if wishes.bar_seconds is None else wishes.bar_seconds
    base = Base(wishes.profile, wishes.given, width)
    space = read_space(wishes.space)
    check_space(space, base.load, base.effect)
    loaded = base.load({})
    sampler = make_sampler(wishes.sampler, space, wishes.trials, wishes.seed, prune=wishes.prune)
    with bar("columns") as progress:
        columns = columns_of(tape, wishes.columns, wishes.bar_seconds, progress)
    folds = make_folds(
        wishes.scheme, columns.spans(), wishes.folds, wishes.train, wishes.warmup, wishes.embargo
    )
    plan = Plan(
        base,
        space,
        folds,
        Place.of(columns, wishes.store, wishes.vix),
        market,
        wishes.sampler,
        wishes.objective,
        wishes.seed,
        wishes.trials,
        wishes.prune,
        wishes.warmup,
        wishes.embargo,
        wishes.train,
        wishes.folds,
    )
    owner = f"{socket.gethostname()}:{os.getpid()}"
    with (
        Ledger(wishes.ledger, owner, now) as book,
        Pool(wishes.jobs, wishes.cluster, wishes.tls) as pool,
        bar("trials") as progress,
    ):
        study = Coordinator(plan, columns, book, pool, sampler, progress).run()
    report = report_of(study, loaded.settings.account.start_equity)
    return Found(report, study.reused, study.ran, study.seconds)

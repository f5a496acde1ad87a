"""A study: parameter sets asked for, run in blocks by workers, kept in the ledger."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mia.core.statistics import Floats, sharpe
from mia.data.digest import digest
from mia.errors import ConfigError, DataError
from mia.optimize import ledger as states
from mia.optimize.columns import Columns
from mia.optimize.folds import Folds
from mia.optimize.ledger import Ledger, StudyFacts
from mia.optimize.pool import Pool
from mia.optimize.sampling import Sampler, Values
from mia.optimize.space import Space
from mia.optimize.trial import Outcome, Place, Task, Trade
from mia.optimize.variant import Base, code_hash, pack, source_hash

Progress = Callable[[int, int], None]
OBJECTIVES = ("sharpe", "net_usd")


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides what a study does.

    Attributes
    ----------
    base : Base
    space : Space
    folds : Folds
    place : Place
    market : str
        Instrument, or name of the synthetic market.
    sampler, objective : str
    seed, trials : int
        Trials beside the first, which has the settings as they are.
    prune : bool
    warmup, embargo, train, tests : int
        As of `mia.optimize.folds.make_folds`.
    """

    base: Base
    space: Space
    folds: Folds
    place: Place
    market: str
    sampler: str
    objective: str
    seed: int
    trials: int
    prune: bool = False
    warmup: int = 2
    embargo: int = 1
    train: int = 1
    tests: int = 5


@dataclass(frozen=True, slots=True)
class Trial:
    """One parameter set and what it earned.

    Attributes
    ----------
    number : int
        0 is the set of the settings as they are.
    params : dict
        Values by dotted key; empty for number 0.
    params_hash : str
        Of what the settings come to.
    state : str
        ``complete``, ``pruned``, ``repeated`` or ``invalid``.
    note : str, optional
        Why it is invalid, or which trial it repeats.
    net : ndarray of float64, shape (sessions,)
        Net USD of each session; nan where a pruned trial did not run. Empty if nothing ran.
    trades : tuple of Trade
    bars : int
    halted : int
        Blocks in which the rules stopped the account for good.
    """

    number: int
    params: Values
    params_hash: str
    state: str
    note: str | None
    net: Floats
    trades: tuple[Trade, ...]
    bars: int
    halted: int


@dataclass(frozen=True, slots=True)
class Study:
    """A finished study.

    Attributes
    ----------
    plan : Plan
    facts : StudyFacts
    ids : list of int
        Sessions, yyyymmdd.
    trials : list of Trial
    tried : list of float
        Sharpe ratio of every variant of this market in the ledger, those of other studies too.
    reused, ran : int
        Results that the ledger had already, and those made now.
    seconds : float
        Processor time of all results, whenever they were made.
    """

    plan: Plan
    facts: StudyFacts
    ids: list[int]
    trials: list[Trial]
    tried: list[float]
    reused: int
    ran: int
    seconds: float


def score(objective: str, net: Floats) -> float | None:
    """Return the objective of results by session, None where it is undefined."""
    if objective == "net_usd":
        return float(np.sum(net)) if len(net) else None
    value = sharpe(net).value
    return value if np.isfinite(value) else None


def facts_of(plan: Plan, columns: Columns) -> StudyFacts:
    """Describe a study; its name changes with whatever may change a result."""
    code = code_hash()
    loaded = plan.base.load({})
    spec = {
        "space": plan.space.plain(),
        "base": plan.base.effect(loaded),
        "scheme": plan.folds.scheme,
        "tests": plan.tests,
        "train": plan.train,
        "warmup": plan.warmup,
        "embargo": plan.embargo,
        "sampler": plan.sampler,
        "seed": plan.seed,
        "prune": plan.prune,
        "objective": plan.objective,
        "width_s": columns.width_s,
    }
    # What a sampler learns depends on how many it may ask for; drawn sets do not.
    if plan.sampler == "tpe":
        spec["trials"] = plan.trials
    data = digest(columns.sha256, plan.place.inputs)
    return StudyFacts(
        digest(spec, data, code), plan.market, columns.ids[0], columns.ids[-1], data, code, spec
    )


class Coordinator:
    """Asks the sampler, sends tasks, and notes what comes back.

    Parameters
    ----------
    plan : Plan
    columns : Columns
    book : Ledger
    pool : Pool
    sampler : Sampler
    progress : callable
        Called with tasks done and tasks known of.
    """

    def __init__(
        self,
        plan: Plan,
        columns: Columns,
        book: Ledger,
        pool: Pool,
        sampler: Sampler,
        progress: Progress,
    ) -> None:
        self._plan = plan
        self._columns = columns
        self._book = book
        self._pool = pool
        self._sampler = sampler
        self._progress = progress
        self._facts = facts_of(plan, columns)
        self._sources = source_hash()
        self._outcomes: dict[str, Outcome] = {}
        self._seen: dict[str, int] = {}
        self._trials: list[Trial] = []
        self._reused = self._ran = self._done = 0
        self._known = (plan.trials + 1) * len(plan.folds.blocks)

    def run(self) -> Study:
        """Run what the ledger does not have yet.

        Raises
        ------
        ConfigError
            If no trial could be run.
        DataError
            If data are missing or two workers disagree.
        """
        if self._plan.sampler == "tpe" and not self._plan.folds.walks:
            raise ConfigError(
                f"--sampler tpe learns before the tests, and {self._plan.folds.scheme} tests "
                "everywhere: choose --scheme anchored or rolling, or another sampler"
            )
        self._book.open_study(self._facts)
        self._round([{}], drawn=False)
        while sets := self._sampler.ask():
            self._sampler.tell(self._round(sets, drawn=True))
        if not any(trial.state == states.COMPLETE for trial in self._trials):
            raise ConfigError("no trial could be run: every parameter set was refused or pruned")
        tried = self._book.tried(
            self._facts.market, self._facts.first_session, self._facts.last_session
        )
        seconds, _ = self._book.effort(list(self._outcomes))
        return Study(
            self._plan,
            self._facts,
            list(self._columns.ids),
            self._trials,
            [float("nan") if value is None else value for value in tried],
            self._reused,
            self._ran,
            seconds,
        )

    def _round(self, sets: Sequence[Values], *, drawn: bool) -> list[float | None]:
        """Run one round; return what the sampler is told of each set."""
        first = len(self._trials)
        fresh: dict[int, tuple[Values, str, Mapping[str, Any]]] = {}
        for k, values in enumerate(sets):
            self._open(first + k, values, fresh)
        training = self._plan.folds.training_blocks()
        others = [b for b in range(len(self._plan.folds.blocks)) if b not in training]
        kept = set(fresh)
        if drawn and self._plan.prune:
            self._execute(fresh, fresh, training)
            steps = {n - first: self._steps(fresh[n][1], training) for n in fresh}
            kept = {first + k for k in self._sampler.keeps(steps)}
            self._execute(fresh, kept, others)
        else:
            self._execute(fresh, fresh, [*training, *others])
        for number, (_, params_hash, _) in fresh.items():
            self._close(number, params_hash, pruned=number not in kept)
        end = int(self._plan.folds.splits[0].test[0]) if self._plan.folds.walks else None
        return [self._told(number, end) for number in range(first, first + len(sets))]

    def _open(
        self, number: int, values: Values, fresh: dict[int, tuple[Values, str, Mapping[str, Any]]]
    ) -> None:
        study = self._facts.study
        empty = np.zeros(0)
        try:
            loaded = self._plan.base.load(values)
        except ConfigError as error:
            self._book.ask(study, number, "", values, states.INVALID, str(error))
            self._trials.append(
                Trial(number, values, "", states.INVALID, str(error), empty, (), 0, 0)
            )
            return
        params_hash = self._plan.base.effect(loaded)
        if params_hash in self._seen:
            note = f"the same as trial {self._seen[params_hash]}"
            self._book.ask(study, number, params_hash, values, states.REPEATED, note)
            self._trials.append(
                Trial(number, values, params_hash, states.REPEATED, note, empty, (), 0, 0)
            )
            return
        self._seen[params_hash] = number
        self._book.ask(study, number, params_hash, values, states.ASKED)
        self._trials.append(Trial(number, values, params_hash, states.ASKED, None, empty, (), 0, 0))
        fresh[number] = (values, params_hash, pack(loaded))

    def _key(self, params_hash: str, block: int) -> str:
        place = self._plan.folds.blocks[block]
        ids = self._columns.ids
        return digest(
            params_hash,
            self._facts.data_hash,
            self._facts.code_hash,
            ids[place.warm],
            ids[place.first],
            ids[place.stop - 1],
        )

    def _execute(
        self,
        fresh: Mapping[int, tuple[Values, str, Mapping[str, Any]]],
        numbers: Iterable[int],
        blocks: Sequence[int],
    ) -> None:
        tasks: dict[str, Task] = {}
        leases = []
        for number in numbers:
            _, params_hash, packed = fresh[number]
            for block in blocks:
                key = self._key(params_hash, block)
                place = self._plan.folds.blocks[block]
                tasks[key] = Task(
                    key,
                    self._plan.place,
                    place.warm,
                    place.first,
                    place.stop,
                    packed,
                    self._sources,
                )
                leases.append(
                    (key, params_hash, self._facts.data_hash, self._facts.code_hash,
                     f"{place.first}-{place.stop}")
                )  # fmt: skip
        held = self._book.outcomes(list(tasks))
        for key, text in held.items():
            self._outcomes[key] = Outcome.of(text)
        self._reused += len(held)
        self._advance(len(held))
        self._book.lease(lease for lease in leases if lease[0] not in held)
        for done in self._pool.run([task for key, task in tasks.items() if key not in held]):
            self._book.finish(done)
            self._outcomes[done.key] = Outcome.of(done.outcome)
            self._ran += 1
            self._advance(1)

    def _advance(self, count: int) -> None:
        self._done += count
        self._progress(self._done, max(self._known, self._done))

    def _steps(self, params_hash: str, training: Sequence[int]) -> list[float | None]:
        """Return the objective after each training block."""
        parts: list[Floats] = []
        found = []
        for block in training:
            parts.append(np.array(self._outcomes[self._key(params_hash, block)].net))
            found.append(score(self._plan.objective, np.concatenate(parts)))
        return found

    def _close(self, number: int, params_hash: str, *, pruned: bool) -> None:
        net = np.full(self._plan.folds.sessions, np.nan)
        trades: list[Trade] = []
        bars = halted = 0
        for k, block in enumerate(self._plan.folds.blocks):
            outcome = self._outcomes.get(self._key(params_hash, k))
            if outcome is None:
                continue
            if len(outcome.net) != block.stop - block.first:
                raise DataError(f"the ledger's result of trial {number} has other sessions")
            net[block.first : block.stop] = outcome.net
            trades += outcome.trades
            bars += outcome.bars
            halted += outcome.halted > 0
        state = states.PRUNED if pruned else states.COMPLETE
        ratio = sharpe(net[np.isfinite(net)]).value
        kept = float(ratio) if np.isfinite(ratio) else None
        self._book.close_trial(self._facts.study, number, state, kept)
        asked = self._trials[number]
        self._trials[number] = Trial(
            number, asked.params, params_hash, state, None, net, tuple(trades), bars, halted
        )

    def _told(self, number: int, end: int | None) -> float | None:
        """Return what a sampler may know of a trial: nothing from the tests of a walk."""
        trial = self._trials[number]
        if trial.state == states.REPEATED:
            trial = self._trials[self._seen[trial.params_hash]]
        if not len(trial.net) or end is None:
            return None
        return score(self._plan.objective, trial.net[:end])

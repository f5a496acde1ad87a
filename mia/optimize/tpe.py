"""Optuna as the one who proposes: its memory is its own, the ledger is the truth."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mia.errors import ConfigError
from mia.optimize.sampling import Values
from mia.optimize.space import Parameter, Space

if TYPE_CHECKING:
    import optuna

STARTUP = 8


class TreeParzen:
    """Tree-structured Parzen estimator of Optuna, asked and told in rounds.

    A round has the same size however many workers there are, and is told in the order of its
    trials, so that a study is the same with one worker as with many, and the same again when it
    is resumed.

    Parameters
    ----------
    space : Space
    trials : int
    seed : int
    prune : bool
        Give up sets that lie below the median of the earlier ones after a training block.
    round_size : int

    Raises
    ------
    ConfigError
        If Optuna is not installed.

    Notes
    -----
    Bergstra, Bardenet, Bengio and Kegl (2011), "Algorithms for hyper-parameter optimization".
    """

    def __init__(
        self, space: Space, trials: int, seed: int, *, prune: bool = False, round_size: int = 8
    ) -> None:
        try:
            import optuna
        except ImportError:
            raise ConfigError(
                "--sampler tpe needs Optuna: pip install 'mia-trading[optuna]', or choose sobol"
            ) from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        self._left = trials
        self._round_size = round_size
        pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
        if prune:
            pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP)
        self._study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP),
            pruner=pruner,
        )
        self._states = optuna.trial.TrialState
        self._asked: list[optuna.trial.Trial] = []
        self._pruned: set[int] = set()

    def ask(self) -> Sequence[Values]:
        """Return the sets of the next round."""
        size = min(self._round_size, self._left)
        self._left -= size
        self._asked = [self._study.ask() for _ in range(size)]
        self._pruned = set()
        return [
            {p.name: _suggest(trial, p) for p in self._space.parameters} for trial in self._asked
        ]

    def tell(self, scores: Sequence[float | None]) -> None:
        """Take the objective of each set of the round; without one it failed."""
        for k, (trial, score) in enumerate(zip(self._asked, scores, strict=True)):
            if k in self._pruned:
                self._study.tell(trial, state=self._states.PRUNED)
            elif score is None:
                self._study.tell(trial, state=self._states.FAIL)
            else:
                self._study.tell(trial, score)

    def keeps(self, steps: Mapping[int, Sequence[float | None]]) -> set[int]:
        """Report the objective after each training block, and ask which sets go on."""
        kept = set()
        for k, scores in steps.items():
            trial = self._asked[k]
            for step, score in enumerate(scores):
                if score is not None and step not in _reported(trial):
                    trial.report(score, step)
            if trial.should_prune():
                self._pruned.add(k)
            else:
                kept.add(k)
        return kept


def _reported(trial: "optuna.trial.Trial") -> set[int]:
    frozen = trial.study.get_trials(deepcopy=False)[trial.number]
    return set(frozen.intermediate_values)


def _suggest(trial: "optuna.trial.Trial", parameter: Parameter) -> Any:
    name = parameter.name
    if parameter.count:
        # A step of the range or the place of a choice: `at` gives the value.
        k = trial.suggest_int(name, 0, parameter.count - 1)
        return parameter.at((k + 0.5) / parameter.count)
    value = trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log)
    return parameter.at(parameter.place(value))

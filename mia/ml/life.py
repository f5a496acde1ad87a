"""The life of the models of an account: collect, shadow, gate, and back.

One step looks at every labelled trade that is known by then, in the order in which trades closed:
a model that decides is demoted if it must be, a shadow is promoted if it may be, and every 50
trades a new shadow is trained. A run is lived through as the trader would have lived it: no step
sees a trade that had not closed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mia
from mia.errors import DataError
from mia.ml.dataset import LabelledTrades
from mia.ml.demotion import judge_gate
from mia.ml.flat_model import FAMILIES, LOGISTIC, Scorer
from mia.ml.promotion import WINDOW, Differences, differences
from mia.ml.registry import Current, Registry, StoredModel
from mia.ml.scores import log_losses
from mia.ml.training import BOOSTED_FROM, train

RETRAIN_TRADES = 50
DEMOTIONS_TO_RETIRE = 2
LABEL = "net R > 0 of the managed trade; refused by the model only: followed on paper"

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Change:
    """One change of what is in use: its event, and facts as plain values."""

    event: str
    facts: dict[str, Any]

    @property
    def text(self) -> str:
        """One line for people."""
        words = ", ".join(f"{name} {_short(value)}" for name, value in self.facts.items())
        return f"model {self.event.lower().replace('_', ' ')}: {words}"


def _short(value: Any) -> str:
    if isinstance(value, str) and len(value) == 64:
        return value[:12]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def demoted(current: Current, family: str) -> Current:
    """Return what is in use after the model that decides was demoted.

    It does not become a shadow itself: a new one is trained and must pass the test again.
    """
    count = current.demotions.get(family, 0) + 1
    retired = current.retired
    if count >= DEMOTIONS_TO_RETIRE and family not in retired:
        retired = (*retired, family)
    return replace(
        current,
        gate="",
        gate_since=0,
        demotions={**current.demotions, family: count},
        retired=retired,
    )


def enabled(current: Current, family: str) -> Current:
    """Return what is in use after a person allowed a retired family again.

    Raises
    ------
    DataError
        If it is not retired.
    """
    if family not in current.retired:
        raise DataError(f"the family {family} is not retired: there is nothing to enable")
    demotions = {name: n for name, n in current.demotions.items() if name != family}
    retired = tuple(name for name in current.retired if name != family)
    return replace(current, demotions=demotions, retired=retired)


def shadow_differences(stored: StoredModel, later: LabelledTrades) -> Differences | None:
    """Compare a shadow with its base rate on the last 50 trades since its training.

    None while there are fewer.
    """
    if len(later) < WINDOW:
        return None
    last = later.take(slice(len(later) - WINDOW, None))
    base = np.full(WINDOW, float(stored.manifest["base_rate"]))
    p = Scorer(stored.model).probabilities(last.x)
    return differences(p, last.y, last.r, last.tau, last.sessions, base, resamples=1)


def promotion_obstacle(
    current: Current, registry: Registry, known: LabelledTrades
) -> tuple[str | None, dict[str, Any]]:
    """Say what keeps the shadow from deciding, and the facts of the judgement.

    Parameters
    ----------
    known : LabelledTrades
        In order of their exits.

    Returns
    -------
    obstacle : str or None
        None if it may be promoted now.
    facts : dict
    """
    if not current.shadow:
        return "there is no shadow model", {}
    shadow = registry.load(current.shadow)
    if shadow.manifest["family"] in current.retired:
        return f"the family {shadow.manifest['family']} is retired", {}
    if not shadow.manifest["promotion"]["passed"]:
        return "it did not pass the promotion test on out-of-fold predictions", {}
    later = known.take(known.starts > shadow.manifest["last_exit"])
    found = shadow_differences(shadow, later)
    if found is None:
        return f"{len(later)} of {WINDOW} shadow trades are closed", {}
    facts = {"loss_gain": found.loss_gain, "r_gain": found.r_gain, "taken": found.taken}
    if not found.positive:
        return "its shadow trades do not show both differences above 0", facts
    if current.gate:
        last = later.take(slice(len(later) - WINDOW, None))
        losses = [
            float(log_losses(Scorer(stored.model).probabilities(last.x), last.y).mean())
            for stored in (shadow, registry.load(current.gate))
        ]
        if not losses[0] < losses[1]:
            return "the model that decides was better on the same trades", facts
    return None, facts


def promoted(current: Current, last_exit: int) -> Current:
    """Return what is in use after the shadow was promoted."""
    previous = (*current.previous, current.gate) if current.gate else current.previous
    return replace(current, gate=current.shadow, shadow="", previous=previous, gate_since=last_exit)


def usable_families(current: Current, trades: int) -> tuple[str, ...]:
    """Return the families that may be trained: not retired, and trees from 500 trades on."""
    return tuple(
        name
        for name in FAMILIES
        if name not in current.retired and (name == LOGISTIC or trades >= BOOSTED_FROM)
    )


def step(
    registry: Registry,
    known: LabelledTrades,
    min_trades: int,
    ts: int,
    *,
    demote_on_moved_inputs: bool = True,
) -> list[Change]:
    """Take one step with every trade that has closed.

    Parameters
    ----------
    known : LabelledTrades
        In order of their exits.
    min_trades : int
        ``ml.min_trades``.
    ts : int
        Now, ns UTC: the exit of the newest trade, or the clock.
    demote_on_moved_inputs : bool
        ``ml.demote_on_moved_inputs``.

    Returns
    -------
    list of Change
    """
    changes: list[Change] = []
    current = registry.current()

    def change(after: Current, event: str, **facts: Any) -> Current:
        registry.activate(after, event, ts, trades=len(known), **facts)
        changes.append(Change(event, {"trades": len(known), **facts}))
        return after

    if current.gate:
        stored = registry.load(current.gate)
        trained = known.take(known.ends <= stored.manifest["last_exit"])
        reason = judge_gate(
            stored,
            known.take(known.starts > current.gate_since),
            trained if demote_on_moved_inputs else None,
        )
        if reason is not None:
            family = str(stored.manifest["family"])
            current = change(
                demoted(current, family), "DEMOTED", model=stored.sha256, reason=reason
            )
    last_exit = int(known.ends.max()) if len(known) else 0
    obstacle, facts = promotion_obstacle(current, registry, known)
    if obstacle is None:
        current = change(promoted(current, last_exit), "PROMOTED", model=current.shadow, **facts)
    families = usable_families(current, len(known))
    due = not current.shadow or len(known) - current.trained_trades >= RETRAIN_TRADES
    if len(known) >= min_trades and families and due:
        sha256, passed = _train(registry, known, families)
        # Training took a while, and the trader may have demoted meanwhile.
        after = replace(registry.current(), shadow=sha256, trained_trades=len(known))
        change(after, "TRAINED", model=sha256, passed=passed)
    return changes


def _train(
    registry: Registry, known: LabelledTrades, families: tuple[str, ...]
) -> tuple[str, bool]:
    data = known.take(np.argsort(known.starts, kind="stable"))
    model, facts = train(data, families)
    refits = sum(change["event"] == "TRAINED" for change in registry.history())
    manifest = {
        **facts,
        "label": LABEL,
        "trades": len(data),
        "wins": int(data.y.sum()),
        "first_session": int(data.sessions[0]),
        "last_session": int(data.sessions.max()),
        "last_exit": int(data.ends.max()),
        "data_sha256": data.digest(),
        "refits_before": refits,
        "code_version": mia.__version__,
        "scikit_learn": version("scikit-learn"),
        "numpy": np.__version__,
    }
    return registry.save(model, manifest, data.x), bool(facts["promotion"]["passed"])


def live_through(
    registry: Registry,
    data: LabelledTrades,
    min_trades: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    demote_on_moved_inputs: bool = True,
) -> list[Change]:
    """Take every step that is due, as if trades had closed one after the other.

    Parameters
    ----------
    data : LabelledTrades
        All that is known by now; goes on from where an earlier call ended.
    demote_on_moved_inputs : bool
        ``ml.demote_on_moved_inputs``.

    Returns
    -------
    list of Change
    """
    known = data.take(np.argsort(data.ends, kind="stable"))
    begun = registry.current().trained_trades
    first = begun + RETRAIN_TRADES if begun else min_trades
    counts = [*range(first, len(known) + 1, RETRAIN_TRADES)]
    if not counts or counts[-1] != len(known):
        counts.append(len(known))
    changes: list[Change] = []
    for k, count in enumerate(counts):
        ts = int(known.ends[count - 1]) if count else 0
        changes += step(
            registry,
            known.take(slice(0, count)),
            min_trades,
            ts,
            demote_on_moved_inputs=demote_on_moved_inputs,
        )
        progress(k + 1, len(counts))
    return changes

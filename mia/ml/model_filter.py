"""The model as the trading cycle sees it: asked at each proposal, watched at each result.

It follows the registry's pointer at session breaks, loads only what verifies, demotes by itself,
and never stops trading: whatever is wrong with a model, the cycle goes on without one, and whoever
gave the notes is told.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np

from mia.core.trading_types import ClosedTrade, Context, Decision, Proposal
from mia.errors import MiaError
from mia.ml.dataset import LabelledTrades, decision_row
from mia.ml.drift import LossCusum
from mia.ml.flat_model import Scorer
from mia.ml.inputs import input_vector, recorded_vector
from mia.ml.life import demoted
from mia.ml.promotion import WINDOW, demotion_reason
from mia.ml.registry import Current, Registry, StoredModel
from mia.ml.scores import log_losses

Note = Callable[[str, str, dict[str, Any]], None]
"""Called with a level (INFO, WARNING, CRITICAL), one line for people, and facts to be kept."""

_OPEN = 64


def no_notes(level: str, text: str, facts: dict[str, Any]) -> None:
    """Tell nobody."""


class ModelFilter:
    """A `SignalFilter` over a registry, and an `EventSink` that learns of results.

    Parameters
    ----------
    registry : Registry
    note : callable
    writes : bool
        Whether a demotion is written to the registry; a backtest leaves it alone.

    Attributes
    ----------
    current : Current
        What the pointer said when it was last read.
    stage : str
        ``gate``, ``shadow`` or ``collect``: what is really in use.
    asked : int
        Probabilities given, shadow ones included.
    """

    def __init__(self, registry: Registry, note: Note = no_notes, *, writes: bool = True) -> None:
        self._registry = registry
        self._note = note
        self._writes = writes
        self.current = Current()
        self.asked = 0
        self._gate: StoredModel | None = None
        self._gate_score: Scorer | None = None
        self._shadow_score: Scorer | None = None
        self._refused = ""
        self._stepped_back: set[str] = set()
        self._vectors: dict[tuple[str, int], tuple[Decision, float]] = {}
        self._results: deque[tuple[float, float, float, float]] = deque(maxlen=WINDOW)
        self._cusum = LossCusum(0.0, 1.0)
        self._now = 0
        self.reload()

    @property
    def stage(self) -> str:
        """What is really in use."""
        if self._gate_score is not None:
            return "gate"
        return "shadow" if self._shadow_score is not None else "collect"

    @property
    def model(self) -> str:
        """Hash of the model that decides or else is watched, empty without one."""
        if self._gate_score is not None:
            return self.current.gate
        return self.current.shadow if self._shadow_score is not None else ""

    def reload(self) -> None:
        """Follow the pointer, if it names other models than before."""
        try:
            found = self._registry.current()
        except MiaError as error:
            self._gate = self._gate_score = self._shadow_score = None
            self.current = Current()
            self._refuse("pointer", str(error))
            return
        if found.gate in self._stepped_back:
            # The pointer could not be changed, as in a backtest or on a full disk.
            found = replace(found, gate="")
        if found == self.current:
            return
        before, self.current = self.current, found
        if found.gate != before.gate:
            self._gate = self._load(found.gate)
            self._gate_score = None if self._gate is None else Scorer(self._gate.model)
            self._results.clear()
            if self._gate is not None:
                facts = self._gate.manifest
                self._cusum = LossCusum(facts["loss_mean"], facts["loss_std"])
        if found.shadow != before.shadow:
            shadow = self._load(found.shadow)
            self._shadow_score = None if shadow is None else Scorer(shadow.model)
        if before.gate and sum(found.demotions.values()) > sum(before.demotions.values()):
            self._say_demoted_elsewhere(before.gate)
        elif before.gate and found.gate in ("", *before.previous):
            self._say_rolled_back(before.gate)
        self._tell("INFO", f"model stage {self.stage}", "MODEL_LOADED")

    def _say_demoted_elsewhere(self, sha256: str) -> None:
        """Tell of a demotion that another process has written, as the training does each day."""
        reason = "by another process"
        try:
            for change in self._registry.history():
                if change.get("event") == "DEMOTED" and change.get("model") == sha256:
                    reason = str(change.get("reason", reason))
        except MiaError as error:
            reason = f"the reason cannot be read: {error}"
        text = f"model {sha256[:12]} was demoted: {reason}"
        facts = {"event": "MODEL_DEMOTED", "stage": self.stage, "model": sha256, "text": text}
        self._note("WARNING", text, facts)

    def _say_rolled_back(self, sha256: str) -> None:
        """Tell that a person put back the model before, or none."""
        left = f"model {self.current.gate[:12]} decides" if self.current.gate else "none decides"
        text = f"model {sha256[:12]} was rolled back: {left}"
        facts = {"event": "MODEL_ROLLED_BACK", "stage": self.stage, "model": sha256, "text": text}
        self._note("WARNING", text, facts)

    def prime(self, trades: LabelledTrades) -> None:
        """Let the model that decides be judged by results of earlier runs as well.

        Parameters
        ----------
        trades : LabelledTrades
            Those since its promotion count.
        """
        if self._gate_score is None:
            return
        later = trades.take(np.argsort(trades.ends, kind="stable"))
        later = later.take(later.starts > self.current.gate_since)
        p = self._gate_score.probabilities(later.x)
        for row in zip(p, later.y, later.r, later.tau, strict=True):
            self._judge(*(float(value) for value in row))

    def probability(self, context: Context, proposal: Proposal) -> float | None:
        """Return P(net R > 0) of the model that decides, None without one. Never raises."""
        self._now = context.ts
        try:
            row = input_vector(context, proposal)
            if self._shadow_score is not None:
                self._say_shadow(context, self._shadow_score.probability(row))
            if self._gate_score is None:
                return None
            found = self._gate_score.probability(row)
            if not (isfinite(found) and 0.0 <= found <= 1.0):
                raise ValueError(f"a probability of {found}")
        except Exception as error:
            self._gate_score = self._shadow_score = None
            self._refuse("inference", f"the model failed and is not asked any more: {error!r}")
            return None
        self.asked += 1
        return found

    def _say_shadow(self, context: Context, p: float) -> None:
        facts = {"ts": context.ts, "model": self.current.shadow, "p": p}
        self.asked += 1
        self._note("INFO", "", {"event": "MODEL_SHADOW", **facts})

    def publish(self, topic: str, event: object) -> None:
        """Take what the cycle tells: sessions, decisions, and results."""
        if topic == "session":
            self.reload()
        elif topic == "decision":
            assert isinstance(event, Decision)
            self.remember(event)
        elif topic in ("closed", "followed") and self._gate_score is not None:
            assert isinstance(event, ClosedTrade)
            self._take_result(event)

    def remember(self, decision: Decision) -> None:
        """Keep a decision, to judge the model by what becomes of it; an earlier run's as well."""
        if self._gate_score is None or decision.ts <= self.current.gate_since:
            return
        gate = next((g for g in decision.gates if g.code.value == "MODEL" and g.known), None)
        if gate is not None:
            self._vectors[decision.contract, decision.ts] = (decision, gate.limit)
            while len(self._vectors) > _OPEN:
                del self._vectors[next(iter(self._vectors))]

    def _take_result(self, trade: ClosedTrade) -> None:
        self._now = trade.ts_exit
        known = self._vectors.pop((trade.contract, trade.ts_signal), None)
        if known is None or self._gate_score is None:
            return
        decision, tau = known
        row = decision_row(decision)
        gates = {gate["code"]: gate for gate in row["gates"]}
        vector = recorded_vector(
            decision.proposal.side, decision.features, decision.valid, decision.parts, gates
        )
        p = self._gate_score.probability(vector)
        self._judge(p, float(trade.r_multiple > 0.0), trade.r_multiple, tau)

    def _judge(self, p: float, y: float, r: float, tau: float) -> None:
        if self._gate is None or self._gate_score is None:
            return
        self._results.append((p, y, r, tau))
        loss = float(log_losses(np.array([p]), np.array([y]))[0])
        reason = "drift: the log-loss rose steadily" if self._cusum.add(loss) else None
        if reason is None and len(self._results) == WINDOW:
            ps, ys, rs, taus = np.array(self._results).T
            reason = demotion_reason(ps, ys, rs, taus, self._gate.manifest["base_rate"])
        if reason is not None:
            self._demote(self._gate, reason)

    def _demote(self, stored: StoredModel, reason: str) -> None:
        self._gate = self._gate_score = None
        self._stepped_back.add(stored.sha256)
        after = demoted(self.current, str(stored.manifest["family"]))
        facts = {"model": stored.sha256, "reason": reason}
        if self._writes:
            try:
                # Somebody may have changed the pointer since: only what decided is taken back.
                now = self._registry.current()
                if now.gate == stored.sha256:
                    after = demoted(now, str(stored.manifest["family"]))
                    self._registry.activate(after, "DEMOTED", self._now, **facts)
                # A person who puts it back later means it.
                self._stepped_back.discard(stored.sha256)
            except MiaError as error:
                self._tell("CRITICAL", f"the demotion was not written: {error}", "MODEL_REFUSED")
        self.current = replace(after, gate="")
        if not after.shadow:
            self._shadow_score = None
        self._tell("WARNING", f"model {stored.sha256[:12]} was demoted: {reason}", "MODEL_DEMOTED")

    def _load(self, sha256: str) -> StoredModel | None:
        if not sha256:
            return None
        try:
            return self._registry.load(sha256)
        except MiaError as error:
            self._refuse(sha256, str(error))
        except Exception as error:
            self._refuse(sha256, f"model {sha256[:12]} cannot be loaded: {error!r}")
        return None

    def _refuse(self, what: str, text: str) -> None:
        if self._refused != what + text:
            self._refused = what + text
            self._tell("CRITICAL", f"{text}; trading goes on without a model", "MODEL_REFUSED")

    def _tell(self, level: str, text: str, event: str) -> None:
        facts = {"event": event, "stage": self.stage, "model": self.model, "text": text}
        self._note(level, text, facts)

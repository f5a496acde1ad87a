"""What a run has counted, by the names under which screens and metrics show it."""

from collections.abc import Callable
from typing import Any

from mia.core.base_types import OrderRole
from mia.core.broker_types import LinkState
from mia.core.trading_types import ClosedTrade, Decision, Fill
from mia.execution.orders.states import Alarm, Trouble
from mia.execution.position.open_position import Position
from mia.execution.reconciler import Reconciliation

TOPICS = (
    *("decision", "sent", "refused", "fill", "unfilled", "closed", "alarm", "command", "hole"),
    *("link", "reconciled", "kill", "ready", "managed", "corrected", "feed_switch"),
)
"""Events after which a screen has something new to show, those counted here among them."""

_PLAIN = ("decisions", "accepted", "bars", "fills", "trades", "rejects", "alarms", "commands")
_OUTCOMES = ("sent", "filled", "refused", "unfilled")
_SIDES = {1: "buy", -1: "sell"}


class RunCounts:
    """Counts the events of a cycle and its session.

    A bracket counts under the side of its entry: as ``sent`` once the last gate has let it pass
    and it went to the broker, as ``refused`` if it did not get that far, as ``filled`` with its
    first entry fill, as ``unfilled`` if it ended without one.

    Attributes
    ----------
    by_name : dict of int
    reconnects : int
        How often a connection was lost; whoever publishes leaves out those of start and end.
    holes : int
    reconciled_at : int or None
        When the book was last made equal to the broker's, ns UTC; set from outside.
    """

    def __init__(self) -> None:
        self.by_name = dict.fromkeys(_PLAIN, 0)
        for side in _SIDES.values():
            self.by_name |= {f"orders_{side}_{outcome}": 0 for outcome in _OUTCOMES}
        self.by_name |= {"frames": 0, "frames_dropped": 0}
        self.reconnects = self.holes = 0
        self.reconciled_at: int | None = None
        self._differed: set[str] = set()
        self._ready = {"market": True, "orders": True}
        self._waiting: list[int] = []
        self._filled = ""
        self._take: dict[str, Callable[[Any], None]] = {
            "decision": self._on_decision,
            "sent": self._on_sent,
            "refused": self._on_refused,
            "fill": self._on_fill,
            "unfilled": self._on_unfilled,
            "closed": self._on_closed,
            "alarm": self._on_alarm,
            "command": self._on_command,
            "hole": self._on_hole,
            "link": self._on_link,
            "reconciled": self._on_reconciled,
        }

    @property
    def mismatches(self) -> int:
        """Orders and contracts whose state at the broker differed from what we believed."""
        return len(self._differed)

    def publish(self, topic: str, event: Any) -> None:
        """Take an event."""
        take = self._take.get(topic)
        if take is not None:
            take(event)

    def settle(self) -> None:
        """Count as sent what was not refused while it was being sent."""
        for side in self._waiting:
            self._add(side, "sent")
        self._waiting.clear()

    def add(self, name: str, times: int = 1) -> None:
        """Count something by its name."""
        self.by_name[name] = self.by_name.get(name, 0) + times

    def _add(self, side: int, outcome: str) -> None:
        self.by_name[f"orders_{_SIDES[int(side)]}_{outcome}"] += 1

    def _on_decision(self, decision: Decision) -> None:
        self.by_name["decisions"] += 1
        self.by_name["accepted"] += decision.accepted
        name = f"reason_{decision.reason.value}"
        self.by_name[name] = self.by_name.get(name, 0) + 1

    def _on_sent(self, position: Position) -> None:
        self.settle()
        self._waiting.append(position.decision.proposal.side)

    def _on_refused(self, event: tuple[Decision, Exception]) -> None:
        self._waiting.clear()
        self._add(event[0].proposal.side, "refused")

    def _on_fill(self, fill: Fill) -> None:
        self.by_name["fills"] += 1
        if fill.role is OrderRole.ENTRY and fill.bracket_id != self._filled:
            self._filled = fill.bracket_id
            self._add(fill.side, "filled")

    def _on_unfilled(self, decision: Decision) -> None:
        self._add(decision.proposal.side, "unfilled")

    def _on_closed(self, trade: ClosedTrade) -> None:
        self.by_name["trades"] += 1

    def _on_alarm(self, alarm: Alarm) -> None:
        self.by_name["alarms"] += 1
        self.by_name["rejects"] += alarm.trouble is Trouble.REJECT

    def _on_command(self, command: object) -> None:
        self.by_name["commands"] += 1

    def _on_hole(self, hole: object) -> None:
        self.holes += 1

    def _on_link(self, event: tuple[str, LinkState, str]) -> None:
        name, state, _ = event
        ready = state is LinkState.READY
        self.reconnects += self._ready[name] and not ready
        self._ready[name] = ready

    def _on_reconciled(self, result: Reconciliation) -> None:
        self._differed.update(
            result.adopted, result.vanished, result.inferred, result.foreign, result.quarantined
        )

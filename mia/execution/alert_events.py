"""From the events of a run to alerts: what a person should know of them, and how urgently.

A subscriber of the event bus. What it writes is one line in a file (`mia.core.alert_file`); it
never talks to a network, so whoever reads and sends alerts cannot hold the cycle up.
"""

from collections.abc import Callable
from typing import Any

from mia.config.instruments import TICK
from mia.core.alert_file import AlertFile, AlertLevel
from mia.core.base_types import TradingState
from mia.core.broker_types import LinkState
from mia.core.market_feed import FeedNotice, FeedNoticeKind
from mia.data.feed_switches import FeedDoubt, FeedSwitch, SwitchReason
from mia.execution.kill_switch import Cause, Rule
from mia.execution.orders.states import Alarm, Trouble

_INFO, _WARNING, _CRITICAL = AlertLevel.INFO, AlertLevel.WARNING, AlertLevel.CRITICAL
_URGENT = frozenset(
    {
        Trouble.UNPROTECTED,
        Trouble.OVERFILL,
        Trouble.DUPLICATE_ORDER,
        Trouble.UNKNOWN_POSITION,
        Trouble.RUNAWAY,
        Trouble.JOURNAL,
        Trouble.STUCK,
        Trouble.FILLS_MISSING,
    }
)
_BAD_NOTICES = frozenset(
    {
        FeedNoticeKind.WAITING,
        FeedNoticeKind.REWRITTEN,
        FeedNoticeKind.GAP,
        FeedNoticeKind.LINK_DOWN,
    }
)
_NOT_YET = frozenset({Rule.BROKER_LOST, Rule.DATA_STALE, Rule.CLOCK_SKEW})
_URGENT_RULES = frozenset(
    {Rule.DAY_LOSS_R, Rule.DAILY_LOSS, Rule.UNHANDLED_EXCEPTION, Rule.JOURNAL, Rule.POSITION_LIMIT}
)


class AlertEvents:
    """Writes alerts; subscribe `publish` to all topics.

    Parameters
    ----------
    file : AlertFile
    now, wall : callable
        Time of the run and of the machine, ns UTC.
    held : callable
        Says what is open, empty if nothing is.

    Attributes
    ----------
    is_over : bool
        The run has ended: connections that are closed now are not lost.
    """

    def __init__(
        self,
        file: AlertFile,
        now: Callable[[], int],
        wall: Callable[[], int],
        held: Callable[[], str],
    ) -> None:
        self.file = file
        self._now = now
        self._wall = wall
        self.is_over = False
        self._up: dict[str, bool] = {}
        self._held = held
        self._is_ready = False
        self._state = TradingState.NORMAL
        self._takers: dict[str, Callable[[Any], None]] = {
            "alarm": self._alarm,
            "backup": self._backup,
            "closed": self._closed,
            "command": self._command,
            "failed": self._failed,
            "feed": self._feed,
            "feed_doubt": self._feed_doubt,
            "feed_switch": self._feed_switch,
            "fill": self._fill,
            "hole": self._hole,
            "kill": self._kill,
            "late_correction": self._late_correction,
            "link": self._link,
            "model": self._model,
            "orphan_fill": self._orphan_fill,
            "ready": self._ready,
            "reconciled": self._reconciled,
            "refused": self._refused,
        }

    def publish(self, topic: str, event: Any) -> None:
        """Take an event; topics that nobody has to be told of are passed over."""
        take = self._takers.get(topic)
        if take is not None:
            take(event)

    def subscriber(self, name: str, what: str) -> None:
        """Take what the event bus says of a subscriber that fails, is cut off or is slow."""
        self.write(_WARNING, f"subscriber:{name}", f"{name} {what}")

    def state(self, state: TradingState) -> None:
        """Take the state of the kill switch; call it every second, since it also falls by timer."""
        before, self._state = self._state, state
        if state < before:
            self.write(_INFO, f"state:{state.name}", f"{before.name} is over, now {state.name}")

    def write(self, level: AlertLevel, key: str, text: str) -> None:
        """Write an alert of any kind."""
        self.file.write(level, key, text, self._now(), self._wall())

    def _kill(self, event: tuple[Cause, TradingState, TradingState]) -> None:
        cause, before, after = event
        self._state = max(self._state, after)
        if not self._is_ready and cause.rule in _NOT_YET:
            # On its way to the first connection nothing has been lost.
            return
        urgent = cause.state >= TradingState.HALT_TRADING or cause.rule in _URGENT_RULES
        urgent = urgent or (cause.rule in _NOT_YET and bool(self._held()))
        level = _CRITICAL if urgent else _WARNING
        text = f"{cause.rule.value}: {cause.state.name}"
        if cause.until is not None:
            text += f" for {max(cause.until - cause.since, 0) / 60e9:.0f} min"
        if before is not after:
            text += f", the state goes from {before.name} to {after.name}"
        self.write(level, f"kill:{cause.rule.value}", text)

    def _alarm(self, alarm: Alarm) -> None:
        urgent = alarm.trouble in _URGENT or alarm.halt >= TradingState.HALT_TRADING
        text = f"{alarm.trouble.value} {alarm.subject}: {alarm.text}"
        key = f"order:{alarm.trouble.value}:{alarm.subject}"
        self.write(_CRITICAL if urgent else _WARNING, key, text)

    def _link(self, event: tuple[str, LinkState, str]) -> None:
        name, state, reason = event
        up = state is LinkState.READY
        before = self._up.get(name)
        if self.is_over or up == before or (before is None and not up):
            return
        self._up[name] = up
        if up:
            if before is False:
                self.write(_INFO, f"link:{name}:READY", f"the {name} connection is back")
            return
        held = self._held()
        urgent = bool(held) and name == "orders"
        resting = f"; {held}, the stop rests at the broker" if urgent else ""
        self.write(
            _CRITICAL if urgent else _WARNING,
            f"link:{name}:lost",
            f"the {name} connection is lost ({reason or state.value}){resting}",
        )

    def _feed(self, event: tuple[str, FeedNotice]) -> None:
        name, notice = event
        level = _WARNING if notice.kind in _BAD_NOTICES else _INFO
        text = f"{name} {notice.kind.value}: {notice.text}"
        self.write(level, f"feed:{name}:{notice.kind.value}", text)

    def _feed_switch(self, switch: FeedSwitch) -> None:
        text = f"trades come from {switch.taken} now, no more from {switch.left}: {switch.text}"
        back = switch.reason is SwitchReason.RECOVERED
        self.write(_INFO if back else _WARNING, f"feed:switch:{switch.taken}", text)

    def _feed_doubt(self, doubt: FeedDoubt) -> None:
        self.write(_WARNING if doubt.doubted else _INFO, f"feed:doubt:{doubt.doubted}", doubt.text)

    def _backup(self, outcome: Any) -> None:
        if not outcome.good:
            self.write(_WARNING, "backup", outcome.text)

    def _hole(self, hole: Any) -> None:
        self.write(_WARNING, "feed:hole", f"trades are missing, and no source has them: {hole}")

    def _refused(self, event: tuple[Any, Any]) -> None:
        decision, refusal = event
        level = _WARNING if getattr(refusal, "counts", True) else _INFO
        text = f"an order for {decision.quantity} {decision.symbol} was not sent: {refusal}"
        self.write(level, f"refused:{getattr(refusal, 'code', 'BROKER')}", text)

    def _fill(self, fill: Any) -> None:
        verb = "bought" if fill.side > 0 else "sold"
        text = f"{verb} {fill.quantity} at {fill.price * TICK:.2f}, {fill.role.value}"
        self.write(_INFO, f"fill:{fill.bracket_id}:{fill.role.value}:{fill.ts}", text)

    def _closed(self, trade: Any) -> None:
        text = (
            f"{trade.exit_reason.value}: {trade.net_pnl:+,.2f} USD net, {trade.r_multiple:+.2f} R"
        )
        self.write(_INFO, f"closed:{trade.trade_id}", text)

    def _orphan_fill(self, fill: Any) -> None:
        text = f"a fill of {fill.bracket_id}, which was over: {fill.side * fill.quantity:+d}"
        self.write(_CRITICAL, f"orphan:{fill.bracket_id}", text)

    def _late_correction(self, change: Any) -> None:
        text = f"the broker corrected {change.exec_id} of {change.bracket_id}, which is closed"
        self.write(_WARNING, f"correction:{change.exec_id}", text)

    def _reconciled(self, result: Any) -> None:
        urgent = {"quarantined": list(result.quarantined.items())}
        urgent |= {name: getattr(result, name) for name in ("foreign", "inferred", "repaired")}
        mild = {name: getattr(result, name) for name in ("adopted", "vanished")}
        for level, names in ((_CRITICAL, urgent), (_WARNING, mild)):
            for name, found in names.items():
                if found:
                    words = ", ".join(map(str, found[:5])) + (" ..." if len(found) > 5 else "")
                    text = f"the broker's book differs from ours, {name}: {words}"
                    self.write(level, f"reconciliation:{name}", text)

    def _command(self, command: Any) -> None:
        self.write(_WARNING, f"command:{command.name}", f"mia kill {command.name} is obeyed")

    def _ready(self, event: Any) -> None:
        self._is_ready = True
        self.write(_INFO, "ready", "connected, reconciled, warmed up: the trader may trade")

    def _failed(self, error: BaseException) -> None:
        text = f"{type(error).__name__}: {error}; entries are cancelled and the position is closed"
        self.write(_CRITICAL, "failed", text)

    def _model(self, event: tuple[str, str]) -> None:
        what, text = event
        level = _INFO if what == "promoted" else _WARNING
        self.write(level, f"model:{what}", f"the model was {what}: {text}")

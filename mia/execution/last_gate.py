"""The last check before an order leaves, beneath every strategy and independent of it.

Whatever opens risk passes here and is refused unless every fact is known and within its limit.
What reduces risk is never refused. A strategy that keeps running into the gate is taken for a
runaway: after a number of refusals the gate stays shut until a person opens it.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping
from math import isfinite

from mia.config.instruments import INSTRUMENTS
from mia.core.base_types import OrderType, TradingMode, TradingState
from mia.core.trading_types import BracketOrder
from mia.errors import MiaError
from mia.execution.gate_facts import MINUTE, GateFacts, GateLimits, Refusal, Refused
from mia.execution.orders.states import UNITS

PAPER_PREFIX = "D"


class LastGate:
    """Refuses what must not leave.

    Parameters
    ----------
    limits : GateLimits
    account : str
        Account that the orders are meant for.
    mode : TradingMode
    require_armed : callable, optional
        Raises a `MiaError` while live trading is locked; without it nothing leaves in live mode.
    seen : collection of BracketOrder
        Every bracket that was ever sent, from the journal: ids serve once for ever, and rates
        count across restarts.
    note : callable, optional
        ``note(kind, payload, ts)`` writes refusals into the journal; it may raise.

    Attributes
    ----------
    halted : str
        Why the gate is shut for good; empty while it is not.
    counts : dict of Refused to int
        Refusals by code.
    """

    def __init__(
        self,
        limits: GateLimits,
        account: str,
        mode: TradingMode,
        *,
        require_armed: Callable[[], None] | None = None,
        seen: Collection[BracketOrder] = (),
        note: Callable[[str, Mapping[str, object], int], object] | None = None,
    ) -> None:
        self._limits = limits
        self._account = account
        self._mode = mode
        self._require_armed = require_armed
        self._note = note
        self._ids = {order.bracket_id for order in seen}
        ordered = sorted(seen, key=lambda order: order.ts)
        self._sent: deque[tuple[int, int, int]] = deque(
            (order.ts, order.side, order.entry) for order in ordered
        )
        self._refused_at: deque[int] = deque()
        self._now = max((order.ts for order in ordered), default=0)
        self.halted = ""
        self.counts: dict[Refused, int] = {}

    def check(self, order: BracketOrder, facts: GateFacts) -> Refusal | None:
        """Judge an order; one that passes counts as sent.

        Returns
        -------
        Refusal or None
            None lets it pass.
        """
        # A clock that goes back may not make room.
        self._now = max(self._now, facts.ts)
        try:
            refusal = self._judge(order, facts)
        except Exception as error:
            # What cannot be judged does not leave.
            refusal = Refusal(Refused.BRACKET, f"the order cannot be judged: {error}")
        if refusal is None:
            self._ids.add(order.bracket_id)
            self._sent.append((self._now, order.side, order.entry))
            return None
        self._count(order, refusal)
        return refusal

    def reopen(self) -> None:
        """Open the gate by hand after a runaway."""
        self.halted = ""
        self._refused_at.clear()

    def exit_concern(self, side: int, quantity: int, position: int) -> str:
        """Say what is odd about an exit, empty if nothing is; an exit is never refused."""
        if quantity < 1 or side not in (-1, 1):
            return f"an exit of {quantity} contracts on side {side} is none"
        if position * side >= 0:
            return f"an exit on side {side} does not reduce a position of {position}"
        if quantity > abs(position):
            return f"an exit of {quantity} contracts turns a position of {position} round"
        return ""

    def stop_concern(self, side: int, old: int, new: int, last_price: int | None) -> str:
        """Say what is odd about a new stop of a position, empty if nothing is."""
        if new <= 0:
            return f"stop {new} is no price"
        if (new - old) * side < 0:
            return f"stop {new} is looser than {old}"
        if last_price is not None and (new - last_price) * side >= 0:
            return f"stop {new} would trigger at once at {last_price}"
        return ""

    def _count(self, order: BracketOrder, refusal: Refusal) -> None:
        limits, code = self._limits, refusal.code
        self.counts[code] = self.counts.get(code, 0) + 1
        self._refused_at.append(self._now)
        while self._refused_at[0] <= self._now - limits.refusal_ns:
            self._refused_at.popleft()
        if not self.halted and len(self._refused_at) >= limits.refusals:
            self.halted = f"{len(self._refused_at)} refusals in a row of time, last {code.value}"
        if self._note is not None:
            payload = {
                "bracket_id": str(order.bracket_id),
                "code": code.value,
                "text": refusal.text,
                "halted": self.halted,
            }
            try:
                self._note("gate.refused", payload, self._now)
            except Exception as error:
                # It is refused whether or not that can be written down.
                self.halted = self.halted or f"refusals cannot be written down: {error}"

    def _judge(self, order: BracketOrder, facts: GateFacts) -> Refusal | None:
        for rule in (
            self._by_permission,
            self._by_shape,
            self._by_identity,
            self._by_market,
            self._by_price,
            self._by_position,
            self._by_rate,
        ):
            refusal = rule(order, facts)
            if refusal is not None:
                return refusal
        return None

    def _by_permission(self, order: BracketOrder, facts: GateFacts) -> Refusal | None:
        if self.halted:
            return Refusal(Refused.RUNAWAY, f"the gate is shut: {self.halted}")
        if facts.state is not TradingState.NORMAL:
            return Refusal(Refused.KILL_STATE, f"the kill switch is at {facts.state!s}")
        if not self._account or facts.account != self._account:
            return Refusal(
                Refused.ACCOUNT, f"account is {facts.account!r}, meant is {self._account!r}"
            )
        paper = facts.account.startswith(PAPER_PREFIX)
        if self._mode is TradingMode.LIVE:
            if paper:
                return Refusal(Refused.MODE, f"mode is live and {facts.account} a paper account")
            if self._require_armed is None:
                return Refusal(Refused.NOT_ARMED, "live trading is not armed")
            try:
                self._require_armed()
            except MiaError as error:
                return Refusal(Refused.NOT_ARMED, str(error))
        elif not paper:
            return Refusal(
                Refused.MODE, f"mode is {self._mode.value} and {facts.account} a live account"
            )
        if facts.why_no_risk != "":
            return Refusal(Refused.NOT_READY, str(facts.why_no_risk))
        return None

    def _by_shape(self, order: BracketOrder, facts: GateFacts) -> Refusal | None:
        limits, side = self._limits, order.side
        whole = (order.side, order.quantity, order.entry, order.stop, order.target)
        if any(type(value) is not int for value in map(_plain, whole)):
            return Refusal(Refused.BRACKET, "side, size and prices must be whole numbers")
        if order.symbol not in UNITS:
            return Refusal(Refused.BRACKET, f"{order.symbol} is not traded: use ES or MES")
        if side not in (-1, 1) or order.quantity < 1:
            text = f"side {side} and quantity {order.quantity} make no order"
            return Refusal(Refused.BRACKET, text)
        if order.entry_type is OrderType.STOP_LIMIT or min(order.entry, order.stop) <= 0:
            return Refusal(Refused.BRACKET, "an entry is MARKET, LIMIT or STOP at a price above 0")
        risk, gain = (order.entry - order.stop) * side, (order.target - order.entry) * side
        if not limits.min_stop_ticks <= risk <= limits.max_stop_ticks:
            text = f"stop is {risk} ticks from the entry, allowed are {limits.min_stop_ticks} to "
            return Refusal(Refused.BRACKET, f"{text}{limits.max_stop_ticks}")
        if not 1 <= gain <= limits.max_target_ticks:
            text = f"target is {gain} ticks from the entry, allowed are 1 to "
            return Refusal(Refused.BRACKET, f"{text}{limits.max_target_ticks}")
        if order.quantity * UNITS[order.symbol] > limits.max_size * UNITS["ES"]:
            text = f"{order.quantity} {order.symbol} exceed {limits.max_size} ES"
            return Refusal(Refused.MAX_SIZE, text)
        return None

    def _by_identity(self, order: BracketOrder, facts: GateFacts) -> Refusal | None:
        if not order.bracket_id or order.bracket_id in self._ids:
            return Refusal(Refused.DUPLICATE_ID, f"{order.bracket_id!r} was sent before")
        for ts, side, entry in reversed(self._sent):
            if ts <= self._now - self._limits.duplicate_ns:
                break
            if (side, entry) == (order.side, order.entry):
                text = f"side {side} at {entry} was sent {(self._now - ts) / 1e9:.1f} s ago"
                return Refusal(Refused.DUPLICATE_INTENT, text)
        return None

    def _by_market(self, order: BracketOrder, facts: GateFacts) -> Refusal | None:
        if facts.session_open is not True:
            return Refusal(Refused.SESSION_CLOSED, "the market is closed by its calendar")
        if facts.market_halted is not False:
            return Refusal(Refused.MARKET_HALTED, "the market is halted, or may be")
        if facts.data_valid is not True or facts.last_price is None or facts.last_price <= 0:
            text = f"market data are not valid, last price is {facts.last_price}"
            return Refusal(Refused.DATA_INVALID, text)
        age = facts.data_age_ns
        if age is None or not 0 <= age <= self._limits.stale_ns:
            seconds = self._limits.stale_ns / 1e9
            return Refusal(Refused.DATA_STALE, f"data are {age} ns old, allowed {seconds:g} s")
        return None

    def _by_price(self, order: BracketOrder, facts: GateFacts) -> Refusal | None:
        last = facts.last_price
        assert last is not None
        for limit, sign in ((facts.limit_down, 1), (facts.limit_up, -1)):
            if limit is not None:
                reach = min((p - limit) * sign for p in (order.entry, order.stop, last))
                if reach <= 0:
                    text = f"entry, stop or market is at or beyond the price limit {limit}"
                    return Refusal(Refused.PRICE_LIMIT, text)
        if not abs(order.entry - last) <= self._limits.band_ticks:
            text = f"entry {order.entry} is {abs(order.entry - last)} ticks from the last trade"
            return Refusal(Refused.PRICE_BAND, f"{text}, allowed {self._limits.band_ticks}")
        return None

    def _by_position(self, order: BracketOrder, facts: GateFacts) -> Refusal | None:
        limits = self._limits
        unit = UNITS[order.symbol]
        if facts.exposure is None or facts.exposure < 0:
            return Refusal(Refused.POSITION, "the position is not known")
        after = facts.exposure + order.quantity * unit
        if not after <= limits.max_size * UNITS["ES"]:
            text = f"the position could become {after / UNITS['ES']:g} ES"
            return Refusal(Refused.POSITION, f"{text}, allowed {limits.max_size}")
        ticks = (order.entry - order.stop) * order.side + 2 * limits.slip_ticks
        cost = 2 * limits.commission[order.symbol]
        risk = order.quantity * (ticks * INSTRUMENTS[order.symbol].tick_value + cost)
        worst = facts.realized + min(facts.open_pnl, facts.worst_pnl) - risk
        known = all(isfinite(x) for x in (facts.realized, facts.open_pnl, facts.worst_pnl))
        if not known or not worst > -limits.daily_loss_usd:
            text = f"the day could end at {worst:.2f} USD"
            return Refusal(Refused.DAILY_LOSS, f"{text}, limit -{limits.daily_loss_usd:.2f}")
        return None

    def _by_rate(self, order: BracketOrder, facts: GateFacts) -> Refusal | None:
        limits, now = self._limits, self._now
        longest = max(MINUTE, limits.reentry_ns, limits.duplicate_ns)
        while self._sent and self._sent[0][0] <= now - longest:
            self._sent.popleft()
        minute = sum(ts > now - MINUTE for ts, _, _ in self._sent)
        if minute >= limits.orders_per_minute:
            text = f"{minute} orders in 60 s, allowed {limits.orders_per_minute}"
            return Refusal(Refused.ORDER_RATE, text)
        again = sum(
            ts > now - limits.reentry_ns and side == order.side for ts, side, _ in self._sent
        )
        if again >= limits.reentries:
            text = f"{again} entries of side {order.side} in {limits.reentry_ns / 1e9:g} s"
            return Refusal(Refused.REENTRY_RATE, f"{text}, allowed {limits.reentries}")
        return None


def _plain(value: int) -> object:
    """Return what an integer of any kind is; a bool or a float stays what it is."""
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value

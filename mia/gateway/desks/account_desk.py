"""Answers questions about accounts: values, positions, profits, executions."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from mia.core.sessions import SECOND
from mia.gateway.model import ApiContract
from mia.gateway.protocol import replies
from mia.gateway.protocol.replies import Reply, zone_of
from mia.gateway.venue.account import Account
from mia.gateway.venue.executions import ExecutionFilter

if TYPE_CHECKING:
    from mia.gateway.client_session import ClientSession

INVALID = 321
SUMMARY_PERIOD = 180 * SECOND
PNL_PERIOD = SECOND
LEDGER = "$LEDGER"

Push = Callable[[], list[Reply]]


class AccountDesk:
    """Account subscriptions of one client.

    Parameters
    ----------
    session : ClientSession
    """

    def __init__(self, session: "ClientSession") -> None:
        self._session = session
        self._gateway = session.gateway
        self._updates: str | None = None
        self._positions = False
        self._position_models: dict[int, str] = {}
        self._multi: dict[int, str] = {}
        self._summaries: dict[int, Push] = {}
        self._profits: dict[int, Push] = {}
        self._sent: dict[int, list[Reply]] = {}
        self._next_summary = 0
        self._next_pnl = 0

    def close(self) -> None:
        """Keep the subscriptions: those are no market data, and end with the connection."""

    def on_account_updates(self, subscribe: bool, account: str) -> None:
        """Answer with messages 6, 7, 8 and 54, and go on when something changes."""
        if not subscribe:
            self._updates = None
            return
        held = self._account(-1, account)
        if held is None:
            return
        self._updates = held.name
        self._send_account(held)
        for contract_id, position in held.positions.items():
            if position.quantity:
                self._send_portfolio(held, contract_id)
        self._session.send(*replies.account_time(self._gateway.market.now, self._gateway.zone))
        self._session.send(*replies.account_download_end(held.name))

    def on_account_updates_multi(
        self, request_id: int, account: str, model: str, ledger: bool
    ) -> None:
        """Answer with messages 73 and 74, and go on when something changes."""
        del model, ledger
        held = self._account(request_id, account)
        if held is None:
            return
        self._multi[request_id] = held.name
        self._send_multi(request_id, held)
        self._session.send(*replies.end("account_updates_multi", request_id))

    def on_cancel_account_updates_multi(self, request_id: int) -> None:
        """End it."""
        self._multi.pop(request_id, None)

    def on_positions(self) -> None:
        """Answer with messages 61 and 62, and go on when one changes."""
        self._positions = True
        for account in self._gateway.exchange.accounts.values():
            for position in account.positions.values():
                if position.quantity:
                    self._send_position(account, position.contract)
        self._session.send(*replies.end("positions"))

    def on_cancel_positions(self) -> None:
        """End it."""
        self._positions = False

    def on_positions_multi(self, request_id: int, account: str, model: str) -> None:
        """Answer with messages 71 and 72, and go on when one changes."""
        del model
        held = self._account(request_id, account)
        if held is None:
            return
        self._position_models[request_id] = held.name
        for position in held.positions.values():
            if position.quantity:
                self._send_position_multi(request_id, held, position.contract)
        self._session.send(*replies.end("positions_multi", request_id))

    def on_cancel_positions_multi(self, request_id: int) -> None:
        """End it."""
        self._position_models.pop(request_id, None)

    def on_account_summary(self, request_id: int, group: str, tags: str) -> None:
        """Answer with messages 63 and 64, and go on every three minutes."""
        if group != "All":
            self._session.error(request_id, INVALID, f"Error validating request:-group {group}")
            return
        wanted = tuple(tag for tag in tags.split(",") if tag)

        def summary() -> list[Reply]:
            return self._summary(request_id, wanted)

        self._summaries[request_id] = summary
        self._push(request_id, summary)
        self._session.send(*replies.end("account_summary", request_id))

    def on_cancel_account_summary(self, request_id: int) -> None:
        """End it."""
        self._summaries.pop(request_id, None)
        self._sent.pop(request_id, None)

    def on_pnl(self, request_id: int, account: str, model: str) -> None:
        """Answer with message 94, and go on when it changes, once a second at most."""
        del model
        held = self._account(request_id, account)
        if held is None:
            return

        def profit() -> list[Reply]:
            now = held.profit()
            return [replies.pnl(request_id, now.daily, now.unrealized, now.realized)]

        self._profits[request_id] = profit
        self._push(request_id, profit)

    def on_cancel_pnl(self, request_id: int) -> None:
        """End it."""
        self._profits.pop(request_id, None)
        self._sent.pop(request_id, None)

    def on_pnl_single(self, request_id: int, account: str, model: str, con_id: int) -> None:
        """Answer with message 95, and go on when it changes, once a second at most."""
        del model
        held = self._account(request_id, account)
        if held is None:
            return

        def profit() -> list[Reply]:
            if con_id not in held.positions:
                return [replies.pnl_single(request_id, 0, 0.0, None, None, 0.0)]
            now, value = held.profit_of(con_id), held.value(con_id)
            return [
                replies.pnl_single(
                    request_id,
                    value.quantity,
                    now.daily,
                    now.unrealized,
                    now.realized,
                    value.market_value,
                )
            ]

        self._profits[request_id] = profit
        self._push(request_id, profit)

    def on_cancel_pnl_single(self, request_id: int) -> None:
        """End it."""
        self.on_cancel_pnl(request_id)

    def on_executions(
        self,
        request_id: int,
        client_id: int,
        account: str,
        time: str,
        symbol: str,
        sec_type: str,
        exchange: str,
        side: str,
    ) -> None:
        """Answer with messages 11 and 59 for each execution of the day, then 55."""
        session, zone = self._session, self._gateway.zone
        since = _since(time, zone)
        if since is None:
            session.error(request_id, INVALID, f"Error validating request:-time {time}")
            return
        wanted = ExecutionFilter(
            client_id or None, account, since, symbol, sec_type, exchange, side
        )
        for execution in self._gateway.exchange.find_executions(wanted):
            session.send(*replies.execution_details(session.version, request_id, execution, zone))
            session.send(*replies.commission_report(execution))
        session.send(*replies.end("executions", request_id))

    def position_changed(self, name: str, contract: ApiContract) -> None:
        """Send what a changed position changes."""
        account = self._gateway.exchange.accounts[name]
        if self._positions:
            self._send_position(account, contract)
        for request_id, model in self._position_models.items():
            if model == name:
                self._send_position_multi(request_id, account, contract)
        if self._updates == name:
            self._send_portfolio(account, contract.con_id)
            self._send_account(account)
        for request_id, multi in self._multi.items():
            if multi == name:
                self._send_multi(request_id, account)

    def sample(self, now: int) -> None:
        """Send what changes with the market."""
        if now >= self._next_pnl and self._profits:
            self._next_pnl = now + PNL_PERIOD
            for request_id, profit in self._profits.items():
                self._push(request_id, profit)
        if now >= self._next_summary and (self._summaries or self._updates):
            self._next_summary = now + SUMMARY_PERIOD
            for request_id, summary in self._summaries.items():
                self._push(request_id, summary)
            if self._updates is not None:
                account = self._gateway.exchange.accounts[self._updates]
                for con_id, position in account.positions.items():
                    if position.quantity:
                        self._send_portfolio(account, con_id)
                self._send_account(account)

    def _push(self, request_id: int, make: Push) -> None:
        made = make()
        if self._sent.get(request_id) != made:
            self._sent[request_id] = made
            for reply in made:
                self._session.send(*reply)

    def _account(self, request_id: int, name: str) -> Account | None:
        accounts = self._gateway.exchange.accounts
        found = accounts.get(name or next(iter(accounts)))
        if found is None:
            self._session.error(
                request_id, INVALID, f"Error validating request:-invalid account code {name!r}"
            )
        return found

    def _summary(self, request_id: int, tags: tuple[str, ...]) -> list[Reply]:
        made = []
        for account in self._gateway.exchange.accounts.values():
            values = account.values()
            for tag in tags:
                names = values if tag.startswith(LEDGER) else (tag,)
                made += [
                    replies.account_summary(request_id, account.name, name, *values[name])
                    for name in names
                    if name in values
                ]
        return made

    def _send_account(self, account: Account) -> None:
        for key, (value, currency) in account.values().items():
            self._session.send(*replies.account_value(account.name, key, value, currency))

    def _send_multi(self, request_id: int, account: Account) -> None:
        for key, (value, currency) in account.values().items():
            self._session.send(
                *replies.account_update_multi(request_id, account.name, key, value, currency)
            )

    def _send_portfolio(self, account: Account, con_id: int) -> None:
        held = account.value(con_id)
        prices = (
            held.market_price,
            held.market_value,
            held.average_cost,
            held.unrealized,
            held.realized,
        )
        self._session.send(
            *replies.portfolio_value(account.name, held.contract, held.quantity, prices)
        )

    def _send_position(self, account: Account, contract: ApiContract) -> None:
        held = account.positions[contract.con_id]
        self._session.send(
            *replies.position(account.name, contract, held.quantity, held.average_cost)
        )

    def _send_position_multi(
        self, request_id: int, account: Account, contract: ApiContract
    ) -> None:
        held = account.positions[contract.con_id]
        self._session.send(
            *replies.position_multi(
                request_id, account.name, contract, held.quantity, held.average_cost
            )
        )


def _since(text: str, zone: str) -> int | None:
    """Read the time of a filter, None if it is none: ``yyyymmdd-hh:mm:ss`` is UTC."""
    if not text:
        return 0
    for form, utc in (("%Y%m%d-%H:%M:%S", True), ("%Y%m%d %H:%M:%S", False)):
        try:
            moment = datetime.strptime(" ".join(text.split()[:2]), form)
            named = text.split()[2:]
            place = UTC if utc else ZoneInfo(named[0]) if named else zone_of(zone or "UTC")
        except (ValueError, KeyError, OSError):
            continue
        return int(moment.replace(tzinfo=place).timestamp()) * SECOND
    return None

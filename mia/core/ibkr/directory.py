"""Questions to a gateway about contracts."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from mia.core.ibkr.account import Receiver
from mia.core.ibkr.backend import Backend
from mia.core.ibkr.contracts import (
    FUTURES_EXCHANGE,
    INDEX_EXCHANGE,
    FutureContract,
    OptionSeries,
    choose_front,
    future_contract,
    is_root,
    parse_name,
    the_one,
)
from mia.core.ibkr.requests import RequestRefusedError
from mia.core.ibkr.session import Session
from mia.errors import BrokerError

_NOT_FOUND = 200


class Directory:
    """Contracts that a gateway knows.

    Parameters
    ----------
    session : Session
    backend : Backend
    receiver : Receiver
    """

    def __init__(self, session: Session, backend: Backend, receiver: Receiver) -> None:
        self._session = session
        self._backend = backend
        self._receiver = receiver
        self.exchanges: dict[int, str] = {}
        """Exchange by con id of every contract that was resolved."""
        requests = session.requests
        session.handle(10, self._read_details, lambda found: requests.row(*found))
        session.handle(52, lambda fields: int(fields[2]), requests.end)
        session.handle(75, _read_series, lambda found: requests.row(*found))
        session.handle(76, lambda fields: int(fields[1]), requests.end)
        session.handle(93, _read_rule, self._on_rule)

    def _read_details(self, fields: list[str]) -> Any:
        self._session.client.decoder.handlers[10](fields)
        return self._receiver.take()

    def _on_rule(self, rule: tuple[str, tuple[tuple[float, float], ...]]) -> None:
        self._session.requests.row(rule[0], rule[1])
        self._session.requests.end(rule[0])

    async def _details(self, what: str, contract: Any) -> list[Any]:
        client = self._session.client
        try:
            answer = await self._session.requests.ask(
                what, lambda number: client.reqContractDetails(number, contract)
            )
        except RequestRefusedError as error:
            if error.notice.code == _NOT_FOUND:
                return []
            raise
        return answer.rows

    async def resolve(self, name: str) -> FutureContract:
        """Return the one contract of a name; see `IbkrConnector.resolve`."""
        root, month = parse_name(name)
        wire = self._backend.contract(
            symbol=root,
            secType="FUT",
            lastTradeDateOrContractMonth=month,
            exchange=FUTURES_EXCHANGE,
            currency="USD",
        )
        contract = the_one(name, await self._details(f"contract {name}", wire))
        self.exchanges[contract.con_id] = contract.exchange
        for rule in contract.market_rules[:1]:
            await self._check_rule(contract, rule)
        return contract

    async def _check_rule(self, contract: FutureContract, rule: int) -> None:
        """Hold the tick against the rule that orders are checked by."""
        steps = (
            await self._session.requests.ask(
                f"market rule {rule}",
                lambda number: self._session.client.reqMarketRule(rule),
                kind=f"market rule {rule}",
            )
        ).rows[0]
        if any(abs(increment - contract.min_tick) > 1e-9 for _, increment in steps):
            raise BrokerError(
                f"orders of {contract.name} have steps {steps}, its tick is "
                f"{contract.min_tick:g}: prices would be refused"
            )

    async def contracts(self, root: str) -> tuple[FutureContract, ...]:
        """Return the listed contracts of a root, nearest first."""
        if not is_root(root):
            raise BrokerError(f"{root!r} is no root that MIA knows, as ES")
        wire = self._backend.contract(
            symbol=root, secType="FUT", exchange=FUTURES_EXCHANGE, currency="USD"
        )
        found = [future_contract(row) for row in await self._details(f"contracts {root}", wire)]
        self.exchanges.update((contract.con_id, contract.exchange) for contract in found)
        return tuple(sorted(found, key=lambda contract: contract.expiry))

    async def front(
        self, root: str, today: date, volumes: Mapping[str, float] | None, last_days: int
    ) -> FutureContract:
        """Return the contract to open positions in; see `IbkrConnector.front_contract`."""
        return choose_front(await self.contracts(root), today, volumes, last_days)

    async def option_series(self, underlying: str) -> Sequence[OptionSeries]:
        """Return expiries and strikes of the options on an index."""
        wire = self._backend.contract(
            symbol=underlying, secType="IND", exchange=INDEX_EXCHANGE, currency="USD"
        )
        found = await self._details(f"index {underlying}", wire)
        if len(found) != 1:
            raise BrokerError(f"the gateway knows {len(found)} indices {underlying}, not one")
        con_id = found[0].contract.conId
        client = self._session.client
        answer = await self._session.requests.ask(
            f"options on {underlying}",
            lambda number: client.reqSecDefOptParams(number, underlying, "", "IND", con_id),
        )
        return tuple(answer.rows)


def _read_series(fields: list[str]) -> tuple[int, OptionSeries]:
    count = int(fields[6])
    strikes = 7 + count
    return int(fields[1]), OptionSeries(
        exchange=fields[2],
        trading_class=fields[4],
        multiplier=fields[5],
        expiries=tuple(sorted(int(expiry) for expiry in fields[7:strikes])),
        strikes=tuple(
            sorted(float(x) for x in fields[strikes + 1 : strikes + 1 + int(fields[strikes])])
        ),
    )


def _read_rule(fields: list[str]) -> tuple[str, tuple[tuple[float, float], ...]]:
    steps = fields[3 : 3 + 2 * int(fields[2])]
    return f"market rule {fields[1]}", tuple(
        (float(steps[k]), float(steps[k + 1])) for k in range(0, len(steps), 2)
    )

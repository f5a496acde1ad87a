"""The book of fills: execution ids, corrections, and the questions clients ask about it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mia.errors import BrokerError
from mia.gateway.model import Execution, OrderRecord


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Which executions a client asks for; a field left as it is lets everything pass.

    Attributes
    ----------
    client_id : int, optional
    ts_from : int
        ns UTC.
    side : str
        ``BUY`` or ``SELL``, also as ``BOT`` or ``SLD``.
    """

    client_id: int | None = None
    account: str = ""
    ts_from: int = 0
    symbol: str = ""
    sec_type: str = ""
    exchange: str = ""
    side: str = ""

    def passes(self, execution: Execution) -> bool:
        """Tell whether an execution is asked for."""
        contract = execution.contract
        wanted = {"BUY": "BOT", "SELL": "SLD"}.get(self.side.upper(), self.side.upper())
        return (
            self.client_id in (None, execution.client_id)
            and self.account in ("", execution.account)
            and execution.ts >= self.ts_from
            and self.symbol in ("", contract.symbol)
            and self.sec_type in ("", contract.sec_type)
            and self.exchange in ("", contract.exchange)
            and wanted in ("", execution.side)
        )


class ExecutionBook:
    """Every execution of the gateway, in order.

    Parameters
    ----------
    session : int
        First part of the execution ids, as a live gateway has one per server and day.
    """

    def __init__(self, session: int) -> None:
        self._prefix = f"{session & 0xFFFFFFFF:08x}"
        self._count = 0
        self._book: dict[str, Execution] = {}

    def __iter__(self) -> Iterator[Execution]:
        """Go through the valid executions, each in its newest revision."""
        return iter(self._book.values())

    def next_id(self) -> str:
        """Return an id for the next execution; every call returns another."""
        self._count += 1
        return f"{self._prefix}.{self._count:08x}.01.01"

    def record(
        self,
        exec_id: str,
        record: OrderRecord,
        ts: int,
        quantity: int,
        price: float,
        commission: float,
        realized: float | None,
    ) -> Execution:
        """Write down a fill of an order whose record holds it already."""
        order = record.order
        execution = Execution(
            exec_id=exec_id,
            ts=ts,
            client_id=record.client_id,
            order_id=order.order_id,
            perm_id=record.perm_id,
            account=order.account,
            contract=record.contract,
            side="BOT" if order.action == "BUY" else "SLD",
            quantity=quantity,
            price=price,
            cumulative=record.filled,
            average_price=record.average_price,
            order_ref=order.order_ref,
            commission=commission,
            realized_pnl=realized,
        )
        self._book[identity(exec_id)] = execution
        return execution

    def correct(self, exec_id: str, price: float) -> tuple[Execution, Execution]:
        """Replace an execution by a revision at another price.

        Returns
        -------
        tuple of Execution
            What it was and what it is now.

        Raises
        ------
        BrokerError
            If there is no such execution.
        """
        old = self.find(exec_id)
        name, _, revision = old.exec_id.rpartition(".")
        new = replace(old, exec_id=f"{name}.{int(revision) + 1:02d}", price=price)
        self._book[name] = new
        return old, new

    def bust(self, exec_id: str) -> Execution:
        """Take an execution out of the book and return it.

        Raises
        ------
        BrokerError
            If there is no such execution.
        """
        old = self.find(exec_id)
        del self._book[identity(exec_id)]
        return old

    def find(self, exec_id: str) -> Execution:
        """Return the newest revision of an execution, by the id of any.

        Raises
        ------
        BrokerError
            If there is no such execution.
        """
        try:
            return self._book[identity(exec_id)]
        except KeyError:
            raise BrokerError(f"there is no execution {exec_id}: see the executions") from None


def identity(exec_id: str) -> str:
    """Return an execution id without its revision."""
    return exec_id.rpartition(".")[0]

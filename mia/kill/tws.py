"""The broker's socket protocol, as little of it as a kill needs: server versions 157 to 176."""

import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

from mia.errors import BrokerError

_OLDEST, _NEWEST = 157, 176
_FRAME_LIMIT = 1 << 24

OPEN_ORDER, ORDER_STATUS, ERROR, NEXT_ID, EXECUTION, ACCOUNTS = "5", "3", "4", "9", "11", "15"
POSITION, ORDERS_END, EXECUTIONS_END, POSITIONS_END = "61", "53", "55", "62"

CLIENT_ID_IN_USE = 326


class Contract(NamedTuple):
    """A contract as the broker spells it, field by field."""

    con_id: str
    symbol: str
    sec_type: str
    expiry: str
    strike: str
    right: str
    multiplier: str
    exchange: str
    currency: str
    local_symbol: str
    trading_class: str

    def fields(self) -> tuple[str, ...]:
        """Return the twelve fields of a request."""
        return (
            self.con_id,
            self.symbol,
            self.sec_type,
            self.expiry,
            self.strike or "0.0",
            self.right if self.right in ("C", "P") else "",
            self.multiplier,
            self.exchange,
            "",
            self.currency,
            self.local_symbol,
            self.trading_class,
        )


class TwsConnection:
    """One client's connection, ready for requests.

    Parameters
    ----------
    host, port
    client_id : int
        That of the dead trader: the broker lets nobody else touch its orders.
    timeout : float
        Seconds until the broker must be ready.

    Raises
    ------
    BrokerError
        If nobody answers, or another process uses the client id.

    Attributes
    ----------
    accounts : list of str
    next_id : int
        First order id that may be used.
    """

    def __init__(self, host: str, port: int, client_id: int, timeout: float) -> None:
        self._where = f"{host}:{port}"
        self._buffer = b""
        deadline = time.monotonic() + timeout
        try:
            self._socket = socket.create_connection((host, port), timeout)
        except OSError as error:
            raise BrokerError(
                f"no gateway answers at {self._where} ({error.strerror or error}): start it, or "
                "act in the broker's own program"
            ) from error
        try:
            versions = f"v{_OLDEST}..{_NEWEST}".encode()
            self._put(b"API\0" + len(versions).to_bytes(4, "big") + versions)
            self.version = self._read_version(deadline)
            self.send("71", "2", client_id, "")
            self.accounts: list[str] = []
            self.next_id = 0
            self._await_ready(client_id, deadline)
        except BaseException:
            self._socket.close()
            raise

    def send(self, *fields: object) -> None:
        """Send one message.

        Raises
        ------
        BrokerError
            If the connection is lost.
        """
        payload = "".join(f"{field}\0" for field in fields).encode("ascii", "replace")
        self._put(len(payload).to_bytes(4, "big") + payload)

    def messages(self, deadline: float) -> Iterator[list[str]]:
        """Yield what arrives until an instant of the monotonic clock.

        Raises
        ------
        BrokerError
            If the connection is lost.
        """
        while (frame := self._frame(deadline)) is not None:
            fields = frame.decode("utf-8", "replace").split("\0")
            yield fields[:-1] if fields[-1] == "" else fields

    def cancel(self, order_id: int) -> None:
        """Ask to cancel an order."""
        self.send("4", "1", order_id, *([""] if self.version >= 169 else []))

    def place_market(
        self, order_id: int, contract: Contract, quantity: int, group: str, ref: str, account: str
    ) -> None:
        """Send a market order.

        Parameters
        ----------
        quantity : int
            Positive buys, negative sells.
        group : str
            One-cancels-all group that it joins.
        """
        fields: list[object] = [
            "3",
            order_id,
            *contract.fields(),
            *("", ""),  # secIdType, secId
            "BUY" if quantity > 0 else "SELL",
            abs(quantity),
            "MKT",
            *("", ""),  # limit, stop
            *("DAY", group, account, ""),
            *(0, ref, 1, 0),  # origin, ref, transmit, parent
            *(0, 0, 0, 0),  # block, sweep, display size, trigger method
            *(1, 0, ""),  # outside liquid hours, hidden
            *(0, "", "", "", "", "", "", ""),  # discretionary amount to model code
            *(0, "", -1, 1),  # short sale slot, location, exempt code, OCA type
            *("", "", 0, "", "", 0, 0, ""),  # rule 80A to NBBO cap
            *(0, "", "", "", "", "", 0),  # auction to percentage constraints
            *("", "", "", ""),  # volatility
            *(0, "", "", ""),  # continuous update to trailing per cent
            *("", "", "", "", "", "", ""),  # scale, hedge
            *(0, "", "", 0, 0, "", ""),  # smart routing to algo id
            *(0, "", 0, 0, 0, 0),  # what-if to conditions
            *("", "", "", "", "", "", 0),  # adjusted order
            *("", "", "", ""),  # operator, soft dollar tier, cash quantity
            *("", "", "", ""),  # decision makers and algorithms
            *(0, 0, 0, ""),
        ]
        later = ((158, ""), (160, ""), (162, 0), (166, ""), (169, ""))
        fields += [value for since, value in later if self.version >= since]
        self.send(*fields)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _put(self, data: bytes) -> None:
        try:
            self._socket.settimeout(5.0)
            self._socket.sendall(data)
        except OSError as error:
            raise self._lost(error) from error

    def _frame(self, deadline: float) -> bytes | None:
        while True:
            size = int.from_bytes(self._buffer[:4], "big") if len(self._buffer) >= 4 else None
            if size is not None and size > _FRAME_LIMIT:
                raise BrokerError(f"{self._where} does not speak the broker's protocol")
            if size is not None and len(self._buffer) >= 4 + size:
                frame, self._buffer = self._buffer[4 : 4 + size], self._buffer[4 + size :]
                return frame
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            try:
                self._socket.settimeout(left)
                data = self._socket.recv(1 << 16)
            except TimeoutError:
                return None
            except OSError as error:
                raise self._lost(error) from error
            if not data:
                raise self._lost(None)
            self._buffer += data

    def _read_version(self, deadline: float) -> int:
        frame = self._frame(deadline)
        if frame is None:
            raise BrokerError(f"{self._where} accepts connections and says nothing: restart it")
        text = frame.split(b"\0")[0]
        if not text.isdigit() or not _OLDEST <= int(text) <= _NEWEST:
            raise BrokerError(f"{self._where} does not speak the broker's protocol")
        return int(text)

    def _await_ready(self, client_id: int, deadline: float) -> None:
        for message in self.messages(deadline):
            if message[0] == ACCOUNTS:
                self.accounts = [name for name in message[2].split(",") if name]
            elif message[0] == NEXT_ID:
                self.next_id = int(message[2])
            elif message[0] == ERROR and message[3] == str(CLIENT_ID_IN_USE):
                break
            if self.accounts and self.next_id:
                return
        else:
            raise BrokerError(f"the gateway at {self._where} does not get ready: restart it")
        raise BrokerError(
            f"client id {client_id} is in use at {self._where}: end the process that has it"
        )

    def _lost(self, error: OSError | None) -> BrokerError:
        why = f" ({error.strerror or error})" if error is not None else ""
        return BrokerError(f"the gateway at {self._where} hung up{why}")

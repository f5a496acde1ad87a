"""Takes commands while the gateway runs: JSON, a line each, over a port of this computer.

``{"command": "fault", "name": "drop", "when": {"message": 3}}`` adds a fault, in the words of a
scenario file. The answer is a line, ``{"ok": true, ...}`` or ``{"ok": false, "error": ...}``.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from mia.errors import ConfigError, MiaError
from mia.gateway.faults.fault_box import FaultBox
from mia.gateway.faults.scenario import read_fault
from mia.gateway.faults.target import FaultGateway

_LONGEST = 1 << 20


class ControlledGateway(FaultGateway, Protocol):
    """The gateway, as the control socket needs it."""

    def status(self) -> dict[str, Any]:
        """Return market time, clients and counts."""
        ...

    def orders(self) -> list[dict[str, Any]]:
        """Return all orders, done ones included."""
        ...

    def positions(self) -> list[dict[str, Any]]:
        """Return what the accounts hold."""
        ...

    def shutdown(self) -> None:
        """End the gateway."""
        ...


class ControlServer:
    """The control socket.

    Parameters
    ----------
    gateway : ControlledGateway
    box : FaultBox
    """

    def __init__(self, gateway: ControlledGateway, box: FaultBox) -> None:
        self._gateway = gateway
        self._box = box
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._commands: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "fault": self._fault,
            "faults": self._faults,
            "clear": self._clear,
            "thaw": self._thaw,
            "status": self._status,
            "orders": self._orders,
            "positions": self._positions,
            "place_by_hand": self._place,
            "seed_position": self._seed,
            "jump": self._jump,
            "shutdown": self._shutdown,
        }

    @property
    def port(self) -> int:
        """Port that it listens on, 0 before it does."""
        return self._server.sockets[0].getsockname()[1] if self._server else 0

    async def start(self, port: int) -> None:
        """Listen on a port of this computer; 0 takes a free one.

        Raises
        ------
        OSError
            If the port is taken.
        """
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=_LONGEST)

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.close()
            await self._server.wait_closed()

    def answer(self, line: bytes) -> dict[str, Any]:
        """Do what a line says and return the answer."""
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise ConfigError('a command is a table, as {"command": "status"}')
            name = request.pop("command", None)
            if name not in self._commands:
                known = ", ".join(sorted(self._commands))
                raise ConfigError(f"unknown command {name!r}: one of {known}")
            return {"ok": True, **self._commands[name](request)}
        except (ValueError, RecursionError) as error:
            return {"ok": False, "error": f"no JSON: {error}"}
        except MiaError as error:
            return {"ok": False, "error": str(error)}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                writer.write(json.dumps(self.answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            # The other end is gone, or sent a line without end.
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _fault(self, request: dict[str, Any]) -> dict[str, Any]:
        self._box.add(read_fault(request))
        return {"number": len(self._box.faults) - 1}

    def _faults(self, request: dict[str, Any]) -> dict[str, Any]:
        _nothing_else("faults", request)
        return {
            "faults": [
                {"name": fault.name, "seen": fault.seen, "fired": fault.fired}
                for fault in self._box.faults
            ]
        }

    def _clear(self, request: dict[str, Any]) -> dict[str, Any]:
        _nothing_else("clear", request)
        self._box.clear()
        return {}

    def _thaw(self, request: dict[str, Any]) -> dict[str, Any]:
        _nothing_else("thaw", request)
        self._box.thaw()
        return {}

    def _status(self, request: dict[str, Any]) -> dict[str, Any]:
        _nothing_else("status", request)
        return self._gateway.status()

    def _orders(self, request: dict[str, Any]) -> dict[str, Any]:
        _nothing_else("orders", request)
        return {"orders": self._gateway.orders()}

    def _positions(self, request: dict[str, Any]) -> dict[str, Any]:
        _nothing_else("positions", request)
        return {"positions": self._gateway.positions()}

    def _place(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._as_fault("manual_order", request)

    def _seed(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._as_fault("foreign_position", request)

    def _jump(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._as_fault("jump", request)

    def _as_fault(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        if "when" in request:
            raise ConfigError(f"{name} happens at once: add it as a fault to have it later")
        return self._fault({**request, "name": name})

    def _shutdown(self, request: dict[str, Any]) -> dict[str, Any]:
        _nothing_else("shutdown", request)
        self._gateway.shutdown()
        return {}


def _nothing_else(command: str, request: Mapping[str, Any]) -> None:
    left: Sequence[str] = sorted(request)
    if left:
        raise ConfigError(f"{command} takes nothing else, was given {left[0]!r}")

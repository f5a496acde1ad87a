"""A simulated gateway and a trader, each a process, and the invariants that hold between them.

The gateway's control socket tells the truth about orders, fills and positions; the journal tells
what the trader believes; a watch that looks every few milliseconds tells for how long a position
had no stop at the exchange.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mia.data import state_files
from mia.data.journal_reader import JournalReader
from mia.data.state_files import KillCommand
from mia.execution.orders.ledger import OrderLedger
from mia.gateway.faults.fault_box import FORK
from mia.trader.gateway_process import GatewayProcess, gateway_process

N = int(os.environ.get("MIA_FAULT_N", "3"))
"""How often what can be repeated is repeated."""

PART = int(os.environ.get("MIA_FAULT_PART", "0"))
ALL_FROM = 20
"""From so many on, every place, scene and case is played."""


def some(items: Sequence[Any], stride: int) -> list[Any]:
    """Return all of them, or where time is short a part: ``MIA_FAULT_PART`` chooses another."""
    if N >= ALL_FROM:
        return list(items)
    return list(items)[PART % stride :: stride]


ACCOUNT = "DU1234567"
ROOT = Path(__file__).parents[2]
WORKING = ("Submitted", "PreSubmitted", "PendingSubmit", "PendingCancel")
SPEED = 30

FAST = (
    "live.orders_per_minute=60",
    "live.reentries=100",
    "live.refusals=100",
    "live.tick_age_s=60",
)
"""Settings under which an eager strategy on a fast market is not stopped by the rates."""


class Gateway:
    """A gateway that runs, by its control socket."""

    def __init__(self, process: GatewayProcess) -> None:
        self.port = process.port
        self.process = process.process
        self._lock = threading.Lock()
        self._socket = socket.create_connection((process.host, process.control_port), 10)
        self._lines = self._socket.makefile("r", encoding="utf-8")

    def ask(self, *commands: dict[str, Any]) -> list[dict[str, Any]]:
        """Give commands at once; return their answers."""
        with self._lock:
            self._socket.sendall(b"".join(json.dumps(c).encode() + b"\n" for c in commands))
            answers = [json.loads(self._lines.readline()) for _ in commands]
        for answer in answers:
            assert answer["ok"], answer
        return answers

    def fault(self, name: str, when: dict[str, Any] | None = None, **parameters: Any) -> None:
        self.ask({"command": "fault", "name": name, "when": when or {}, **parameters})

    def clear(self) -> None:
        self.ask({"command": "clear"})

    def fired(self) -> int:
        return sum(f["fired"] for f in self.ask({"command": "faults"})[0]["faults"])

    @property
    def now(self) -> int:
        """Market time, ns UTC."""
        return int(self.ask({"command": "status"})[0]["market_time_ns"])

    def orders(self) -> list[dict[str, Any]]:
        return list(self.ask({"command": "orders"})[0]["orders"])

    def ours(self) -> list[dict[str, Any]]:
        return [order for order in self.orders() if order["order_ref"].startswith("TRADE_")]

    def working(self) -> list[dict[str, Any]]:
        return [order for order in self.orders() if order["status"] in WORKING]

    def positions(self) -> dict[str, int]:
        found = self.ask({"command": "positions"})[0]["positions"]
        return {p["contract"]: int(p["quantity"]) for p in found}

    def jump(self, seconds: float) -> None:
        """Let the market run on at once."""
        self.ask({"command": "jump", "seconds": seconds})

    def close(self) -> None:
        with self._lock:
            self._lines.close()
            self._socket.close()


@contextmanager
def gateway(
    folder: Path,
    *more: str,
    speed: float = SPEED,
    market: str = "synth:11:20250310:2",
    trades: int = 60_000,
    clock: float = 9.75,
) -> Iterator[Gateway]:
    """Run a gateway until the block is left; its market begins at an hour of New York."""
    arguments = [
        *("--market", market, "--trades-per-day", str(trades), "--account", ACCOUNT),
        *("--control-port", "0", *more),
    ]
    if "--lockstep" not in more:
        arguments += ["--speed", str(speed)]
    with gateway_process(arguments, folder / "gateway.log") as process:
        here = Gateway(process)
        try:
            # The session of the market opens at 18:00 of the day before.
            here.jump((clock + 6.0) * 3600)
            yield here
        finally:
            here.close()


@dataclass
class Naked:
    """For how long positions had no stop of their size at the exchange."""

    longest: float = 0.0
    spells: int = 0
    looks: int = 0
    largest: int = 0


class Watch:
    """Looks at the exchange every `every` seconds, in a thread, until it is left."""

    def __init__(self, gateway: Gateway, every: float = 0.02) -> None:
        self.naked = Naked()
        self.error: BaseException | None = None
        self._gateway = gateway
        self._every = every
        self._since: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join(10)
        if error[0] is None and self.error is not None:
            raise AssertionError("the watch could not look") from self.error

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._every):
                self._look()
        except (OSError, ValueError) as error:
            if not self._stop.is_set():
                self.error = error

    def _look(self) -> None:
        orders, positions = self._gateway.ask({"command": "orders"}, {"command": "positions"})
        now, naked = time.monotonic(), self.naked
        held = {p["contract"]: int(p["quantity"]) for p in positions["positions"]}
        naked.looks += 1
        for contract, quantity in held.items():
            naked.largest = max(naked.largest, abs(quantity))
            action = "SELL" if quantity > 0 else "BUY"
            covered = sum(
                order["quantity"] - order["filled"]
                for order in orders["orders"]
                if order["contract"] == contract
                and order["action"] == action
                and order["type"] in ("STP", "MKT")
                and order["status"] in WORKING
            )
            if covered >= abs(quantity):
                self._since.pop(contract, None)
            else:
                if contract not in self._since:
                    naked.spells += 1
                since = self._since.setdefault(contract, now)
                naked.longest = max(naked.longest, now - since)
        for contract in set(self._since) - set(held):
            del self._since[contract]


@dataclass
class Trader:
    """A trader process and what it has told."""

    process: subprocess.Popen[str]
    log: Path
    began: float
    events: list[dict[str, Any]] = field(default_factory=list)

    def of(self, *names: str) -> list[dict[str, Any]]:
        return [event for event in list(self.events) if event["event"] in names]

    def passed(self) -> list[dict[str, Any]]:
        """Return the brackets that were sent and not refused by the last gate."""
        found: list[dict[str, Any]] = []
        for event in self.of("sent", "refused"):
            if event["event"] == "sent":
                found.append(event)
            else:
                found.pop()
        # The gate speaks right after the cycle: what is newer than that may still be refused.
        return [event for event in found if time.monotonic() - event["at"] > 0.05]

    def wait(
        self,
        condition: Callable[[], object],
        what: str,
        seconds: float = 30.0,
        *,
        alive: bool = True,
    ) -> None:
        """Wait until something holds; fail with what the trader said if it does not."""
        until = time.monotonic() + seconds
        while not condition():
            dead = alive and self.process.poll() is not None
            if dead and condition():
                return
            if dead or time.monotonic() > until:
                raise AssertionError(f"{'it died' if dead else 'no'}: {what}\n{self.told()}")
            time.sleep(0.005)

    def wait_for(self, name: str, count: int = 1, seconds: float = 30.0) -> None:
        self.wait(lambda: len(self.of(name)) >= count, f"{count} x {name}", seconds)

    def ready(self, seconds: float = 30.0) -> float:
        """Wait for READY; return seconds since the process was started."""
        self.wait_for("ready", 1, seconds)
        return float(self.of("ready")[0]["at"]) - self.began

    def kill(self, number: int = signal.SIGKILL) -> int:
        self.process.send_signal(number)
        return self.end()

    def end(self, seconds: float = 20.0) -> int:
        """Wait for the end; return the exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"it does not end\n{self.told()}") from None

    def told(self) -> str:
        words = self.log.read_text(encoding="utf-8", errors="replace")[-3000:]
        return "\n".join(map(str, self.events[-25:])) + "\n" + words


@contextmanager
def trader(
    gateway: Gateway,
    folder: Path,
    *,
    crash_at: str = "",
    settings: Sequence[str] = FAST,
    state: Path | None = None,
    wrap: Sequence[str] = (),
    **wish: Any,
) -> Iterator[Trader]:
    """Run a trader on a gateway; at the end of the block it is killed if it lives."""
    wish = {
        "port": gateway.port,
        "state": str(state or folder / "state"),
        "now": gateway.now,
        "settings": list(settings),
        "daily_loss": 1e9,
        **wish,
    }
    paths = [str(ROOT), str(ROOT / "tests")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "MIA_CRASH_AT": crash_at}
    number = len(list(folder.glob("trader-*.log")))
    log = folder / f"trader-{number:03d}.log"
    command = [*wrap, sys.executable, "-m", "faults.eager_trader", json.dumps(wish)]
    with log.open("w", encoding="utf-8") as said:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=said, text=True, env=environment, cwd=folder
        )
    run = Trader(process, log, time.monotonic())

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            run.events.append(json.loads(line))

    reader = threading.Thread(target=listen, daemon=True)
    reader.start()
    try:
        yield run
        assert not run.of("strategy_error"), run.told()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(10)
        reader.join(10)
        assert process.stdout is not None
        process.stdout.close()


def command(state: Path, name: str) -> None:
    """Leave a command for the trader of a state directory."""
    now = time.time_ns()
    state_files.write_command(state / state_files.KILL, KillCommand(name, f"{name}-{now}", now))


def trades_again(run: Trader, since: float, seconds: float = 40.0) -> float:
    """Wait for a bracket sent after an instant; return the seconds until then."""

    def later() -> list[dict[str, Any]]:
        return [event for event in run.passed() if event["at"] > since]

    run.wait(later, "it trades again", seconds)
    return float(later()[0]["at"]) - since


@dataclass
class Bench:
    """A gateway and a trader that sends one bracket at a time, when it is let."""

    gateway: Gateway
    run: Trader
    hold: Path
    state: Path

    def bracket(self, arm: Callable[[Gateway], object], what: str, *, fires: bool = True) -> float:
        """Let one bracket happen under a fault, and wait until nothing of it is left.

        Returns
        -------
        float
            When it was sent, monotonic.
        """
        gateway, run = self.gateway, self.run
        gateway.clear()
        arm(gateway)
        began = len(run.passed())
        self.hold.unlink()
        told = 0.0

        def is_sent() -> bool:
            # What the scene before left in doubt may stop entries a little later.
            nonlocal told
            if time.monotonic() > told + 2.0:
                told = time.monotonic()
                command(self.state, "reset")
            return len(run.passed()) > began

        run.wait(is_sent, f"a bracket under {what}", 40)
        self.hold.touch()
        if fires:
            run.wait(gateway.fired, f"{what} happens", 40)
        run.wait(self.is_over, f"nothing is left of {what}", 60)
        check_orders(gateway)
        return float(run.passed()[began]["at"])

    def is_over(self) -> bool:
        """Whether nothing works or is held at the exchange, and the trader knows it."""
        booked = len(self.run.of("closed", "unfilled"))
        if booked < len(self.run.passed()):
            return False
        return not self.gateway.working() and not self.gateway.positions()


@contextmanager
def bench(folder: Path, **wish: Any) -> Iterator[tuple[Bench, Naked]]:
    """Run a gateway and a ready trader; at the end everything is compared."""
    hold, state = folder / "hold", folder / "state"
    hold.touch()
    with (
        gateway(folder) as gw,
        Watch(gw) as watch,
        trader(gw, folder, hold=str(hold), cold=True, **wish) as run,
    ):
        run.ready()
        here = Bench(gw, run, hold, state)
        yield here, watch.naked
        gw.clear()
        settle(gw, run, state)


def believed(state: Path) -> OrderLedger:
    """Return the orders as the journal of a state directory tells them."""
    ledger = OrderLedger()
    with JournalReader(state / "journal.db") as journal:
        for event in journal.events():
            ledger.apply(event.kind, event.payload)
    return ledger


def check_orders(gateway: Gateway) -> dict[str, dict[str, Any]]:
    """I1: no reference was sent as two orders; one that the broker itself doubled is one."""
    seen: dict[str, dict[str, Any]] = {}
    for order in gateway.ours():
        before = seen.setdefault(order["order_ref"], order)
        assert before["order_id"] % FORK == order["order_id"] % FORK, (before, order)
    return seen


def check_positions(gateway: Gateway, state: Path) -> None:
    """I2: position is the sum of fills at the exchange, and what the journal says."""
    fills: dict[str, int] = {}
    for order in gateway.ours():
        side = 1 if order["action"] == "BUY" else -1
        contract = order["contract"]
        fills[contract] = fills.get(contract, 0) + side * int(order["filled"])
    held = gateway.positions()
    ledger = believed(state)
    names = {b.order.contract for b in ledger.brackets.values()}
    beliefs = {_local(name): ledger.position(name) for name in names}
    for contract in {*fills, *held, *beliefs}:
        there = held.get(contract, 0)
        assert fills.get(contract, 0) == there, (contract, fills, held)
        assert beliefs.get(contract, 0) == there, (contract, beliefs, held)


def _local(name: str) -> str:
    """Return the exchange's own name of a contract: ``MESH5`` for ``MESH25``."""
    return name[:-2] + name[-1]


def settle(gateway: Gateway, run: Trader, state: Path) -> None:
    """Stop the market, let the trader hear everything, end it in order, and check I1 and I2."""
    gateway.fault("trading_halt")
    time.sleep(1.0)
    assert run.kill(signal.SIGTERM) in (-signal.SIGTERM, 0, 143), run.told()
    check_orders(gateway)
    check_positions(gateway, state)
    gateway.fault("trading_resumed")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the element of rank ``ceil(share n)``."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def record(name: str, **numbers: Any) -> None:
    """Append what was measured to the file that ``MIA_FAULT_RESULTS`` names."""
    path = os.environ.get("MIA_FAULT_RESULTS")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"name": name, **numbers}) + "\n")

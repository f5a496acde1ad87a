"""``mia kill halt|flatten|status|reset``."""

import argparse
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mia.data import state_files
from mia.data.process_lock import ProcessLock, holder, is_held
from mia.data.state_files import KillCommand, RunInfo
from mia.errors import AlreadyRunning, MiaError
from mia.kill.own_trades import OwnTrades, has_lost_the_day, kill_causes, read_journal

_DESCRIPTION = """Stop the trader of a state directory.

halt      no new entries; working entries are cancelled, stops and targets stay
flatten   also close our own position, and nobody else's
status    show what is known; changes nothing
reset     let trading go on; a loss of the day stays until the next session

The command is left in the state directory, so a trader that starts later obeys it
before it trades. Without a living trader, halt and flatten act at the broker directly.
"""

_EXAMPLES = """Example: mia kill flatten --state ~/.mia/DU1234567
exit codes: 0 done, 1 not confirmed, 2 usage, 4 broker unreachable or not flat,
6 a reset was refused, 7 another kill command is at work"""


class _Request(NamedTuple):
    """What was asked for on the command line."""

    action: str
    state: Path
    broker: str
    client_id: int | None
    account: str
    timeout: float
    force: bool
    by: str


def main(arguments: list[str]) -> int:
    """Run one command; return its exit code."""
    request = _parse(arguments)
    try:
        return _ACTIONS[request.action](request)
    except MiaError as error:
        print(f"mia kill: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("mia kill: interrupted; the command stays for the trader", file=sys.stderr)
        return 130


def _parse(arguments: list[str]) -> _Request:
    parser = argparse.ArgumentParser(
        prog="mia kill",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=("halt", "flatten", "status", "reset"))
    parser.add_argument(
        "--state",
        metavar="DIR",
        default=os.environ.get("MIA_STATE_DIR"),
        help="the trader's state directory (default: MIA_STATE_DIR)",
    )
    parser.add_argument(
        "--broker",
        metavar="HOST:PORT",
        default="",
        help="gateway to act at (default: the one that the trader used)",
    )
    parser.add_argument("--client-id", type=int, help="the trader's client id for orders")
    parser.add_argument("--account", default="", help="account id (default: the trader's)")
    parser.add_argument(
        "--timeout",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long the trader, or an order, may take (default: 10)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="end a trader that does not answer, then act at the broker",
    )
    parser.add_argument("--by", default="", help="who orders it, for the trader's journal")
    values = parser.parse_args(arguments)
    if not values.state:
        parser.error("name the state directory with --state or in MIA_STATE_DIR")
    if values.broker and not values.broker.rpartition(":")[2].isdecimal():
        parser.error(f"--broker must be HOST:PORT, was {values.broker}")
    if not values.timeout > 0:
        parser.error(f"--timeout must be above 0, was {values.timeout}")
    state = Path(values.state).expanduser()
    if not state.is_dir():
        parser.error(f"there is no state directory {state}")
    return _Request(
        values.action,
        state,
        values.broker,
        values.client_id,
        values.account,
        values.timeout,
        values.force,
        values.by,
    )


def _stop(request: _Request) -> int:
    command = _leave(request.state, _new(request))
    if is_held(request.state / state_files.LOCK):
        code = _tell_trader(request, command)
        if code is not None:
            return code
    return _act_at_broker(request)


def _new(request: _Request) -> KillCommand:
    now = time.time_ns()
    return KillCommand(request.action, f"{now:x}-{os.getpid()}", now, request.by)


def _leave(state: Path, command: KillCommand) -> KillCommand | None:
    """Leave the command for the trader of now or of later; a stricter one stays.

    Returns
    -------
    KillCommand, optional
        What waits there now; None if nothing can be written.
    """
    path = state / state_files.KILL
    pending = state_files.read_command(path)
    if command.name == "halt" and pending is not None and pending.name == "flatten":
        print("a flatten waits for the trader already and stays")
        return pending
    try:
        state_files.write_command(path, command)
    except OSError as error:
        print(f"the command cannot be left in {state}: {error.strerror}", file=sys.stderr)
        return None
    return command


def _tell_trader(request: _Request, command: KillCommand | None) -> int | None:
    """Signal a living trader and wait for its word; None if it has ended or was ended.

    A reset goes without the signal: one that came after the file was taken would halt again.
    """
    pid = holder(request.state / state_files.LOCK)
    signalled = request.action != "reset" and pid is not None and hasattr(signal, "SIGUSR1")
    print(
        f"the trader runs as process {pid or 'unknown'}; "
        + ("it is signalled" if signalled else "it looks for commands every second")
    )
    if signalled and pid is not None:
        with suppress(OSError):
            os.kill(pid, signal.SIGUSR1)
    if command is None and signalled:
        print("the signal alone means halt to it, and nobody can see whether it obeys")
    told = ""
    wanted = "done" if command is not None and command.name == "flatten" else "obeyed"
    deadline = time.monotonic() + request.timeout
    while command is not None and time.monotonic() < deadline:
        answer = state_files.read_answer(request.state / state_files.KILL_ACK)
        if answer is not None and answer.identity == command.identity:
            if answer.text != told:
                told = answer.text
                print(f"the trader: {told}")
            if answer.outcome == "refused":
                return 6
            if answer.outcome in (wanted, "done"):
                return 0
        if not is_held(request.state / state_files.LOCK):
            print("the trader has ended")
            return None
        time.sleep(0.02)
    if told:
        print(f"the trader obeys, but has not said within {request.timeout:g} s that it is flat")
        return 1
    print(f"the trader did not answer within {request.timeout:g} s; it will find the command")
    if not request.force:
        print("to end it and act at the broker instead: the same command with --force")
        return 1
    if pid is not None:
        print(f"ending process {pid}")
        with suppress(ProcessLookupError):
            os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    return None


def _act_at_broker(request: _Request) -> int:
    run = state_files.read_run(request.state / state_files.RUN)
    target = _target(request, run)
    if target is None:
        print("no trader runs, and none died here: the next one starts with this command")
        if request.action == "flatten":
            print("nothing was closed: name --broker and --client-id to act there")
            return 4
        return 0
    from mia.kill.rescue import Rescue, connect  # sockets are for this case only

    host, port, client_id, account = target
    # Held while we act, so that whoever restarts the trader waits.
    lock = ProcessLock(request.state / state_files.LOCK)
    _acquire(lock, request.state)
    try:
        print(f"no trader runs: acting at {host}:{port} as client {client_id}")
        trades = _trades(request.state)
        connection, account = connect(host, port, client_id, account, request.timeout)
        try:
            rescue = Rescue(connection, account, trades, print, request.timeout)
            done = rescue.halt() if request.action == "halt" else rescue.flatten()
        finally:
            connection.close()
    finally:
        lock.release()
    print(f"{request.action}: {'done' if done else 'NOT DONE, look at the account'}")
    return 0 if done else 4


def _target(request: _Request, run: RunInfo | None) -> tuple[str, int, int, str] | None:
    host, _, port = request.broker.rpartition(":")
    if run is not None:
        host, port = host or run.host, port or str(run.port)
    client_id = request.client_id
    if client_id is None and run is not None:
        client_id = run.client_id
    if not port or client_id is None:
        return None
    account = request.account or (run.account if run is not None else "")
    return host or "127.0.0.1", int(port), client_id, account


def _acquire(lock: ProcessLock, state: Path) -> None:
    deadline = time.monotonic() + 2.0
    while True:
        try:
            lock.acquire(f"the state directory {state}")
        except AlreadyRunning:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _trades(state: Path) -> OwnTrades:
    try:
        return read_journal(state / state_files.JOURNAL)
    except OSError as error:
        print(f"without the journal ({error}): only the fills that the broker knows count")
        return OwnTrades()


def _reset(request: _Request) -> int:
    command = _new(request)
    if is_held(request.state / state_files.LOCK):
        if _leave(request.state, command) is None:
            return 1
        code = _tell_trader(request, command)
        return 1 if code is None else code
    try:
        lost = has_lost_the_day(request.state / state_files.JOURNAL)
    except FileNotFoundError:
        lost = False
    except OSError as error:
        print(f"refused: {error}", file=sys.stderr)
        return 6
    if lost:
        print("refused: the loss of the day lasts until the next session", file=sys.stderr)
        return 6
    if _leave(request.state, command) is None:
        return 1
    print("no trader runs: the next one starts without what a person had stopped")
    return 0


def _status(request: _Request) -> int:
    state = request.state
    if is_held(state / state_files.LOCK):
        print(f"trader: runs as process {holder(state / state_files.LOCK) or 'unknown'}")
    else:
        died = (state / state_files.RUN).exists()
        print(f"trader: {'died' if died else 'does not run'}")
    run = state_files.read_run(state / state_files.RUN)
    if run is not None:
        where = f"{run.host}:{run.port} as client {run.client_id}"
        print(f"broker: {where}, account {run.account}")
    for name in (state_files.KILL_TAKEN, state_files.KILL):
        pending = state_files.read_command(state / name)
        if pending is not None:
            print(f"waiting: {pending.name}")
    answer = state_files.read_answer(state / state_files.KILL_ACK)
    if answer is not None:
        print(f"last answer: {answer.outcome}, {answer.text}")
    try:
        causes = kill_causes(state / state_files.JOURNAL)
        print(f"stopped by: {', '.join(causes) or 'nothing'}")
        trades = read_journal(state / state_files.JOURNAL)
    except OSError as error:
        print(f"journal: {error}")
        return 0
    for (con_id, bracket), quantity in trades.open_brackets().items():
        print(f"position by the journal: {quantity:+d} of contract {con_id} ({bracket})")
    return 0


_ACTIONS = {"halt": _stop, "flatten": _stop, "status": _status, "reset": _reset}

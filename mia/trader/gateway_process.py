"""A simulated gateway as a process of its own, for as long as a block is entered."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mia.errors import BrokerError

_LISTENING = re.compile(r"listening on (\S+):(\d+)(?:, control on \S+:(\d+))?")
_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class GatewayProcess:
    """Where a gateway listens; `control_port` is 0 without one."""

    host: str
    port: int
    control_port: int
    process: subprocess.Popen[str]


@contextmanager
def gateway_process(arguments: Sequence[str], log: Path) -> Iterator[GatewayProcess]:
    """Run ``mia gateway`` with some arguments on a free port.

    Parameters
    ----------
    log : Path
        File for what it says.

    Raises
    ------
    BrokerError
        If it ends before it listens, with what it said.
    """
    command = [sys.executable, "-m", "mia.cli", "gateway", "--port", "0", *arguments]
    # However this process ends, its end of the pipe closes, and the gateway ends too.
    command.append("--until-eof")
    with (
        log.open("w", encoding="utf-8") as said,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = _LISTENING.search(line)
            if found is None:
                process.wait(_PATIENCE_S)
                words = " ".join(log.read_text(encoding="utf-8", errors="replace").split())
                raise BrokerError(f"the simulated gateway did not start: {words or line.strip()}")
            yield GatewayProcess(found[1], int(found[2]), int(found[3] or 0), process)
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()

"""A writer of `.scid` files as a process of its own, which keeps step with the market."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mia.errors import DataError

_PATIENCE_S = 10.0


class SierraProcess:
    """The process, and what it has been asked for."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    def started(self) -> None:
        """Wait until it is ready.

        Raises
        ------
        DataError
            If it ended, with what it said.
        """
        self._expect("ready")

    def pace(self, ts: int) -> None:
        """Return once the file holds what was traded and flushed up to a time, ns UTC.

        Raises
        ------
        DataError
            If the process has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{ts}\n")
            self._process.stdin.flush()
        except OSError:
            self._expect("")
        self._expect(str(ts))

    def _expect(self, words: str) -> None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line.strip() != words or not line:
            said = self._log.read_text(encoding="utf-8", errors="replace").strip()
            last = said.splitlines()[-1] if said else line.strip()
            raise DataError(f"the writer of the .scid file ended: {last or 'without a word'}")


@contextmanager
def sierra_process(
    folder: Path, market: Sequence[int], flush_ms: int, log: Path
) -> Iterator[SierraProcess]:
    """Write a synthetic market to `.scid` files, for as long as a block is entered.

    Parameters
    ----------
    folder : Path
        For the files.
    market : sequence of int
        Seed, first session, number of sessions, trades a day.
    flush_ms : int
        As of `mia.data.synthetic.sierra_file.SierraFiles`.
    log : Path
        File for what it says.
    """
    module = "mia.data.synthetic.sierra_file"
    numbers = [str(value) for value in (*market, flush_ms)]
    with (
        log.open("w", encoding="utf-8") as said,
        subprocess.Popen(
            [sys.executable, "-m", module, str(folder), *numbers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        ) as process,
    ):
        try:
            sierra = SierraProcess(process, log)
            sierra.started()
            yield sierra
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()

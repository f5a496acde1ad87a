"""The ledger of trials: what was tried, what it yielded, and how much of that is on disk.

A result counts once it is committed. Whatever ends before, by whatever death, is run again.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from mia.data.files import writing
from mia.data.process_lock import ProcessLock
from mia.errors import DataError
from mia.optimize.trial import Done, Outcome

VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS studies (
    id TEXT PRIMARY KEY, created TEXT NOT NULL, market TEXT NOT NULL,
    first_session INTEGER NOT NULL, last_session INTEGER NOT NULL,
    data_hash TEXT NOT NULL, code_hash TEXT NOT NULL, spec TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS trials (
    study TEXT NOT NULL REFERENCES studies, number INTEGER NOT NULL,
    params_hash TEXT NOT NULL, params TEXT NOT NULL, state TEXT NOT NULL, sharpe REAL, note TEXT,
    PRIMARY KEY (study, number)
);
CREATE TABLE IF NOT EXISTS tasks (
    key TEXT PRIMARY KEY, params_hash TEXT NOT NULL, data_hash TEXT NOT NULL,
    code_hash TEXT NOT NULL, fold TEXT NOT NULL, state TEXT NOT NULL,
    lease TEXT, leased_at TEXT, leases INTEGER NOT NULL,
    outcome TEXT, seconds REAL, worker TEXT, finished_at TEXT
);
"""
ASKED, COMPLETE, PRUNED, REPEATED, INVALID = "asked", "complete", "pruned", "repeated", "invalid"
COUNTED = (COMPLETE, PRUNED)
"""States of trials that saw data, each of which is one trial among which the best is chosen."""

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What a study is, as far as the ledger must know.

    Attributes
    ----------
    study : str
        Hash of all that decides its results, the number of trials apart.
    market : str
        Instrument, or name of the synthetic market.
    first_session, last_session : int
    data_hash, code_hash : str
    spec : mapping
        Everything, as plain values.
    """

    study: str
    market: str
    first_session: int
    last_session: int
    data_hash: str
    code_hash: str
    spec: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial of a study as the ledger has it."""

    number: int
    params_hash: str
    params: Mapping[str, Any]
    state: str
    sharpe: float | None
    note: str | None


class Ledger:
    """A SQLite file, in which one coordinator at a time writes.

    Parameters
    ----------
    path : Path
        Made if absent, with a file ``.lock`` beside it.
    owner : str
        Who takes leases, as host and process.
    clock : callable
        Now, aware.

    Raises
    ------
    AlreadyRunning
        If another coordinator has the ledger.
    DataError
        If it cannot be opened or is of another version.
    """

    def __init__(self, path: Path, owner: str, clock: Clock) -> None:
        self.path = path
        self._owner = owner
        self._clock = clock
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = ProcessLock(path.with_name(f"{path.name}.lock"))
            self._lock.acquire(f"ledger {path}")
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            found = self._db.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, VERSION):
                raise DataError(f"ledger {path} is of version {found}: name another --ledger")
            self._db.executescript(_SCHEMA)
            self._db.execute(f"PRAGMA user_version={VERSION}")
            # Whoever held a lease is dead, or the lock would be held.
            self._db.execute("DELETE FROM tasks WHERE state = 'leased'")
        except sqlite3.Error as error:
            self._lock.release()
            raise DataError(f"ledger {path} cannot be used ({error}): name another") from error
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> "Ledger":
        """Return the ledger itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file and give the lock back."""
        self._db.close()
        self._lock.release()

    def _now(self) -> str:
        return self._clock().isoformat(timespec="milliseconds")

    def open_study(self, facts: StudyFacts) -> None:
        """Note a study, once."""
        self._db.execute(
            "INSERT OR IGNORE INTO studies VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                facts.study,
                self._now(),
                facts.market,
                facts.first_session,
                facts.last_session,
                facts.data_hash,
                facts.code_hash,
                json.dumps(facts.spec, sort_keys=True),
            ),
        )

    def ask(
        self,
        study: str,
        number: int,
        params_hash: str,
        params: Mapping[str, Any],
        state: str,
        note: str | None = None,
    ) -> None:
        """Note a trial before it runs; what it came to earlier is kept."""
        self._db.execute(
            "INSERT OR IGNORE INTO trials VALUES (?, ?, ?, ?, ?, NULL, ?)",
            (study, number, params_hash, json.dumps(params, sort_keys=True), state, note),
        )

    def close_trial(self, study: str, number: int, state: str, sharpe: float | None) -> None:
        """Note what became of a trial; `sharpe` is annualised, of all sessions it ran."""
        self._db.execute(
            "UPDATE trials SET state = ?, sharpe = ? WHERE study = ? AND number = ?",
            (state, sharpe, study, number),
        )

    def trials(self, study: str) -> list[TrialRow]:
        """Return the trials of a study in their order."""
        rows = self._db.execute(
            "SELECT number, params_hash, params, state, sharpe, note FROM trials "
            "WHERE study = ? ORDER BY number",
            (study,),
        )
        return [TrialRow(r[0], r[1], json.loads(r[2]), r[3], r[4], r[5]) for r in rows]

    def lease(self, tasks: Iterable[tuple[str, str, str, str, str]]) -> None:
        """Note tasks as being worked on.

        Parameters
        ----------
        tasks : iterable of tuple of str
            Key, hash of parameters, hash of data, hash of code, fold.
        """
        now = self._now()
        rows = [(*task, self._owner, now) for task in tasks]
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(
            "INSERT INTO tasks (key, params_hash, data_hash, code_hash, fold, state, lease, "
            "leased_at, leases) VALUES (?, ?, ?, ?, ?, 'leased', ?, ?, 1) "
            "ON CONFLICT (key) DO UPDATE SET lease = excluded.lease, "
            "leased_at = excluded.leased_at, leases = leases + 1 WHERE state = 'leased'",
            rows,
        )
        self._db.execute("COMMIT")

    def finish(self, done: Done) -> None:
        """Commit a result; from here on nothing loses it.

        Raises
        ------
        DataError
            If the ledger already holds another result for the same task.
        """
        held = self.outcomes([done.key]).get(done.key)
        if held is not None and held != done.outcome:
            raise DataError(
                f"task {done.key[:12]} of ledger {self.path} yielded two results: workers differ"
            )
        self._db.execute(
            "UPDATE tasks SET state = 'done', lease = NULL, outcome = ?, seconds = ?, worker = ?, "
            "finished_at = ? WHERE key = ? AND state = 'leased'",
            (done.outcome, done.seconds, done.worker, self._now(), done.key),
        )

    def outcomes(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the committed outcomes among keys, as text."""
        found: dict[str, str] = {}
        for first in range(0, len(keys), 500):
            part = keys[first : first + 500]
            marks = ",".join("?" * len(part))
            found |= dict(
                self._db.execute(
                    f"SELECT key, outcome FROM tasks WHERE state = 'done' AND key IN ({marks})",
                    part,
                )
            )
        return found

    def outcome(self, key: str) -> Outcome:
        """Return one committed outcome.

        Raises
        ------
        KeyError
            Without one.
        """
        return Outcome.of(self.outcomes([key])[key])

    def tried(self, market: str, first: int, last: int) -> list[float | None]:
        """Return the Sharpe ratio of every variant ever tried on sessions of a range.

        A variant is what settings and code come to. One that several studies tried counts once.

        Parameters
        ----------
        market : str
        first, last : int
            Sessions; a study that shares one counts.
        """
        marks = ",".join("?" * len(COUNTED))
        rows = self._db.execute(
            "SELECT params_hash, code_hash, sharpe FROM trials JOIN studies ON study = id "
            f"WHERE market = ? AND first_session <= ? AND last_session >= ? AND state IN ({marks}) "
            "ORDER BY created, study, number",
            (market, last, first, *COUNTED),
        )
        found: dict[tuple[str, str], float | None] = {}
        for params_hash, code_hash, sharpe in rows:
            if found.get((params_hash, code_hash)) is None:
                found[params_hash, code_hash] = sharpe
        return list(found.values())

    def effort(self, keys: Sequence[str]) -> tuple[float, set[str]]:
        """Return the processor seconds that results took, and the workers that made them."""
        seconds, workers = 0.0, set()
        for first in range(0, len(keys), 500):
            part = keys[first : first + 500]
            marks = ",".join("?" * len(part))
            for took, worker in self._db.execute(
                f"SELECT seconds, worker FROM tasks WHERE state = 'done' AND key IN ({marks})", part
            ):
                seconds += took
                workers.add(worker)
        return seconds, workers

"""What a journal is on disk: tables, the hash chain, runs.

An event's hash covers its number, time, kind, payload and the hash before it, so no event can
change, vanish or move without every later hash being wrong. Runs are events as well; the view
``runs`` shows them to whoever opens the file with a tool of SQLite.
"""

import hashlib
import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

APPLICATION_ID = 0x4D49414A
SCHEMA_VERSION = 1
GENESIS = hashlib.sha256(b"MIA journal").digest()

RUN_STARTED = "RUN_STARTED"
RUN_ENDED = "RUN_ENDED"
QUARANTINED = "JOURNAL_QUARANTINED"

SCHEMA = {
    "events": (
        "CREATE TABLE events (seq INTEGER PRIMARY KEY, ts INTEGER NOT NULL, kind TEXT NOT NULL, "
        "payload BLOB NOT NULL, hash BLOB NOT NULL)"
    ),
    "runs": (
        "CREATE VIEW runs AS SELECT s.seq AS run_id, "
        "json_extract(CAST(s.payload AS TEXT), '$.config_hash') AS config_hash, "
        "json_extract(CAST(s.payload AS TEXT), '$.code_version') AS code_version, "
        "s.ts AS started, e.ts AS ended, CASE WHEN e.seq IS NOT NULL THEN 'ended' "
        "WHEN EXISTS (SELECT 1 FROM events n WHERE n.kind = 'RUN_STARTED' AND n.seq > s.seq) "
        "THEN 'crashed' ELSE 'open' END AS outcome "
        "FROM events s LEFT JOIN events e ON e.kind = 'RUN_ENDED' "
        "AND json_extract(CAST(e.payload AS TEXT), '$.run_id') = s.seq "
        "WHERE s.kind = 'RUN_STARTED'"
    ),
}

INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?)"
INSERT_TWO = "INSERT INTO events VALUES (?, ?, ?, ?, ?), (?, ?, ?, ?, ?)"
SELECT_AFTER = (
    "SELECT seq, ts, kind, payload, hash FROM events WHERE seq > ? ORDER BY seq LIMIT 2000"
)

_numbers = struct.Struct(">qqI")
_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder().decode

Row = tuple[int, int, str, bytes, bytes]


class JournalHealth(StrEnum):
    """What the disk lets the journal do."""

    OK = "OK"
    RESERVE = "RESERVE"
    """The disk is full and the reserve is being used up."""
    MEMORY = "MEMORY"
    """The disk takes nothing; events wait in memory until it does."""
    FAILED = "FAILED"
    """The disk lost what it had taken; events stay in memory until the next start."""


class JournalHead(NamedTuple):
    """Number and hash of the last event; number 0 in an empty journal."""

    seq: int = 0
    hash: bytes = GENESIS


class JournalEvent(NamedTuple):
    """One event.

    Attributes
    ----------
    seq : int
        From 1, without a gap.
    ts : int
        ns UTC, as the writer's clock had it.
    payload : dict
        What JSON kept: tuples are lists, and a number that is not finite is None.
    """

    seq: int
    ts: int
    kind: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class JournalRun:
    """One run of the trader.

    Attributes
    ----------
    run_id : int
        Number of the event that began it.
    started, ended : int
        ns UTC; `ended` is None of a run that is open or crashed.
    outcome : str
        ``ended``, ``crashed``, or ``open``: the last one, which may still run.
    """

    run_id: int
    config_hash: str
    code_version: str
    started: int
    ended: int | None
    outcome: str


def encode(payload: object) -> bytes:
    """Return canonical JSON: sorted keys, no blanks.

    Raises
    ------
    TypeError
        If a value has no JSON form.
    """
    return _encode(payload)


def link(seq: int, ts: int, kind: str, payload: bytes, before: bytes) -> bytes:
    """Return the hash of an event whose predecessor has the hash `before`."""
    name = kind.encode()
    return hashlib.sha256(_numbers.pack(seq, ts, len(name)) + name + before + payload).digest()


def to_event(row: Row) -> JournalEvent:
    """Decode a row."""
    return JournalEvent(row[0], row[1], row[2], _decode(row[3]))

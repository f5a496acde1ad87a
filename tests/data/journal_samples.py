"""Journals to damage, and how far a test goes."""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from mia.data.journal import Journal
from mia.data.journal_schema import JournalEvent

CASES = int(os.environ.get("MIA_FAULT_N", "40"))
PARTS = ("", "-wal", "-head")


def payload(number: int) -> dict[str, object]:
    return {"order_ref": f"TRADE_20250310_143000_{number:08x}:E", "quantity": 1, "price": 23000}


def open_journal(path: Path, **options: object) -> Journal:
    return Journal.open(path, clock=lambda: 7, reserve_bytes=0, **options)  # type: ignore[arg-type]


def closed_journal(path: Path, count: int) -> list[JournalEvent]:
    """Leave a journal that was closed in order; return its events."""
    with open_journal(path) as journal:
        for number in range(count):
            journal.append("INTENT", payload(number), ts=number)
        return list(journal.events())


def abandoned_journal(path: Path, durable: int, more: int) -> list[JournalEvent]:
    """Leave what a process that was killed leaves: the log is not in the file yet."""
    origin = path.with_name("origin")
    origin.mkdir()
    source = origin / path.name
    with open_journal(source) as journal:
        for number in range(durable):
            journal.append("INTENT", payload(number), ts=number)
        journal.sync()
        head = source.with_name(f"{source.name}-head").read_bytes()
        for number in range(durable, durable + more):
            journal.append("INTENT", payload(number), ts=number)
        for part in PARTS:
            shutil.copy(source.with_name(source.name + part), path.with_name(path.name + part))
        path.with_name(f"{path.name}-head").write_bytes(head)
        return list(journal.events())


def places(size: int, seed: int) -> Iterator[int]:
    """Yield every place of a small file, or a sample of them that `MIA_FAULT_N` bounds."""
    if size <= CASES:
        yield from range(size)
    else:
        yield from sorted(random.Random(seed).sample(range(size), CASES))

"""Writing before acting: what an event costs, beside a plain insert into the same database.

The journal adds to SQLite's commit a canonical JSON, a hash, and a thread that syncs; the ratio
of the two says what those cost. Times are those of this disk.
"""

import json
import shutil
import sqlite3
import tempfile
import time
import timeit
from pathlib import Path

from mia.data.journal import Journal
from mia.data.journal_disk import measure_sync

EVENTS = 2000
PAYLOAD = {
    "order_ref": "TRADE_20250310_143000_deadbeef:E",
    "con_id": 495512552,
    "contract": "ESH25",
    "side": 1,
    "quantity": 2,
    "price": 23456,
    "account": "DU1234567",
}


class Append:
    timeout = 120
    unit = "us"

    def setup(self):
        self.folder = Path(tempfile.mkdtemp(prefix="mia-journal-"))
        self.journal = Journal.open(self.folder / "journal.db", clock=int)
        self.plain = sqlite3.connect(self.folder / "plain.db", isolation_level=None)
        for pragma in ("page_size=1024", "journal_mode=WAL", "synchronous=NORMAL"):
            self.plain.execute(f"PRAGMA {pragma}")
        self.plain.execute("PRAGMA wal_autocheckpoint=0")
        self.plain.execute(
            "CREATE TABLE events (seq INTEGER PRIMARY KEY, ts INTEGER, kind TEXT, payload BLOB)"
        )
        self.text = json.dumps(PAYLOAD)

    def teardown(self):
        self.journal.close()
        self.plain.close()
        shutil.rmtree(self.folder)

    def append(self):
        for ts in range(EVENTS):
            self.journal.append("order.leg", PAYLOAD, ts=ts)

    def insert(self):
        execute, text = self.plain.execute, self.text
        for ts in range(EVENTS):
            execute(
                "INSERT INTO events (ts, kind, payload) VALUES (?, ?, ?)", (ts, "order.leg", text)
            )

    def microseconds(self, function):
        return 1e6 * min(timeit.repeat(function, number=1, repeat=7)) / EVENTS

    def track_append_us(self):
        return self.microseconds(self.append)

    def track_plain_insert_us(self):
        return self.microseconds(self.insert)

    def track_ratio(self):
        return self.microseconds(self.append) / self.microseconds(self.insert)

    track_ratio.unit = "x"


class Durable:
    """How long it takes until loss of power cannot take an event away, in milliseconds."""

    timeout = 120
    unit = "ms"

    def setup(self):
        self.folder = Path(tempfile.mkdtemp(prefix="mia-journal-"))
        self.journal = Journal.open(self.folder / "journal.db", clock=int)

    def teardown(self):
        self.journal.close()
        shutil.rmtree(self.folder)

    def percentile(self, times, share):
        return 1e3 * sorted(times)[int(share * len(times))]

    def group(self):
        """Return seconds from the append to the word of the flusher, one event at a time."""
        times = []
        for ts in range(300):
            start = time.perf_counter()
            seq = self.journal.append("order.leg", PAYLOAD, ts=ts)
            while self.journal.durable_seq < seq:
                time.sleep(0.0001)
            times.append(time.perf_counter() - start)
        return times

    def waited(self):
        times = []
        for ts in range(300):
            start = time.perf_counter()
            self.journal.append("kill.state", PAYLOAD, ts=ts, durable=True)
            times.append(time.perf_counter() - start)
        return times

    def track_group_p50_ms(self):
        return self.percentile(self.group(), 0.5)

    def track_group_p99_ms(self):
        return self.percentile(self.group(), 0.99)

    def track_waited_p50_ms(self):
        return self.percentile(self.waited(), 0.5)

    def track_waited_p99_ms(self):
        return self.percentile(self.waited(), 0.99)

    def track_sync_ms(self):
        return measure_sync(self.folder).median_ns / 1e6


class Open:
    """Start after a crash: every event is checked."""

    timeout = 120
    unit = "us"

    def setup(self):
        self.folder = Path(tempfile.mkdtemp(prefix="mia-journal-"))
        with Journal.open(self.folder / "journal.db", clock=int) as journal:
            for ts in range(50_000):
                journal.append("order.leg", PAYLOAD, ts=ts)

    def teardown(self):
        shutil.rmtree(self.folder)

    def open(self):
        Journal.open(self.folder / "journal.db", clock=int).close()

    def track_open_us_an_event(self):
        return 1e6 * min(timeit.repeat(self.open, number=1, repeat=3)) / 50_000

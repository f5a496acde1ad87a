"""Live feeds: decoding against numpy or the least that the parser must do, and tail latency."""

import subprocess
import sys
import tempfile
import time
import timeit
from functools import partial
from pathlib import Path

import numpy as np

from mia._fast import scid
from mia.core.dtc.codec import DtcFrames, decode, encode
from mia.core.dtc.messages import Encoding
from mia.core.iqfeed.level1 import UPDATE_FIELDS, Level1Decoder
from mia.core.iqfeed.messages import LineBuffer, TickDecoder
from mia.core.sierra.file_watch import FileWatch
from mia.core.sierra.scid_records import (
    HEADER,
    MAGIC,
    RECORD_BYTES,
    RECORD_DTYPE,
    VERSION,
    ScidColumns,
)
from mia.core.sierra.scid_trades import ScidTrades
from mia.data.exporters import scid_records
from mia.data.synthetic import SyntheticMarket

SEED = 11
MESSAGES = 50_000
HEAD = HEADER.pack(MAGIC, HEADER.size, RECORD_BYTES, VERSION, 0, 0, bytes(36))
LATENCIES = 400

# Another process, as Sierra Chart is one.
WRITER = """
import sys, time
records = open(sys.argv[1], "rb").read()
times = []
with open(sys.argv[2], "ab", buffering=0) as file:
    for k in range(0, len(records), 40):
        time.sleep(0.005)
        times.append(time.monotonic())
        file.write(records[k : k + 40])
print(*map(repr, times))
"""


def trades(per_day):
    return next(SyntheticMarket(SEED, 20250310, 1, trades_per_day=per_day).blocks())


def best(function, repeat=5, timer=time.perf_counter):
    return min(timeit.repeat(function, timer=timer, number=1, repeat=repeat))


# What a parser costs is its own time, whatever else the machine does meanwhile.
cpu = partial(best, timer=time.process_time)


class SystemClock:
    def now(self):
        return time.time_ns()


def by_numpy(data):
    """Decode as plain numpy does, without a check."""
    records = np.frombuffer(data, RECORD_DTYPE)
    unix_us = records["time"] - 25_569 * 86_400 * 1_000_000
    ts = unix_us // 1000 * 1_000_000
    prices = [
        np.rint(records[name] * np.float32(4.0)).astype(np.int32)
        for name in ("close", "low", "high")
    ]
    side = (records["ask_volume"] > 0).astype(np.int8) - (records["bid_volume"] > 0)
    return ts, prices, records["volume"].astype(np.int32), side


class ScidDecode:
    def setup(self):
        block = trades(500_000)
        self.data = scid_records(block).tobytes()
        self.records = len(block)
        self.columns = ScidColumns.empty(self.records, 0)

    def decode(self):
        self.columns.fill(self.data, slice(None), 4.0)

    def track_records_per_second(self):
        return self.records / cpu(self.decode)

    track_records_per_second.unit = "records/s"

    def track_speedup_over_numpy(self):
        assert scid.decode is not None
        return cpu(lambda: by_numpy(self.data)) / cpu(self.decode)

    track_speedup_over_numpy.unit = "x"


class ScidTail:
    """A file read from its beginning, and one that grows while it is read."""

    def setup(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ESH25-CME.scid"

    def teardown(self):
        self.folder.cleanup()

    def track_catching_up_records_per_second(self):
        block = trades(500_000)
        self.path.write_bytes(HEAD + scid_records(block).tobytes())

        def read():
            reader = ScidTrades(self.path, "ESH25", SystemClock(), start=0)
            while reader.poll() is not None:
                pass

        return len(block) / cpu(read)

    track_catching_up_records_per_second.unit = "records/s"

    def latencies(self):
        """Milliseconds from the writing of a record to the trade, sorted."""
        records = scid_records(trades(LATENCIES * 2))[:LATENCIES]
        source = Path(self.folder.name) / "source"
        source.write_bytes(records.tobytes())
        self.path.write_bytes(HEAD)
        reader = ScidTrades(self.path, "ESH25", SystemClock(), start=0)
        watch = FileWatch(self.path.parent)
        reader.poll()
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, source, self.path], stdout=subprocess.PIPE
        )
        seen = []
        while len(seen) < LATENCIES:
            watch.wait(0.5)
            while (batch := reader.poll()) is not None:
                # The clock is that of the machine, not of the process.
                seen += [time.monotonic()] * len(batch.block)
        written = [float(text) for text in writer.communicate()[0].split()]
        watch.close()
        return sorted(1e3 * (end - begin) for begin, end in zip(written, seen, strict=True))

    def track_median_latency(self):
        return self.latencies()[LATENCIES // 2]

    track_median_latency.unit = "ms"

    def track_p99_latency(self):
        if not sys.platform.startswith("linux"):
            raise NotImplementedError("inotify is of Linux")
        return self.latencies()[LATENCIES * 99 // 100]

    track_p99_latency.unit = "ms"


class IQFeedParse:
    def setup(self):
        block = trades(MESSAGES)
        rows = zip(
            block.price.tolist(), block.size.tolist(), block.aggressor_side.tolist(), strict=True
        )
        updates, ticks = [], []
        for k, (price, size, side) in enumerate(rows):
            points, code = f"{price / 4:.2f}", {1: 1, -1: 2, 0: 3}[side]
            at = f"09:{k // 60 % 60:02d}:{k % 60:02d}.{k % 1_000_000:06d}"
            quote = f"{(price - 1) / 4:.2f},12,{points},15"
            updates.append(f"Q,@ESH25,{points},{size},03/10/2025,{at},{code},{quote},{k},Cba,\r\n")
            ticks.append(
                f"R1,LH,2025-03-10 {at},{points},{size},{k},{points},{points},{k},"
                f"C,43,01,{code},10,"
            )
        self.updates = "".join(updates).encode()
        self.ticks = [tick.encode() for tick in ticks]

    def read_updates(self):
        decoder, buffer = Level1Decoder({b"@ESH25": "ESH25"}), LineBuffer()
        decoder.set_fields(["Symbol", *UPDATE_FIELDS])
        count = 0
        for k in range(0, len(self.updates), 65_536):
            for line in buffer.feed(self.updates[k : k + 65_536]):
                decoder.update(line, 0)
            count += sum(len(block) for block in decoder.take())
        assert count == len(self.ticks)

    def split_only(self):
        for line in self.updates.split(b"\r\n"):
            line.split(b",")

    def track_updates_per_second(self):
        return len(self.ticks) / cpu(self.read_updates)

    track_updates_per_second.unit = "messages/s"

    def track_cost_over_splitting(self):
        return cpu(self.read_updates) / cpu(self.split_only)

    track_cost_over_splitting.unit = "x"

    def read_ticks(self):
        decoder = TickDecoder("ESH25")
        for line in self.ticks:
            decoder.add(line)
        assert len(decoder.columns.block()) == len(self.ticks)

    def track_history_ticks_per_second(self):
        return len(self.ticks) / cpu(self.read_ticks)

    track_history_ticks_per_second.unit = "messages/s"


class DtcParse:
    params = [0, 2, 3]
    param_names = ["encoding"]

    def setup(self, encoding):
        self.encoding = Encoding(encoding)
        block = trades(MESSAGES)
        self.count = len(block)
        rows = zip(block.ts_event.tolist(), block.price.tolist(), block.size.tolist(), strict=True)
        name = "MARKET_DATA_UPDATE_TRADE_WITH_UNBUNDLED_INDICATOR_2"
        self.data = b"".join(
            encode(
                self.encoding,
                name,
                {"SymbolID": 1, "Price": p / 4, "Volume": n, "DateTime": t // 1000},
            )
            for t, p, n in rows
        )

    def read(self):
        frames, count = DtcFrames(), 0
        frames.encoding = self.encoding
        for k in range(0, len(self.data), 65_536):
            frames.feed(self.data[k : k + 65_536])
            while (frame := frames.next()) is not None:
                decode(self.encoding, frame)
                count += 1
        assert count == self.count

    def track_messages_per_second(self, encoding):
        return self.count / cpu(self.read)

    track_messages_per_second.unit = "messages/s"

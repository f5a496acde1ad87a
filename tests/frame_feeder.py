"""A process that shows frames as a trader does, until it is killed; no trader behind them.

``PYTHONPATH=.:tests python tests/frame_feeder.py STATE_DIR [--hz HZ] [--count N]
[--padding BYTES]``. It holds the
state directory's lock and leaves the note of a run, so that what reads it takes it for a trader.
Each frame's last price, equity and sequence number follow from its number.
"""

import argparse
import time
from pathlib import Path

import msgspec
from frame_cases import LAST, ShownFrames, book, frame, screen_lines

from mia.core.frame import Day
from mia.data.state_directory import StateDirectory


def shown(seq: int, padding: int):
    """Return the frame of a number, with so many bytes more than it needs."""
    price = LAST + seq % 41 - 20
    return frame(
        seq,
        book=book(price),
        **({"counters": {"x" * padding: 1}} if padding else {}),
        day=Day(20260209, 112.5, 15.0, 72.5, 1000.0, 1, 1, 50_000.0 + seq % 977, 50_112.5),
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("state_dir", type=Path)
    parser.add_argument("--hz", type=float, default=10.0)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--padding", type=int, default=0)
    values = parser.parse_args()
    with StateDirectory.open(values.state_dir) as directory:
        directory.write_run(
            account="DU1234567", host="127.0.0.1", port=1, client_id=71, started=time.time_ns()
        )
        with ShownFrames(values.state_dir) as frames:
            if not (values.state_dir / "screen").exists():
                frames.draw(screen_lines())
            print("ready", flush=True)
            due, seq, times = time.monotonic(), 0, []
            while not values.count or seq < values.count:
                seq += 1
                payload = shown(seq, values.padding)
                before = time.perf_counter()
                frames.show(payload)
                times.append(time.perf_counter() - before)
                del times[:-100_000]
                due += 1.0 / values.hz
                time.sleep(max(0.0, due - time.monotonic()))
            times.sort()
            told = {"frames": seq, "slowest_s": times[-1], "p99_s": times[len(times) * 99 // 100]}
            print(msgspec.json.encode(told).decode(), flush=True)


if __name__ == "__main__":
    main()

"""A stand-in for a trader process as the watchdog sees one: lock, run note, frames, heartbeat.

Run as a program it holds a state directory and shows a frame ten times a second:
``python watch_scene.py STATE_DIR flat|long|entry|silent``. It ends in order on SIGTERM.
"""

import signal
import sys
import time
from pathlib import Path

import msgspec
from frame_cases import frame, held

from mia.core.frame_memory import NAME, FrameWriter
from mia.data.state_directory import StateDirectory


def main(state: Path, what: str) -> None:
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    holding = {
        "long": held(),
        "entry": msgspec.structs.replace(held(), quantity=0, entry=None, protected=False),
    }.get(what)
    shown = msgspec.structs.replace(
        frame(), held=holding, state="NORMAL", state_reasons=[], wall_ts=time.time_ns()
    )
    with StateDirectory.open(state) as directory:
        directory.write_run(
            account="DU1234567", host="127.0.0.1", port=1, client_id=71, started=time.time_ns()
        )
        directory.journal_path.touch(mode=0o600)
        print("held", flush=True)
        if what == "silent":
            while not stopped:
                time.sleep(0.02)
            return
        with FrameWriter(state / NAME) as writer:
            while not stopped:
                shown.wall_ts = time.time_ns()
                writer.write(msgspec.json.encode(shown))
                time.sleep(0.1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

"""What it costs the trader to be seen."""

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from mia.config.settings import load_settings
from mia.core import sessions
from mia.data.tape import synthetic_tape
from mia.data.wire_tape import as_wire
from mia.performance.recorder import RunRecord
from mia.trader.live import LiveTrader
from mia.trader.live_parts import LiveOptions

START = 20250310
TURN = 10
"""Frames a second."""


class Show:
    """A whole trader that is not connected, after two thirds of a session."""

    timeout = 300

    def setup(self):
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        options = LiveOptions(
            "127.0.0.1",
            1,
            "DU1234567",
            folder / "state",
            RunRecord(),
            lockstep=True,
            now=sessions.session_open(START),
        )
        loaded = load_settings("demo", environ={}, env_file=Path("absent"))
        self.live = LiveTrader(loaded, options, self.stack)
        self.session = self.live.session
        self.session.is_ready = True
        for block in as_wire(synthetic_tape(41, START, 1, 20_000)).blocks():
            end = 2 * len(block) // 3
            part = type(block)(
                block.contract,
                block.ts_event[:end],
                block.price[:end],
                block.size[:end],
                block.aggressor_side[:end],
                block.bid_price[:end],
                block.ask_price[:end],
            )
            self.live.clock.hear(int(part.ts_event[-1]))
            self.session.trader.run(part)
            self.session.status.on_trades(part)
        self.live.screen.publish()

    def teardown(self):
        self.stack.close()

    def _best(self, renewed_every, rounds=7, frames=2000):
        """Return microseconds of processor time a frame, the quote of each another one."""
        publish, refresh = self.live.screen.publish, self.live.screen.source.refresh
        session, best = self.session, float("inf")
        for _ in range(rounds):
            began = time.process_time_ns()
            for k in range(frames):
                session.status.last_price = 18_000 + k % 7
                session.ticks.bid = 18_000 + k % 7
                session.ticks.ask = 18_001 + k % 7
                if renewed_every and k % renewed_every == 0:
                    refresh()
                publish()
            best = min(best, (time.process_time_ns() - began) / frames)
        return best / 1000

    def track_microseconds_per_frame(self):
        return self._best(TURN)

    track_microseconds_per_frame.unit = "us"

    def track_microseconds_between_seconds(self):
        return self._best(0)

    track_microseconds_between_seconds.unit = "us"

    def track_share_of_a_core(self):
        """Return per mille of a core that ten frames a second take."""
        return self._best(TURN) * TURN / 1000

    track_share_of_a_core.unit = "per mille"

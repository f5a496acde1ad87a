"""Shows the frame ten times a second, from the event loop whose life it proves.

Nothing of it may hold or end the cycle: what fails is counted and said once.
"""

import asyncio
import logging
import time
from pathlib import Path

from mia.core.frame_memory import NAME, FrameWriter
from mia.execution.stage_times import StageTimes
from mia.trader.screen.frame_source import FrameSource
from mia.trader.screen.screen_file import ScreenFile

log = logging.getLogger(__name__)

PERIOD_S = 0.1


class FramePublisher:
    """Writes frames and the heartbeat into the state directory.

    Parameters
    ----------
    state_dir : Path
    source : FrameSource
    file : ScreenFile
        Begun and ended with it.
    cost : StageTimes
        What showing costs.

    Attributes
    ----------
    source : FrameSource
    """

    def __init__(
        self, state_dir: Path, source: FrameSource, file: ScreenFile, cost: StageTimes
    ) -> None:
        self.source = source
        self._file = file
        self._cost = cost
        self._writer: FrameWriter | None = None
        self._said: set[str] = set()
        try:
            self._writer = FrameWriter(state_dir / NAME)
            file.start()
        except OSError as error:
            self._say(f"nothing is shown: {state_dir}: {error}")

    def publish(self) -> None:
        """Show the frame as it is now; never raises an `Exception`."""
        writer = self._writer
        if writer is None:
            return
        began = time.perf_counter_ns()
        try:
            if not writer.write_joined(*self.source.frame()):
                self.source.counts.add("frames_dropped")
                self._say("a frame was too large to be shown")
        except Exception as error:
            # The screen goes stale, and says so; the loop lives, and says that too.
            self.source.counts.add("frames_dropped")
            self._say(f"a frame could not be made: {error!r}")
            writer.beat()
        self._cost.add(time.perf_counter_ns() - began)

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            self.publish()
            await asyncio.sleep(PERIOD_S)

    def close(self) -> None:
        """Show the last frame, and let go."""
        self.source.refresh()
        self.publish()
        self._file.close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _say(self, words: str) -> None:
        if words not in self._said and len(self._said) < 20:
            self._said.add(words)
            log.error("%s", words)

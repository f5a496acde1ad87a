"""Put together what shows a run to the screens."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import mia
from mia.config.settings import LoadedSettings
from mia.core.event_bus import EventBus
from mia.core.frame import Model
from mia.core.protocols import Clock
from mia.execution.live.session import LiveSession
from mia.execution.stage_times import CycleTimes
from mia.ml.model_filter import ModelFilter
from mia.performance.identity import configuration_hash
from mia.trader.live_parts import LiveOptions
from mia.trader.screen.closed_bars import ClosedBars
from mia.trader.screen.day_count import DayCount
from mia.trader.screen.frame_parts import masked
from mia.trader.screen.frame_publisher import FramePublisher
from mia.trader.screen.frame_source import FrameSource, RunIdentity
from mia.trader.screen.screen_file import ScreenFile
from mia.trader.sources.book_feed import BookFeed


def show_run(
    loaded: LoadedSettings,
    options: LiveOptions,
    session: LiveSession,
    clock: Clock,
    bus: EventBus,
    stack: ExitStack,
    *,
    past: Iterable[tuple[str, Mapping[str, Any]]] = (),
    book: BookFeed | None = None,
    model: ModelFilter | None = None,
    waiting: Callable[[], int] = int,
) -> FramePublisher:
    """Let a session be seen in its state directory; `FramePublisher.run` shows it from then on.

    Parameters
    ----------
    past : iterable of (str, mapping)
        Kind and payload of the journal's events.
    book : BookFeed, optional
    model : ModelFilter, optional
    waiting : callable
        Returns how many events the journal holds in memory only.
    stack : ExitStack
        Shows the last frame when it ends.
    """
    settings = loaded.settings
    wall = time.time_ns()
    identity = RunIdentity(
        time.strftime("%Y%m%d-%H%M%S", time.gmtime(wall // 1_000_000_000)),
        mia.__version__,
        configuration_hash(loaded),
        settings.trading_mode,
        options.now is not None,
        options.dry_run,
        masked(options.account),
        settings.symbol,
        settings.feed,
        wall,
    )
    directory = Path(options.state_dir)
    file = ScreenFile(directory)
    times = CycleTimes()
    session.trader.times = times
    source = FrameSource(
        identity,
        session,
        times,
        ClosedBars(session.trader.state, file),
        DayCount(past),
        clock,
        bus,
        book,
    )
    source.count_waiting = waiting
    if model is not None:
        source.tell_model = lambda: Model(model.stage.upper(), model.model)
    publisher = FramePublisher(directory, source, file, times.frame)
    stack.callback(publisher.close)
    return publisher

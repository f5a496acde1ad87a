"""What a run tells people about itself: its file of alerts, its watchdog, its service manager."""

import asyncio
import logging
import os
import time
from contextlib import ExitStack
from pathlib import Path

from mia.config.settings import LoadedSettings
from mia.core.alert_file import NAME, AlertFile, AlertLevel
from mia.core.protocols import Clock
from mia.execution.alert_events import AlertEvents
from mia.execution.live.session import LiveSession
from mia.execution.simple_trader import SimpleTrader
from mia.redaction import Redactor, secrets_of
from mia.trader.service_manager import ServiceManager
from mia.trader.watch_keeper import WatchKeeper, watch_command

log = logging.getLogger(__name__)

_EVERY_S = 1.0


class RunAlerts:
    """The alerts of a run; made before everything else, so that nothing goes untold.

    Parameters
    ----------
    loaded : LoadedSettings
    state_dir : Path
        Held by this process.
    clock : Clock
        Of the run.
    stack : ExitStack
        Closes the file.

    Attributes
    ----------
    events : AlertEvents
        A subscriber of the event bus.
    trader : SimpleTrader, optional
        Whose position makes a lost connection urgent.
    """

    def __init__(
        self, loaded: LoadedSettings, state_dir: Path, clock: Clock, stack: ExitStack
    ) -> None:
        self.trader: SimpleTrader | None = None
        redact = Redactor([*secrets_of(os.environ), *loaded.secrets])
        try:
            file = AlertFile(state_dir / NAME, redact, "trader", rotate=True)
        except OSError as error:
            log.error("alerts go nowhere: %s: %s", state_dir / NAME, error.strerror)
            file = AlertFile(Path(os.devnull), redact, "trader")
        stack.callback(file.close)
        self.events = AlertEvents(file, clock.now, time.time_ns, self._held)
        self._manager = ServiceManager(os.environ)
        self._was_ready = False
        self._keeper: WatchKeeper | None = None
        if loaded.settings.alerts.watchdog:
            command = watch_command(loaded, state_dir)
            self._keeper = WatchKeeper(state_dir, command, self.events.write)

    def ready(self) -> None:
        """Tell the service manager that the trader may trade, and have it watched from now on."""
        self._was_ready = True
        self._manager.ready()

    async def attend(self, session: LiveSession) -> None:
        """See to the watchdog, and tell the service manager that this loop turns; until cancelled.

        Parameters
        ----------
        session : LiveSession
        """
        while True:
            self._manager.beat()
            self.events.state(session.trader.kill_switch.state)
            if self._keeper is not None and self._was_ready:
                # One that never got ready has an end that its starter sees.
                # To start a process takes longer than the loop may stand.
                await asyncio.to_thread(self._keeper.look, time.monotonic())
            await asyncio.sleep(_EVERY_S)

    def heed_loop(self, session: LiveSession) -> None:
        """Let errors that nobody catches in the event loop stop the session in order.

        A connection that broke in a task that nobody waits for any more is told and stops
        nothing: the session sees to its connections by itself.
        """

        def heed(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
            error = context.get("exception")
            if not isinstance(error, Exception):
                loop.default_exception_handler(context)
                return
            log.error("%s", context.get("message"), exc_info=error)
            if isinstance(error, OSError | EOFError | TimeoutError):
                text = f"{context.get('message')}: {type(error).__name__}"
                self.events.write(AlertLevel.WARNING, "loop", text)
            else:
                session.fail(error)

        asyncio.get_running_loop().set_exception_handler(heed)

    def ended(self, error: BaseException | None) -> None:
        """Tell that the run is over, and why if not in order."""
        self._manager.stopping()
        self.events.is_over = True
        held = self._held()
        left = f"; {held}, stop and target rest at the broker" if held else ""
        if error is None:
            self.events.write(AlertLevel.INFO, "ended", f"the trader ends in order{left}")
        else:
            level = AlertLevel.CRITICAL if held else AlertLevel.WARNING
            text = f"the trader ends: {str(error) or type(error).__name__}{left}"
            self.events.write(level, "ended", text)

    def _held(self) -> str:
        position = None if self.trader is None else self.trader.position
        if position is None or not position.open_quantity:
            return ""
        side = "long" if position.decision.proposal.side > 0 else "short"
        return f"{position.open_quantity} {position.decision.symbol} {side}"

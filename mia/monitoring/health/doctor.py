"""``mia doctor``: what has to be right before a trader starts, and what to do where it is not."""

import ctypes
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from mia.config.operations import ENV_FILE, Alerts, is_open_to_others
from mia.config.settings import LoadedSettings, Settings
from mia.core.alert_file import Alert, AlertLevel
from mia.data.journal_disk import measure_sync
from mia.errors import ConfigError
from mia.monitoring.alerts.discord_sender import DiscordSender, webhook_address
from mia.monitoring.health import machine
from mia.monitoring.health.doctor_links import Finding, Verdict, look_at_broker, look_at_feed

_MB = 1 << 20
_SLOW_MS, _TOO_SLOW_MS = 20.0, 100.0
_TIME_ERROR = 5
_TEST_S = 15.0


def examine(
    loaded: LoadedSettings,
    state_dir: Path,
    *,
    env_file: Path | None = None,
    send_test: bool = False,
    wall: Callable[[], int],
) -> list[Finding]:
    """Look at everything once; nothing is changed, and nothing sent unless it is asked for.

    Parameters
    ----------
    state_dir : Path
        Need not exist.
    env_file : Path, optional
        ``.env.automation`` of the working directory by default.
    send_test : bool
        Send a message to the webhook.
    wall : callable
        The machine's time, ns UTC.
    """
    settings = loaded.settings
    found = [_env_file(env_file or Path(ENV_FILE)), *_state(state_dir, settings.alerts.disk_mb)]
    found += [_memory(), _clock_synchronised(), *look_at_broker(settings, wall)]
    found.append(look_at_feed(settings))
    found += _channels(settings, send_test, wall)
    found.append(_watchdog(settings))
    return found


def _env_file(path: Path) -> Finding:
    if not path.exists():
        return Finding("secrets", Verdict.OK, f"no {path}: settings come from elsewhere")
    if is_open_to_others(path):
        return Finding("secrets", Verdict.FAIL, f"{path} is open to others", f"chmod 600 {path}")
    return Finding("secrets", Verdict.OK, f"{path} is its owner's alone")


def _state(state_dir: Path, disk_mb: int) -> list[Finding]:
    exists = state_dir.is_dir()
    if exists and is_open_to_others(state_dir):
        rights = Finding(
            "state", Verdict.FAIL, f"{state_dir} is open to others", f"chmod 700 {state_dir}"
        )
    elif exists and not os.access(state_dir, os.W_OK):
        rights = Finding(
            "state", Verdict.FAIL, f"{state_dir} cannot be written", "use a directory of your own"
        )
    else:
        rights = Finding("state", Verdict.OK, f"{state_dir}{'' if exists else ', not made yet'}")
    place = next(p for p in (state_dir.absolute(), *state_dir.absolute().parents) if p.is_dir())
    return [rights, _sync_cost(place), _room(place, disk_mb)]


def _sync_cost(place: Path) -> Finding:
    try:
        cost = measure_sync(place, 11)
    except OSError as error:
        return Finding(
            "sync", Verdict.FAIL, f"{place}: {error.strerror}", "name a directory that can be used"
        )
    median = cost.median_ns / 1e6
    if median > _TOO_SLOW_MS:
        return Finding("sync", Verdict.FAIL, str(cost), "use a local disk, not one of a network")
    if median > _SLOW_MS:
        return Finding("sync", Verdict.WARN, str(cost), "keep live.sync at group, or use an SSD")
    return Finding("sync", Verdict.OK, str(cost))


def _room(place: Path, disk_mb: int) -> Finding:
    free = machine.free_disk(place)
    if free is None:
        return Finding("room", Verdict.WARN, f"{place} does not tell its free space", "look at it")
    text = f"{free // _MB} MB free at {place}"
    if free < disk_mb * _MB:
        return Finding("room", Verdict.FAIL, text, f"free {disk_mb} MB, or lower alerts.disk_mb")
    return Finding("room", Verdict.OK, text)


def _memory() -> Finding:
    found = machine.free_memory()
    if found is None:
        return Finding("memory", Verdict.OK, "not known on this system")
    text = f"{found[0] // _MB} MB available"
    if found[0] < 512 * _MB:
        return Finding("memory", Verdict.WARN, text, "end what needs it before the session")
    return Finding("memory", Verdict.OK, text)


def _clock_synchronised() -> Finding:
    if not sys.platform.startswith("linux"):
        return Finding("clock", Verdict.OK, "the system does not tell; see the broker's time")
    state = _kernel_clock()
    if state is None:
        return Finding("clock", Verdict.OK, "the kernel does not tell; see the broker's time")
    if state == _TIME_ERROR:
        return Finding(
            "clock", Verdict.WARN, "the kernel's clock is not synchronised", "run chrony or ntpd"
        )
    return Finding("clock", Verdict.OK, "the kernel's clock is synchronised")


def _kernel_clock() -> int | None:
    """Return the state that adjtimex tells, None where it cannot be asked."""
    try:
        # The struct is 208 bytes on 64-bit systems; modes 0 only reads.
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(512))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else int(state)


def _channels(settings: Settings, send_test: bool, wall: Callable[[], int]) -> list[Finding]:
    alerts = settings.alerts
    found = []
    if alerts.discord_webhook is not None:
        found.append(_discord(alerts, send_test, wall))
    if alerts.apprise_urls is not None:
        if find_spec("apprise") is None:
            found.append(
                Finding(
                    "apprise",
                    Verdict.FAIL,
                    "apprise is not installed",
                    "pip install 'mia-trading[apprise]'",
                )
            )
        elif alerts.discord_webhook is None:
            found.append(
                Finding(
                    "apprise",
                    Verdict.WARN,
                    "the only channel, and it gives up what takes too long",
                    "set alerts.discord_webhook as well",
                )
            )
        else:
            found.append(Finding("apprise", Verdict.OK, "installed"))
    if not found:
        found.append(
            Finding(
                "alerts",
                Verdict.WARN,
                "alerts reach the screens and their file only",
                "set MIA_ALERTS__DISCORD_WEBHOOK",
            )
        )
    return found


def _discord(alerts: Alerts, send_test: bool, wall: Callable[[], int]) -> Finding:
    assert alerts.discord_webhook is not None
    webhook = alerts.discord_webhook.get_secret_value()
    try:
        webhook_address(webhook)
    except ConfigError as error:
        return Finding("webhook", Verdict.FAIL, str(error).partition(":")[0], "copy it again")
    if not send_test:
        return Finding("webhook", Verdict.OK, "has the right form; --send-test tries it")
    said: list[str] = []
    sender = DiscordSender(webhook, said.append)
    now = wall()
    text = "a test of mia doctor: this channel works"
    sender.send(Alert(now, AlertLevel.INFO, "doctor:test", text, "doctor", now), lambda: None)
    sent = sender.close(_TEST_S) and sender.sent == 1
    if sent:
        return Finding("webhook", Verdict.OK, "the test message was taken")
    why = said[-1] if said else f"no answer within {_TEST_S:g} s"
    return Finding("webhook", Verdict.FAIL, why, "check network and webhook")


def _watchdog(settings: Settings) -> Finding:
    alerts = settings.alerts
    if alerts.watchdog:
        pull = f"pulls {alerts.kill}" if alerts.kill != "off" else "only tells"
        return Finding("watchdog", Verdict.OK, f"the trader starts it; it {pull}")
    if settings.trading_mode == "live":
        return Finding(
            "watchdog", Verdict.FAIL, "nobody watches over a live trader", "set alerts.watchdog"
        )
    return Finding(
        "watchdog", Verdict.WARN, "the trader starts none", "set alerts.watchdog, or run mia watch"
    )

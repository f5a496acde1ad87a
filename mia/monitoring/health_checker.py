"""``mia health``: whether the trader of a state directory is well, as an exit code.

0 well, 1 something wants attention, 2 something is wrong now. Standard library only, so that it
starts at once and works when nothing else does: ``python -m mia.monitoring.health_checker``.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from mia.data import state_files
from mia.errors import MiaError
from mia.monitoring.health import machine
from mia.monitoring.watch.trader_life import Life, Sight, watch_once
from mia.monitoring.watch.watch_beat import watch_age

HANG_S = 3.0
DISK_MB = 500
_STALE_S = 10.0
_CLOCK_S = 1.0
_WATCH_S = 5.0
_MB = 1 << 20
_DEMO = Path("results/demo/state")


class Mark(IntEnum):
    """How something is; the exit code of the worst."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    text : str
        One line: what was found.
    """

    name: str
    mark: Mark
    text: str


def check_health(state_dir: Path, *, hang_s: float = HANG_S, disk_mb: int = DISK_MB) -> list[Check]:
    """Look at everything once.

    Parameters
    ----------
    state_dir : Path
        Need not exist: no trader is then a finding, not an error.
    hang_s : float
        Age of the heartbeat at which a trader hangs.
    disk_mb : int
        Free space in MB below which there is too little.
    """
    seen = watch_once(state_dir, hang_s)
    checks = [_life(seen)]
    if seen.frame and seen.life in (Life.RUNNING, Life.HUNG):
        checks += _frame(seen.frame)
    checks += check_machine(state_dir, seen, disk_mb)
    checks.append(_watchdog(state_dir, seen))
    return checks


def check_machine(state_dir: Path, seen: Sight, disk_mb: int) -> list[Check]:
    """Look at disk, memory, processor, clock and journal."""
    found = [_disk(state_dir, disk_mb), _memory(seen), _processor(seen), _journal(state_dir, seen)]
    if seen.life is Life.RUNNING and seen.frame.get("wall_ts"):
        # The frame is at most a heartbeat old, so a larger difference is one of clocks.
        ahead = seen.frame["wall_ts"] / 1e9 - time.time()
        off = abs(ahead) > _CLOCK_S + seen.age_s + HANG_S
        words = "went backwards or forwards" if off else "agrees with the trader's"
        found.append(Check("clock", Mark.WARNING if off else Mark.OK, f"the clock {words}"))
    return found


def _life(seen: Sight) -> Check:
    marks = {
        Life.ABSENT: (Mark.WARNING, "no trader runs"),
        Life.STARTING: (Mark.WARNING, f"process {seen.pid} starts and has shown nothing yet"),
        Life.RUNNING: (Mark.OK, f"process {seen.pid}, heartbeat {seen.age_s:.1f} s ago"),
        Life.HUNG: (
            Mark.CRITICAL,
            f"process {seen.pid} hangs: no heartbeat for {seen.age_s:.1f} s; {seen.exposure}",
        ),
        Life.DIED: (
            Mark.CRITICAL,
            f"process {seen.pid} is gone and did not end in order; {seen.exposure or 'flat'}",
        ),
    }
    mark, text = marks[seen.life]
    return Check("trader", mark, text.rstrip("; "))


def _frame(frame: Mapping[str, Any]) -> Iterator[Check]:
    held = frame.get("held") or {}
    is_open = bool(held.get("quantity"))
    state = str(frame.get("state", "UNKNOWN"))
    reasons = ", ".join(map(str, frame.get("state_reasons", ())))
    mark = {"NORMAL": Mark.OK, "EMERGENCY": Mark.CRITICAL}.get(state, Mark.WARNING)
    yield Check("state", mark, f"{state}, {reasons}" if reasons else state)
    ready = bool(frame.get("ready"))
    yield Check("ready", Mark.OK if ready else Mark.WARNING, "ready" if ready else "not ready")
    wanting = Mark.CRITICAL if is_open else Mark.WARNING
    links = frame.get("links", {})
    names = {name: str(links.get(name, "UNKNOWN")) for name in ("orders", "market")}
    well = set(names.values()) == {"READY"}
    text = ", ".join(f"{name} {state}" for name, state in names.items())
    yield Check("broker", Mark.OK if well else wanting, text)
    feed = frame.get("feed", {})
    age, fault = feed.get("age_s"), str(feed.get("fault", ""))
    told = "nothing heard yet" if age is None else f"heard {age:.1f} s ago"
    well = not fault and (not ready or (age is not None and age < _STALE_S))
    yield Check(
        "feed", Mark.OK if well else wanting, f"{feed.get('name', '')}: {fault or told}".strip(": ")
    )
    if is_open:
        safe = bool(held.get("protected"))
        text = f"{held['quantity']:+d} {held.get('symbol', '')}"
        guard = "a stop works at the broker" if safe else "NO STOP IS KNOWN TO WORK"
        yield Check("position", Mark.OK if safe else Mark.CRITICAL, f"{text}, {guard}")
    else:
        yield Check("position", Mark.OK, "flat")


def _disk(state_dir: Path, disk_mb: int) -> Check:
    place = next((p for p in (state_dir, *state_dir.absolute().parents) if p.exists()), Path("/"))
    free = machine.free_disk(place)
    if free is None:
        return Check("disk", Mark.WARNING, f"{place} cannot be looked at")
    mark = Mark.OK
    if free < disk_mb * _MB:
        mark = Mark.CRITICAL if free < disk_mb * _MB // 5 else Mark.WARNING
    return Check("disk", mark, f"{free // _MB} MB free at {place}")


def _memory(seen: Sight) -> Check:
    found = machine.free_memory()
    if found is None:
        return Check("memory", Mark.OK, "not known on this system")
    available, total = found
    share = available / total
    mark = Mark.OK if share > 0.1 else Mark.WARNING if share > 0.03 else Mark.CRITICAL
    used = machine.resident_memory(seen.pid) if seen.pid else None
    trader = "" if used is None else f"; the trader has {used // _MB} MB"
    return Check("memory", mark, f"{available // _MB} MB of {total // _MB} MB available{trader}")


def _processor(seen: Sight) -> Check:
    busy = machine.load()
    if busy is None:
        return Check("processor", Mark.OK, "not known on this system")
    text = f"load {busy:.2f} for each processor"
    times = machine.processor_time(seen.pid) if seen.life is Life.RUNNING else None
    if times is not None and times[1] > 0:
        text += f"; the trader used {times[0] / times[1]:.0%} of one since it began"
    return Check("processor", Mark.WARNING if busy > 4 else Mark.OK, text)


def _journal(state_dir: Path, seen: Sight) -> Check:
    path = state_dir / state_files.JOURNAL
    if not path.exists():
        mark = Mark.CRITICAL if seen.life is Life.RUNNING else Mark.OK
        return Check("journal", mark, "there is none")
    waits = (seen.frame.get("counters") or {}).get("journal_waiting")
    if "JOURNAL" in seen.frame.get("state_reasons", ()):
        return Check("journal", Mark.CRITICAL, "the disk does not take everything")
    if waits:
        return Check("journal", Mark.WARNING, f"{waits} events are not on the disk yet")
    log = path.with_name(f"{path.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    mark = Mark.WARNING if size > 256 * _MB else Mark.OK
    return Check("journal", mark, f"whole; {size // 1024} KB not folded in")


def _watchdog(state_dir: Path, seen: Sight) -> Check:
    age = watch_age(state_dir)
    if age is None:
        return Check("watchdog", Mark.OK, "none runs")
    hangs = age > _WATCH_S
    text = f"{'hangs, ' if hangs else ''}looked {age:.1f} s ago"
    return Check("watchdog", Mark.WARNING if hangs else Mark.OK, text)


def find_state(given: str | None, config: str | None) -> Path:
    """Return the state directory that is meant.

    The option, then ``MIA_STATE_DIR``, then that of a profile, then the only account under
    ``state``, the default of `live.state_dir`, then that of the demo.

    Raises
    ------
    SystemExit
        2 if none can be found out.
    """
    if given or os.environ.get("MIA_STATE_DIR"):
        return Path(given or os.environ["MIA_STATE_DIR"]).expanduser()
    root, account = Path("state"), None
    if config:
        from mia.config.settings import load_settings  # slow, and only for this case

        settings = load_settings(config).settings
        root, account = Path(settings.live.state_dir), settings.ibkr.account
        if account:
            return root / account
    found = sorted(path for path in root.glob("*/") if (path / state_files.LOCK).exists())
    if len(found) == 1:
        return found[0]
    if not found and _DEMO.is_dir():
        return _DEMO
    why = "none" if not found else ", ".join(path.name for path in found)
    print(f"mia health: {root} has {why}: name the directory with --state-dir", file=sys.stderr)
    raise SystemExit(2)


def main(arguments: list[str]) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="mia health",
        description="Look whether the trader of a state directory is well.",
        epilog="Example: mia health --state-dir state/DU1234567\n"
        "exit codes: 0 well, 1 something wants attention, 2 something is wrong now",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--state-dir", "--state", metavar="DIR", help="(default: MIA_STATE_DIR, or the only)"
    )
    parser.add_argument("--config", metavar="PROFILE", help="profile that names the directory")
    parser.add_argument("--json", action="store_true", help="print JSON")
    values = parser.parse_args(arguments)
    try:
        state = find_state(values.state_dir, values.config)
    except MiaError as error:
        print(f"mia health: {error}", file=sys.stderr)
        return error.exit_code
    checks = check_health(state)
    worst = max(check.mark for check in checks)
    if values.json:
        plain = [asdict(check) | {"mark": check.mark.name} for check in checks]
        print(json.dumps({"mark": worst.name, "checks": plain}, indent=1))
    else:
        for check in checks:
            print(f"{check.mark.name:8} {check.name:10} {check.text}")
    return int(worst)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

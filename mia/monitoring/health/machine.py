"""What the machine under a trader has left: disk, memory, processor, clock. Standard library only.

Linux tells everything; elsewhere what cannot be had is None.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path


def free_disk(path: Path) -> int | None:
    """Return the bytes that are free where a path is."""
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None


def free_memory() -> tuple[int, int] | None:
    """Return the bytes of memory that are available, and all of them."""
    values = _colon_table(Path("/proc/meminfo"))
    available, total = values.get("MemAvailable"), values.get("MemTotal")
    if available is None or not total:
        return None
    return available, total


def resident_memory(pid: int) -> int | None:
    """Return the bytes of memory that a process occupies."""
    return _colon_table(Path(f"/proc/{pid}/status")).get("VmRSS")


def load() -> float | None:
    """Return the load of the last minute for each processor."""
    if not hasattr(os, "getloadavg"):
        return None
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def processor_time(pid: int) -> tuple[float, float] | None:
    """Return the seconds of processor time that a process has used, and those that it has lived."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        fields = text.rpartition(")")[2].split()
        tick = os.sysconf("SC_CLK_TCK")
        used = (int(fields[11]) + int(fields[12])) / tick
        uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
        return used, uptime - int(fields[19]) / tick
    except (OSError, ValueError, IndexError):
        return None


def _colon_table(path: Path) -> dict[str, int]:
    """Read lines as ``Name:   123 kB`` into bytes."""
    values = {}
    with suppress(OSError):
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            name, _, rest = line.partition(":")
            parts = rest.split()
            if len(parts) == 2 and parts[1] == "kB" and parts[0].isdecimal():
                values[name] = int(parts[0]) * 1024
    return values

"""``mia monitor``: the terminal screen, by the options of ``mia.monitoring.live_monitor``."""

from mia.monitoring.live_monitor import monitor

__all__ = ["monitor"]

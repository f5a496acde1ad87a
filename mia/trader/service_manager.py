"""What systemd wants to hear of the trader: that it is ready, and that its loop turns.

An extra: without ``NOTIFY_SOCKET`` in the environment nothing is sent anywhere. Standard library
only.
"""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


class ServiceManager:
    """The trader's end of sd_notify.

    Parameters
    ----------
    environment : mapping
        ``NOTIFY_SOCKET``, and ``WATCHDOG_USEC`` with ``WATCHDOG_PID`` if the service has a
        watchdog.

    Attributes
    ----------
    wants_beats : bool
        Whether the service has a watchdog, and it is this process that it watches.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        watched = environment.get("WATCHDOG_PID", str(os.getpid()))
        self.wants_beats = bool(
            self._address and environment.get("WATCHDOG_USEC") and watched == str(os.getpid())
        )

    def ready(self) -> None:
        """Say that the trader is connected, reconciled and may trade."""
        self._send("READY=1\nSTATUS=ready")

    def beat(self) -> None:
        """Say that the loop turns; call it from that loop, at least every few seconds."""
        if self.wants_beats:
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the trader ends."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address or not hasattr(socket, "AF_UNIX"):
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.setblocking(False)
            line.connect(self._address)
            line.send(text.encode())

"""What a trader tells the person who runs it, a line for each thing, beside what it records."""

from typing import Any

from rich.console import Console

from mia.core.broker_types import LinkState
from mia.core.protocols import EventSink


class Notes:
    """Passes everything on, and says how the connections are.

    Parameters
    ----------
    sink : EventSink
    console : Console
    """

    def __init__(self, sink: EventSink, console: Console) -> None:
        self._sink = sink
        self._console = console
        self._said: dict[str, str] = {}

    def publish(self, topic: str, event: Any) -> None:
        """Take an event; a state of a connection is said when it changes or has another reason."""
        self._sink.publish(topic, event)
        if topic == "link":
            name, state, reason = event
            words = state.value if state is LinkState.READY else f"{state.value}, {reason}"
            if self._said.get(name) != words:
                self._said[name] = words
                self.say(f"{name} connection: {words}")

    def say(self, line: str) -> None:
        """Write a line as it is."""
        self._console.print(line, soft_wrap=True, markup=False, highlight=False)

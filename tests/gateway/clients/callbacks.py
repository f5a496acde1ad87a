"""What a client saw, in a form in which libraries can be compared.

Only the standard library: the interpreters that run this know nothing of the project.
"""

import dataclasses
import json
import logging
import math
import threading
import time
from datetime import datetime
from decimal import Decimal
from enum import Enum

UNSET = {2147483647.0, 9223372036854775807.0, 1.7976931348623157e308, float(2**127 - 1)}
PATIENCE = 30.0
IGNORED = {"connectAck", "connectionClosed", "startApi", "setEventsDone"}
RENAMED = {"commissionAndFeesReport": "commissionReport"}
RENAMED_FIELDS = {
    "wap": "average",
    "commissionAndFees": "commission",
    "minCommissionAndFees": "minCommission",
    "maxCommissionAndFees": "maxCommission",
    "commissionAndFeesCurrency": "commissionCurrency",
}


def normal(value):
    """Return a value without what only tells the library: its types and its word for nothing."""
    if isinstance(value, Enum):
        return normal(value.value)
    if isinstance(value, (bool, int, float, Decimal)):
        number = float(value)
        return None if math.isnan(number) or number in UNSET or number > 1e300 else number
    if isinstance(value, datetime):
        return value.timestamp()
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, (set, frozenset)):
        value = sorted(value)
    if hasattr(value, "_asdict"):
        return fields_of(value._asdict())
    if isinstance(value, (list, tuple)):
        return [normal(part) for part in value] or None
    if dataclasses.is_dataclass(value):
        return fields_of({f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
    return fields_of(vars(value))


def fields_of(named):
    """Return named values in normal form, under the names that all libraries share."""
    return {
        RENAMED_FIELDS.get(name, name): normal(value)
        for name, value in named.items()
        if not name.startswith("_")
    }


class Recorder:
    """Callbacks of one connection, in order; `wait` is for another thread than that which writes.

    Attributes
    ----------
    events : list of (str, list)
        Name and arguments in normal form.
    """

    def __init__(self):
        self.events = []
        self._arrived = threading.Condition()

    def record(self, name, *arguments):
        """Take a callback."""
        if name in IGNORED:
            return
        event = (RENAMED.get(name, name), [normal(value) for value in arguments])
        with self._arrived:
            self.events.append(event)
            self._arrived.notify_all()

    def wait(self, wanted, what, start=0):
        """Return the first event from `start` on that is wanted.

        Raises
        ------
        TimeoutError
            If it does not come; the last events are in the message.
        """
        deadline = time.monotonic() + PATIENCE
        with self._arrived:
            while True:
                for event in self.events[start:]:
                    if wanted(event):
                        return event
                start = len(self.events)
                if not self._arrived.wait(deadline - time.monotonic()):
                    raise TimeoutError(f"no {what}; last: {self.events[-6:]}")


class ErrorLog(logging.Handler):
    """Errors that a library logged."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.lines = []

    def emit(self, record):
        """Take a record."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {record.exc_info[1]!r}"
        self.lines.append(f"{record.name}: {text}")


def write(path, result):
    """Write what a run gave."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file)

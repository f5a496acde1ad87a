"""Write first, then believe: every change of the orders' state goes through the journal."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from mia.core.base_types import TradingState
from mia.core.protocols import Clock
from mia.errors import BrokerError
from mia.execution.orders.ledger import PREFIX, OrderLedger
from mia.execution.orders.states import Alarm, Trouble


class OrderJournal(Protocol):
    """The part of the journal that orders need."""

    def append(
        self,
        kind: str,
        payload: Mapping[str, object],
        *,
        ts: int,
        durable: bool = False,
        required: bool = False,
    ) -> int:
        """Commit an event and return its sequence number.

        What is required raises unless it is committed; the rest may wait in memory.
        """
        ...

    def wake(self) -> None:
        """Begin to make what was required last against loss of power: its bytes have left."""
        ...


class OrderRecorder:
    """Journal, ledger and alarms of the orders.

    Parameters
    ----------
    journal : OrderJournal
    clock : Clock
        Wall or market time of the records.

    Attributes
    ----------
    ledger : OrderLedger
    failed : bool
        Whether something that had happened was not taken. Nothing new is opened then; what
        reduces risk goes on from memory, and the next start closes the hole from the broker's
        truth.
    """

    def __init__(self, journal: OrderJournal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._raised: set[tuple[Trouble, str]] = set()
        self._alarms: list[Alarm] = []
        self.ledger = OrderLedger()
        self.failed = False

    def record(self, kind: str, payload: Mapping[str, object], *, must: bool = False) -> None:
        """Commit an event, then apply it.

        Parameters
        ----------
        must : bool, default False
            True for what opens risk: it does not happen without its record.

        Raises
        ------
        BrokerError
            If it must be recorded and the journal cannot.
        """
        try:
            self._journal.append(PREFIX + kind, payload, ts=self._clock.now(), required=must)
        except Exception as error:
            # Whatever broke the journal, exits and the broker's reports may not stop at it.
            text = f"the journal does not take {kind}: {error}"
            if (Trouble.JOURNAL, "") not in self._raised:
                self._raised.add((Trouble.JOURNAL, ""))
                text += "; only exits go on"
                now = self._clock.now()
                halt = TradingState.HALT_ENTRIES
                self._alarms.append(Alarm(Trouble.JOURNAL, now, kind, text, halt))
            if must:
                raise BrokerError(f"{text}; nothing was sent") from error
            self.failed = True
        else:
            self._raised.discard((Trouble.JOURNAL, ""))
        self.ledger.apply(PREFIX + kind, payload)

    def wake(self) -> None:
        """Let the disk begin with what must be recorded, now that it has left."""
        self._journal.wake()

    def replay(self, events: Iterable[tuple[int, int, str, Mapping[str, object]]]) -> None:
        """Apply events of the past: (sequence, ts, kind, payload)."""
        for _, _, kind, payload in events:
            self.ledger.apply(kind, payload)

    def alarm(
        self,
        trouble: Trouble,
        subject: str,
        text: str,
        halt: TradingState = TradingState.NORMAL,
        *,
        once: bool = False,
    ) -> None:
        """Raise an alarm; with `once` only the first of its kind and subject."""
        if once and (trouble, subject) in self._raised:
            return
        self._raised.add((trouble, subject))
        alarm = Alarm(trouble, self._clock.now(), subject, text, halt)
        self._alarms.append(alarm)
        self.record(
            "alarm",
            {"trouble": trouble.value, "subject": subject, "text": text, "halt": halt.name},
        )

    def forget(self, trouble: Trouble, subject: str) -> None:
        """Let an alarm that is raised once be raised again."""
        self._raised.discard((trouble, subject))

    def take_alarms(self) -> list[Alarm]:
        """Return the alarms since the last call."""
        alarms, self._alarms = self._alarms, []
        return alarms

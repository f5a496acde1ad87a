"""A payload as it was received, and the times that follow from it."""

from dataclasses import dataclass

from mia.core.chain import ChainMeta
from mia.data.chains import option_clock
from mia.errors import FormatError

SECOND = option_clock.SECOND


@dataclass(frozen=True, slots=True)
class Payload:
    """Bytes of one file or answer, and what the caller knows about them.

    Attributes
    ----------
    name : str
        File, for messages.
    content : bytes
    received_at : int or None
        When it was received, ns UTC; None to take what the payload says.
    quotes_asof : int or None
        Exchange time of the quotes, ns UTC; None to derive it.
    source : str or None
        Overrides the adapter's name.
    """

    name: str
    content: bytes
    received_at: int | None = None
    quotes_asof: int | None = None
    source: str | None = None

    def cboe_meta(
        self,
        source: str,
        written_at: int | None,
        index_print: float,
        unreadable: str,
        newest: int | None = None,
    ) -> ChainMeta:
        """Return the provenance of delayed quotes of Cboe.

        Parameters
        ----------
        source : str
        written_at : int or None
            When the payload says that it was made, ns UTC.
        index_print : float
        unreadable : str
            What to say if it does not tell, with the cure.
        newest : int or None
            Upper bound of the time of the quotes, ns UTC, if the payload has one.

        Raises
        ------
        FormatError
            If neither payload nor caller tells when the quotes were made, or if they would be
            newer than their arrival.
        """
        asof = self.quotes_asof
        if asof is None:
            if written_at is None:
                raise FormatError(f"{self.name}: {unreadable}")
            asof = option_clock.delayed_quotes_time(written_at)
            asof = asof if newest is None else min(asof, newest)
        delay = option_clock.DELAY_S
        received_at = self.received_at
        if received_at is None:
            received_at = asof + delay * SECOND if written_at is None else written_at
        if received_at < asof:
            raise FormatError(
                f"{self.name}: quotes of {asof} ns cannot have been received at {received_at} ns"
            )
        return ChainMeta(
            source=self.source or source,
            underlying="SPX",
            quotes_asof=asof,
            oi_session=option_clock.cboe_session(
                received_at if written_at is None else min(received_at, written_at)
            ),
            received_at=received_at,
            index_print=index_print,
            delayed_s=delay,
        )

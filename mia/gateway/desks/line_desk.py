"""What desks have in common that keep subscriptions of one client."""

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from mia.gateway.client_session import ClientSession

Line = TypeVar("Line")


class LineDesk(Generic[Line]):
    """Subscriptions of one client by their request id.

    Parameters
    ----------
    session : ClientSession
    """

    def __init__(self, session: "ClientSession") -> None:
        self._session = session
        self._gateway = session.gateway
        self._lines: dict[int, Line] = {}

    @property
    def lines(self) -> int:
        """How many subscriptions there are."""
        return len(self._lines)

    def close(self) -> None:
        """Drop every subscription."""
        self._lines.clear()

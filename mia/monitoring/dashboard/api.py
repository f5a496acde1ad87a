"""What pages ask for beside the frames: bars of a session, alerts, the journal; only read."""

from collections.abc import Callable
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mia.config.instruments import INSTRUMENTS
from mia.core.base_types import FEATURE_NAMES
from mia.data import state_files
from mia.data.journal_reader import JournalReader
from mia.errors import JournalError
from mia.monitoring.dashboard.answers import answer, number
from mia.monitoring.dashboard.lines import (
    ALERTS,
    Lines,
    read_lines,
    screen_path,
    sessions_on_screen,
)

MOST_EVENTS = 2000


def api_routes(state_dir: Path) -> list[BaseRoute]:
    """Return the routes under ``/api`` that read the state directory."""

    def screen(request: Request) -> Response:
        """Bars, fills and marks of a session from byte ``from`` on."""
        sessions = sessions_on_screen(state_dir)
        session = number(request, "session", sessions[-1] if sessions else 0)
        found = read_lines(screen_path(state_dir, session), number(request, "from", 0))
        return answer({"session": session, "sessions": sessions[-60:], **_fields(found)})

    def alerts(request: Request) -> Response:
        """Alerts from byte ``from`` on; negative counts from the end."""
        return answer(_fields(read_lines(state_dir / ALERTS, number(request, "from", -200_000))))

    def journal(request: Request) -> Response:
        """Events after number ``after``; negative counts from the newest."""
        after = number(request, "after", -200)
        most = min(max(number(request, "most", 500), 1), MOST_EVENTS)
        path = state_dir / state_files.JOURNAL
        if not path.exists():
            return answer({"head": 0, "events": []})
        try:
            with JournalReader(path) as reader:
                head = reader.head.seq
                after = max(0, head + after) if after < 0 else min(after, head)
                events = []
                for event in reader.events(after):
                    events.append(event)
                    if len(events) == most:
                        break
        except JournalError as error:
            raise HTTPException(503, str(error)) from None
        rows = [{"seq": e.seq, "ts": e.ts, "kind": e.kind, "payload": e.payload} for e in events]
        return answer({"head": head, "events": rows})

    def about(request: Request) -> Response:
        """Names of the features, and what a tick of each contract is worth."""
        values = {name: found.tick_value for name, found in INSTRUMENTS.items()}
        return answer({"features": FEATURE_NAMES, "tick_values": values})

    handlers: dict[str, Callable[[Request], Response]] = {
        "/api/about": about,
        "/api/screen": screen,
        "/api/alerts": alerts,
        "/api/journal": journal,
    }
    return [Route(path, handler, methods=["GET"]) for path, handler in handlers.items()]


def _fields(found: Lines) -> dict[str, object]:
    return {"from": found.start, "next": found.end, "size": found.size, "rows": found.rows}

"""Dealers' positioning for its page: what the trader's chain says, or a chain on disk."""

import json
from pathlib import Path
from typing import Any

from mia.data.chains import ChainArchive, read_chain
from mia.data.state_files import POSITIONING
from mia.errors import MiaError
from mia.features.options_exposure import positioning
from mia.features.options_summary import appraise, charted


class Positionings:
    """What is known of the options; for one thread at a time.

    Parameters
    ----------
    state_dir : Path
    chain : Path, optional
        A chain, or an archive of chains whose newest is taken.
    """

    def __init__(self, state_dir: Path, chain: Path | None = None) -> None:
        self._live = state_dir / POSITIONING
        self._chain = chain
        self._key: tuple[str, int] | None = None
        self._held: dict[str, Any] | None = None

    def read(self, now: int) -> dict[str, Any]:
        """Return ``live`` and ``file``, each None if there is none, and ``fault``.

        Parameters
        ----------
        now : int
            ns UTC. An archive gives what was known then.
        """
        fault = ""
        live: dict[str, Any] | None = None
        try:
            live = _record(self._live)
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            fault = f"{self._live.name} cannot be read: {error}"
        file: dict[str, Any] | None = None
        if self._chain is not None:
            try:
                file = self._file(self._chain, now)
            except (OSError, MiaError) as error:
                fault = str(error)
        return {"live": live, "file": file, "fault": fault}

    def _file(self, path: Path, now: int) -> dict[str, Any] | None:
        archive: ChainArchive | None = None
        if path.is_dir():
            archive = ChainArchive(path)
            entries = [entry for entry in archive.entries() if entry.received_at <= now]
            if not entries:
                return None
            key = (entries[-1].path.name, 0)
        else:
            key = (path.name, path.stat().st_mtime_ns)
        if key != self._key:
            # Minutes of work for a processor do not belong into each look at the page.
            self._held = None
            chain = read_chain(path) if archive is None else archive.latest(now)
            if chain is not None and chain.meta.quotes_asof:
                found = positioning(chain)
                judged = found.received_at
                self._held = {"name": path.name, **charted(found, appraise(found, judged))}
            self._key = key
        return self._held


def _record(path: Path) -> dict[str, Any]:
    record = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(record, dict) or record.get("schema") != 1:
        raise ValueError("it is of another version: start the trader again")
    return record

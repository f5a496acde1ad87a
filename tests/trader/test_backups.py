"""A trader that has its state backed up while it runs."""

import asyncio
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from live_sources import ACCOUNT, START, gateway
from run_samples import easy

from mia.data.journal_reader import JournalReader
from mia.monitoring.backups.backup_objects import BackupRepository
from mia.monitoring.backups.backup_restore import restore_backup
from mia.trader.backups import BackupOutcome, backup_folder
from mia.trader.live import LiveTrader
from mia.trader.live_parts import LiveOptions


class Kept:
    def __init__(self) -> None:
        self.outcomes: list[BackupOutcome] = []

    def publish(self, topic: str, event: Any) -> None:
        if topic == "backup":
            self.outcomes.append(event)


def run(folder: Path, enough: Any, *assignments: str) -> tuple[LiveTrader, Kept]:
    """Run a trader on a gateway until it has had enough."""
    kept = Kept()
    with gateway(folder) as process, ExitStack() as stack:
        options = LiveOptions(
            process.host, process.port, ACCOUNT, folder / "state" / ACCOUNT, kept, now=START
        )
        trader = LiveTrader(easy(*assignments), options, stack)

        async def watch() -> None:
            task = asyncio.create_task(trader.run())
            limit = time.monotonic() + 60
            while not enough(trader, kept) and not task.done():
                assert time.monotonic() < limit
                await asyncio.sleep(0.05)
            trader.session.stop()
            await task

        asyncio.run(watch())
    return trader, kept


@pytest.mark.slow
def test_a_trader_is_backed_up_while_it_runs_and_when_it_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    _, kept = run(
        tmp_path,
        lambda trader, kept: trader.session.is_ready and len(kept.outcomes) >= 2,
        "backup.every_h=0.0005",
    )
    assert [outcome.good for outcome in kept.outcomes] == [True] * len(kept.outcomes)
    state = tmp_path / "state" / ACCOUNT
    place = backup_folder(None, state)
    assert place == tmp_path / "state" / f"{ACCOUNT}.backups"
    repository = BackupRepository(place)
    assert len(repository.ids()) == len(kept.outcomes) >= 3
    restored = tmp_path / "restored"
    restore_backup(repository, repository.newest(), restored)
    assert head(restored) == head(state)
    assert head(state)[0] > 5


def head(state: Path) -> Any:
    """Return number and hash of a journal's last event, every event held against the chain."""
    with JournalReader(state / "journal.db") as journal:
        count = sum(1 for _ in journal.events())
        found = journal.head
    assert found.seq == count
    return found.seq, found.hash


@pytest.mark.slow
def test_a_backup_that_cannot_be_made_is_told_and_trading_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    (tmp_path / "full").write_text("a file where a folder is needed")
    heard: list[int] = []

    def enough(trader: LiveTrader, kept: Kept) -> bool:
        if kept.outcomes and trader.session.is_ready:
            heard.append(trader.session.ticks.accepted)
        return bool(heard) and heard[-1] > heard[0]

    _, kept = run(
        tmp_path,
        enough,
        "backup.every_h=0.001",
        f"backup.folder={tmp_path / 'full'}",
    )
    assert not any(outcome.good for outcome in kept.outcomes)
    assert "cannot" in kept.outcomes[0].text
    assert heard[-1] > heard[0]

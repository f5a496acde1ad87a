"""A cycle whose model refuses everything, with a journal: what it follows on paper can be resumed.

``python -m paper_run JOURNAL NTH BLOCKS`` kills itself with SIGKILL, BLOCKS blocks after it
began to follow its NTH proposal.
"""

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from run_samples import easy, market, resliced

from mia.core.base_types import Block
from mia.core.event_bus import ALL, EventBus
from mia.data.journal import Journal
from mia.execution.assembly import fit_settings, followed_on_paper, market_state, simulated_broker
from mia.execution.live.paper_recovery import PaperJournal, Unfinished, unfinished
from mia.execution.simple_trader import SimpleTrader
from mia.performance.recorder import RunRecord

TAPE = resliced(market(), 50)


class RefusesAll:
    """A model that nothing convinces."""

    def probability(self, context, proposal):
        return 0.0


class PaperRun:
    """A run on a journal; what an earlier run on it left is taken up."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.record = RunRecord()
        self.told: list[tuple[str, object]] = []
        self.now = 0
        bus = EventBus()
        bus.subscribe(ALL, lambda topic, event: self.told.append((topic, event)), "told")
        bus.subscribe(ALL, self.record.publish, "record")
        events = [(e.ts, e.kind, e.payload) for e in journal.events()]
        self.left: Unfinished = unfinished(events)
        bus.subscribe(ALL, PaperJournal(journal.append, lambda: self.now).publish, "paper")
        plan = fit_settings(easy(), 0)
        self.refused = followed_on_paper(plan, bus)
        self.refused.resume(self.left.begun)
        state = market_state(plan, TAPE.first_session, TAPE.last_session, 0, record=False)
        self.trader = SimpleTrader(
            state,
            simulated_broker(plan),
            plan.limits,
            plan.groups,
            bus,
            model=RefusesAll(),
            refused=self.refused,
        )

    def of(self, topic: str) -> list[object]:
        return [event for found, event in self.told if found == topic]

    def learn(self, blocks: Iterable[Block]) -> None:
        for block in blocks:
            self.trader.observe(block)

    def run(self, blocks: Iterable[Block]) -> None:
        for block in blocks:
            self.now = int(block.ts_event[-1])
            self.trader.run(block)


def open_journal(path: Path) -> Journal:
    return Journal.open(path, clock=lambda: 0)


def _die(path: Path, nth: int, more: int) -> None:
    run = PaperRun(open_journal(path))
    after = 0
    for block in TAPE.blocks():
        run.run([block])
        after += len(run.of("following")) >= nth
        if after > more:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    _die(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

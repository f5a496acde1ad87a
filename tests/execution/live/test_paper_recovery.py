"""What is followed on paper when the trader ends, however it ends, is followed to its end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from paper_run import TAPE, PaperRun, open_journal
from run_samples import part

from mia.data.snapshot_files import SnapshotWriter
from mia.execution.live.paper_recovery import KIND, UNWRITTEN_NS, PaperJournal, unfinished
from mia.execution.position.refused_trades import FAILED, UNFILLED, UNSEEN
from mia.execution.trade_snapshotter import TradeSnapshotter
from mia.ml.dataset import read_snapshots

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a run that nothing interrupted."""
    with open_journal(tmp_path_factory.mktemp("whole") / "journal") as journal:
        run = PaperRun(journal)
        run.run(TAPE.blocks())
        assert len(run.of("following")) >= 6
        assert len(run.record.followed) >= 4
        return run


def killed(folder: Path, nth: int, blocks: int) -> Path:
    """Let a process kill itself while it follows something; return its journal."""
    path = folder / "journal"
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    done = subprocess.run(
        [sys.executable, "-m", "paper_run", str(path), str(nth), str(blocks)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return path


def blocks_around(ts: int):
    """Return the blocks of the tape that begin before an instant, and the others."""
    blocks = list(TAPE.blocks())
    return ([b for b in blocks if b.ts_event[0] <= ts], [b for b in blocks if b.ts_event[0] > ts])


@pytest.mark.parametrize(("nth", "blocks"), [(1, 2), (3, 1)])
def test_a_kill_loses_nothing_that_was_followed(tmp_path, whole, nth, blocks):
    with open_journal(killed(tmp_path, nth, blocks)) as journal:
        events = [(e.ts, e.kind, e.payload) for e in journal.events()]
        known = {p["trade_id"] for _, kind, p in events if kind == KIND}
        ended = {p["trade_id"] for _, k, p in events if k == KIND and p["event"] != "FOLLOWING"}
        run = PaperRun(journal)
        assert run.left.begun, "the kill was to come while something was followed"
        # Some of the market went by while nobody traded; it is learnt with the rest of the past.
        past, later = blocks_around(max(ts for ts, _, _ in events) + 30_000_000_000)
        run.learn(past)
        run.run(later)
        expected = {t.trade_id: t for t in whole.record.followed if t.trade_id in known - ended}
        found = {t.trade_id: t for t in run.record.followed if t.trade_id in known}
        assert found == expected
        unfilled = {name for name, _ in run.of("unfollowed") if name in known}
        assert unfilled == known - ended - set(expected)
        assert run.refused.unseen == run.refused.failed == 0
        assert not run.record.trades
        events = [(e.ts, e.kind, e.payload) for e in journal.events()]
        assert unfinished(events).begun == []


def left_over(folder: Path, whole: PaperRun):
    """Return a run that takes up the first trade of `whole`, and that trade."""
    first = whole.record.followed[0]
    _, decision, context = next(e for e in whole.of("following") if e[0] == first.trade_id)
    run = PaperRun(open_journal(folder / "journal"))
    run.refused.resume([(decision, context)])
    return run, first


def test_a_hole_in_the_market_gives_up_what_it_touches_and_says_so(tmp_path, whole):
    run, trade = left_over(tmp_path, whole)
    middle = (trade.ts_entry + trade.ts_exit) // 2
    past, _ = blocks_around(middle)
    run.learn(past[:-1])
    assert run.refused
    until = int(past[-1].ts_event[-1])
    run.trader.mark_gap(middle - 1, until)
    assert run.of("unfollowed") == [(trade.trade_id, UNSEEN)]
    assert (run.refused.unseen, bool(run.refused)) == (1, False)
    run.journal.close()


def test_only_what_was_given_up_is_a_warning(whole, caplog):
    paper = PaperJournal(lambda kind, payload, ts: 0, lambda: 0)
    for why in (UNFILLED, FAILED, UNSEEN):
        paper.publish("unfollowed", (f"trade {why}", why))
    assert [record.getMessage()[:12] for record in caplog.records] == ["trade unseen"]


def test_a_hole_before_the_decision_gives_up_nothing(tmp_path, whole):
    run, trade = left_over(tmp_path, whole)
    run.trader.mark_gap(trade.ts_signal - 10, trade.ts_signal)
    assert run.refused
    assert run.of("unfollowed") == []
    run.journal.close()


def test_a_past_that_begins_after_the_decision_gives_up_and_guesses_nothing(tmp_path, whole):
    run, trade = left_over(tmp_path, whole)
    _, later = blocks_around(trade.ts_signal + 120_000_000_000)
    run.learn(later[:3])
    assert run.of("unfollowed") == [(trade.trade_id, UNSEEN)]
    assert run.record.followed == []
    run.journal.close()


def test_what_is_not_begun_yet_waits_for_its_own_close(tmp_path, whole):
    run, trade = left_over(tmp_path, whole)
    past, _ = blocks_around(trade.ts_signal - 120_000_000_000)
    run.learn([part(past[0], 0, 20), part(past[0], 20, 50), *past[1:]])
    assert run.refused
    assert run.of("unfollowed") == run.record.followed == []
    run.journal.close()


def test_a_result_of_the_last_moments_is_told_again_and_counts_once(tmp_path, whole):
    trade = whole.record.followed[-1]
    events = [(e.ts, e.kind, e.payload) for e in _events(whole)]
    at = next(
        ts for ts, _, p in events if p["trade_id"] == trade.trade_id and p["event"] == "FOLLOWED"
    )
    for later, again in ((UNWRITTEN_NS - 1, [trade]), (UNWRITTEN_NS, [])):
        known = [*(e for e in events if e[0] <= at), (at + later, "run", {})]
        assert unfinished(known).told == again
    snapshots = TradeSnapshotter(SnapshotWriter(tmp_path), {})
    for topic, event in whole.told:
        if topic in ("analysis", "decision"):
            snapshots.publish(topic, event)
    for _ in range(2):
        snapshots.publish("followed", trade)
    assert snapshots.stop()
    assert len(next(tmp_path.glob("*_refused_result.jsonl")).read_text().splitlines()) == 2
    data = read_snapshots(tmp_path)
    assert (len(data), data.r.tolist()) == (1, [trade.r_multiple])


class _Event:
    def __init__(self, ts, payload):
        self.ts, self.kind, self.payload = ts, KIND, payload


def _events(run: PaperRun):
    """Return what the journal of a run was told, as it would be read."""
    found = []
    now = iter(range(0, 10**15, 60_000_000_000))
    paper = PaperJournal(
        lambda kind, payload, ts: found.append(_Event(ts, json.loads(json.dumps(payload)))),
        lambda: next(now),
    )
    for topic, event in run.told:
        paper.publish(topic, event)
    return found


def test_a_damaged_event_loses_its_own_label_and_no_other(whole, caplog):
    events = [(e.ts, e.kind, e.payload) for e in _events(whole)]
    begun = [payload for _, _, payload in events if payload["event"] == "FOLLOWING"][:2]
    damaged = begun[0] | {"grounds": begun[0]["grounds"][:40]}
    left = unfinished([(1, KIND, damaged), (2, KIND, begun[1]), (3, KIND, {})])
    assert len(left.begun) == 1
    assert "cannot be taken up" in caplog.text

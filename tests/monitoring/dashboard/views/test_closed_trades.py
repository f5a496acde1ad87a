import pytest
from account_files import NOW, leave_account
from run_cases import a_run

from mia.data.journal import Journal
from mia.data.state_files import JOURNAL
from mia.monitoring.dashboard.views.closed_trades import ClosedTrades


@pytest.fixture(scope="module")
def run():
    return a_run(seed=3, last=20251112)


def test_trades_and_equity_are_those_of_the_account(tmp_path, run):
    risk = leave_account(tmp_path, run.record)
    found = ClosedTrades(tmp_path).read()
    assert [t["id"] for t in found.trades] == [t.trade_id for t in run.record.trades]
    assert [t["net"] for t in found.trades] == [t.net_pnl for t in run.record.trades]
    assert [t["mae"] for t in found.trades] == [t.mae_ticks for t in run.record.trades]
    assert {t["setup"] for t in found.trades} == {t.kind.name for t in run.record.trades}
    assert found.closed == len(run.record.trades) > 5
    assert len(found.equity) == found.closed + 1
    assert found.equity[-1][1] == risk.equity
    assert found.equity[0][1] == pytest.approx(
        risk.equity - sum(trade.net_pnl for trade in run.record.trades)
    )
    assert found.day["day_pnl"] == risk.day_pnl
    assert found.fault == ""


def test_what_is_added_is_seen_at_the_next_look(tmp_path, run):
    first, rest = a_run(seed=3, last=20251112).record, run.record
    first.trades = first.trades[:2]
    leave_account(tmp_path, first)
    reader = ClosedTrades(tmp_path)
    assert len(reader.read().trades) == 2
    more = a_run(seed=3, last=20251112).record
    more.trades = rest.trades[2:]
    leave_account(tmp_path, more)
    found = reader.read()
    assert [t["id"] for t in found.trades] == [t.trade_id for t in rest.trades]
    assert found.closed == len(rest.trades)


def test_a_trade_without_its_result_is_still_counted(tmp_path, run):
    lost = run.record.trades[1].trade_id
    leave_account(tmp_path, run.record, without=frozenset({lost}))
    found = ClosedTrades(tmp_path).read()
    assert lost not in {t["id"] for t in found.trades}
    assert len(found.trades) == found.closed - 1
    assert len(found.equity) == found.closed + 1


def test_a_journal_that_was_set_aside_is_begun_anew(tmp_path, run):
    leave_account(tmp_path, run.record)
    reader = ClosedTrades(tmp_path)
    assert reader.read().closed > 5
    for path in tmp_path.glob(f"{JOURNAL}*"):
        path.rename(tmp_path / f"old-{path.name}")
    with Journal.open(tmp_path / JOURNAL, clock=lambda: NOW, reserve_bytes=0):
        pass
    found = reader.read()
    assert (found.closed, found.equity, found.day) == (0, [], {})


def test_a_damaged_journal_is_told_and_what_came_before_is_shown(tmp_path, run):
    leave_account(tmp_path, run.record)
    with Journal.open(tmp_path / JOURNAL, clock=lambda: NOW, reserve_bytes=0) as journal:
        head = journal.head.seq
    path = tmp_path / JOURNAL
    data = path.read_bytes()
    # The newest closed trade's equity, changed in place: the hash no longer fits.
    at = data.rfind(b'"equity":')
    assert at > 0
    path.write_bytes(data[:at] + b'"equitx":' + data[at + 9 :])
    found = ClosedTrades(tmp_path).read()
    assert "damaged" in found.fault
    assert 0 < found.closed < head


def test_without_a_trader_there_is_nothing_and_no_error(tmp_path):
    found = ClosedTrades(tmp_path / "absent").read()
    assert (found.trades, found.equity, found.closed, found.fault) == ([], [], 0, "")

"""What a trader leaves in its state directory, left by the trader's own parts."""

from pathlib import Path

from mia.config.settings import load_settings
from mia.data.account_history import TRADE, trade_to_dict
from mia.data.journal import Journal
from mia.data.state_files import JOURNAL
from mia.execution.live.recovery import KIND
from mia.execution.risk_manager import RiskManager
from mia.performance.recorder import RunRecord
from mia.trader.screen.shown_files import note_limits

NOW = 1_741_613_760_000_000_000


def paper(*assignments):
    return load_settings("paper", assignments, environ={}, env_file=Path("absent"))


def leave_account(state_dir: Path, record: RunRecord, *, without: frozenset[str] = frozenset()):
    """Journal of a run; that of the trades in `without` is of a version that kept no results."""
    loaded = paper()
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    note_limits(state_dir, loaded, NOW)
    risk = RiskManager(loaded.limits, loaded.settings.groups())
    with Journal.open(state_dir / JOURNAL, clock=lambda: NOW, reserve_bytes=0) as journal:
        for trade in record.trades:
            risk.roll(trade.session_id)
            state = {"risk": risk.to_dict(), "facts": None, "position": None}
            journal.append(KIND, state | {"after": "sent"}, ts=trade.ts_signal)
            risk.record_entry(trade.session_id)
            risk.record_closed(trade)
            state = {"risk": risk.to_dict(), "facts": None, "position": None, "after": "closed"}
            if trade.trade_id not in without:
                state[TRADE] = trade_to_dict(trade)
            journal.append(KIND, state, ts=trade.ts_exit)
    return risk

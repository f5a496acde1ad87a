"""What a trader wants to see at a glance while the cycle runs."""

from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from mia.execution.simple_trader import SimpleTrader
from mia.performance.recorder import RunRecord


def panel(trader: SimpleTrader, record: RunRecord, clock: str) -> Table:
    """Lay out what a trader wants to see at a glance."""
    table = Table(title=f"MIA paper session   {clock}", show_header=False, min_width=72)
    table.add_column(style="bold")
    table.add_column()
    row = trader.state.newest
    position = trader.position
    table.add_row("State", trader.kill_switch.state.name)
    if row is not None:
        bar, battle = row["bar"], row["battle"]
        table.add_row("Price", f"{bar['close'] / 4:.2f}   VWAP {row['vwap'] / 4:.2f}")
        table.add_row(
            "Battle Navale",
            f"S {battle['score']:+.2f}   vikings {battle['vikings']:.2f}"
            f"   defenders {battle['defenders']:.2f}",
        )
    held = "flat"
    if position is not None:
        side = "long" if position.decision.proposal.side > 0 else "short"
        what = f"{position.decision.quantity} {position.decision.symbol} {side}"
        held = f"{what} {'open' if position.open_quantity else 'working'}"
    table.add_row("Position", held)
    table.add_row("Day P&L", f"{trader.risk.day_pnl:+,.2f} USD net")
    wins = sum(trade.net_pnl > 0 for trade in record.trades)
    table.add_row("Trades", f"{len(record.trades)} closed, {wins} won")
    rejected: dict[str, int] = {}
    for decision in record.decisions:
        if not decision.accepted:
            rejected[decision.reason.value] = rejected.get(decision.reason.value, 0) + 1
    ranked = sorted(rejected.items(), key=lambda item: (-item[1], item[0]))
    table.add_row("Rejected by", ", ".join(f"{k} {n}" for k, n in ranked[:6]) or "nothing yet")
    return table


def report_lines(summary: dict[str, object], out: Path) -> Iterator[str]:
    """Say in a few lines what happened, and where the rest is."""
    yield (
        f"{summary['trades']} trades, {summary['wins']} won, net "
        f"{summary['net_pnl_usd']:+,.2f} USD after {summary['costs_usd']:,.2f} USD of costs"
    )
    rejections = summary["rejections"]
    assert isinstance(rejections, dict)
    yield "not traded: " + ", ".join(f"{reason} {n}" for reason, n in rejections.items())
    yield f"report: {out / 'report.html'}"

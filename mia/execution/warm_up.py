"""Bring a trading cycle to where an uninterrupted one would be, before it may trade."""

from collections.abc import Iterable
from dataclasses import dataclass

from mia.core.base_types import TradeBlock
from mia.core.state_hash import state_hash
from mia.data.history_stitch import Hole, Stitched
from mia.data.live_ticks import TickGate
from mia.execution.simple_trader import SimpleTrader


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What a warm-up did.

    Attributes
    ----------
    trades : int
        Applied to the state.
    session_id : int
        Session of the newest.
    holes : int
        Told to the state; the session of a hole trades no more.
    fingerprint : str
        `state_hash` at the end.
    """

    trades: int
    session_id: int
    holes: int
    fingerprint: str


def warm_up(
    trader: SimpleTrader,
    stitched: Stitched,
    gate: TickGate | None = None,
    before: Iterable[TradeBlock] = (),
) -> WarmUp:
    """Let a fresh cycle learn the past; it decides and sends nothing.

    Parameters
    ----------
    trader : SimpleTrader
        Its state has seen nothing yet.
    stitched : Stitched
        The running session, or more.
    gate : TickGate, optional
        Goes on inferring sides from where the past ends.
    before : iterable of TradeBlock
        Earlier sessions, as the wire shows them, for what is carried across sessions.

    Returns
    -------
    WarmUp

    Raises
    ------
    DataError
        If data lie outside the calendar or the contract changes within a session.
    """
    applied = 0
    for block in before:
        trader.observe(block)
        applied += len(block)
    holes = sorted(stitched.holes, key=lambda hole: hole.since)
    for block in stitched.blocks:
        holes = _mark(trader, holes, int(block.ts_event[0]))
        trader.observe(block)
        applied += len(block)
    _mark(trader, holes, 2**63 - 1)
    if gate is not None:
        gate.go_on(stitched.projection.quote, stitched.projection.last)
    state = trader.state
    return WarmUp(applied, state.session_id, len(stitched.holes), state_hash(state))


def _mark(trader: SimpleTrader, holes: list[Hole], ts: int) -> list[Hole]:
    """Tell the state of the holes that begin before `ts`; return the others."""
    while holes and holes[0].since < ts:
        trader.state.mark_gap(holes[0].since, holes[0].until)
        holes = holes[1:]
    return holes

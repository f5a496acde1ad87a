"""Bring a trading cycle to where an uninterrupted one would be, before it may trade."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mia.core.base_types import MISSING_PRICE, TradeBlock
from mia.core.state_hash import state_hash
from mia.data.history_stitch import SECOND_NS, History, Hole, LiveBuffer, Stitched, rejoin
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
    """Let a cycle learn the past; it decides and sends nothing.

    Parameters
    ----------
    trader : SimpleTrader
        Its state has seen nothing of what is given.
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


def newest_second(trader: SimpleTrader) -> TradeBlock:
    """Return what the state has seen of the second of its newest trade; quotes are unknown."""
    ticks = trader.state.ticks
    ts = ticks.ts_event
    first = int(np.searchsorted(ts, ts[-1] // SECOND_NS * SECOND_NS)) if len(ts) else 0
    none = np.full(len(ts) - first, MISSING_PRICE, np.int32)
    return TradeBlock(
        trader.contract,
        ts[first:].copy(),
        ticks.price[first:].copy(),
        ticks.size[first:].copy(),
        ticks.aggressor_side[first:].copy(),
        none,
        none.copy(),
    )


def repair(
    trader: SimpleTrader,
    history: History | None,
    live: LiveBuffer,
    gate: TickGate | None = None,
    *,
    exact: bool = False,
) -> WarmUp:
    """Let a running cycle learn what it missed while the feed was lost.

    Nothing is decided about what was missed. A hole that history cannot fill is told to the state.
    `exact` is that of `rejoin`.

    Raises
    ------
    ValueError
        If the cycle has seen nothing in this session, or the live feed has not begun.
    """
    return warm_up(trader, rejoin(newest_second(trader), history, live, exact=exact), gate)


def _mark(trader: SimpleTrader, holes: list[Hole], ts: int) -> list[Hole]:
    """Tell the state of the holes that begin before `ts`; return the others."""
    while holes and holes[0].since < ts:
        trader.mark_gap(holes[0].since, holes[0].until)
        holes = holes[1:]
    return holes

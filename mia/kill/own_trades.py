"""What is ours: order references, and the fills that journal and broker know of them."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mia.data.state_files import KILL_STATE

_REFERENCE = re.compile(r"(TRADE_\d{8}_\d{6}_[0-9a-f]{8}):(E|T|S\d*|F\d+)")
_LOSS_OF_DAY = frozenset({"DAY_LOSS_R", "DAILY_LOSS"})


class Fill(NamedTuple):
    """One execution; a later revision replaces an earlier one.

    Attributes
    ----------
    quantity : int
        Signed, > 0 bought.
    """

    con_id: str
    quantity: int
    revision: int


class OwnTrades:
    """Everything that we ever filled, by order reference.

    Attributes
    ----------
    fills : dict
        By (order reference, execution without its revision).
    inferred : dict of str to tuple
        By order reference: (contract id, signed contracts) which a reconciliation established
        without the executions.
    flattens : dict of str to int
        Highest number of a flatten order, by bracket.
    """

    def __init__(self) -> None:
        self.fills: dict[tuple[str, str], Fill] = {}
        self.inferred: dict[str, tuple[str, int]] = {}
        self.flattens: dict[str, int] = {}
        self.high_order_id = 0

    def add(self, ref: str, identity: str, fill: Fill) -> None:
        """Take an execution, once."""
        known = self.fills.get((ref, identity))
        if known is None or fill.revision >= known.revision:
            self.fills[ref, identity] = fill

    def note(self, ref: str) -> None:
        """Take note of an order that exists."""
        parts = split(ref)
        if parts is not None and parts[1].startswith("F"):
            bracket, leg = parts
            self.flattens[bracket] = max(self.flattens.get(bracket, 0), int(leg[1:]))

    def open_brackets(self) -> dict[tuple[str, str], int]:
        """Return signed open contracts by (contract id, bracket), those that are not zero."""
        by_ref: dict[tuple[str, str], int] = {}
        for (ref, _), fill in self.fills.items():
            by_ref[fill.con_id, ref] = by_ref.get((fill.con_id, ref), 0) + fill.quantity
        for ref, (con_id, quantity) in self.inferred.items():
            if abs(quantity) > abs(by_ref.get((con_id, ref), 0)):
                by_ref[con_id, ref] = quantity
        brackets: dict[tuple[str, str], int] = {}
        for (con_id, ref), quantity in by_ref.items():
            parts = split(ref)
            if parts is not None:
                key = (con_id, parts[0])
                brackets[key] = brackets.get(key, 0) + quantity
        return {key: quantity for key, quantity in brackets.items() if quantity}


def split(ref: str) -> tuple[str, str] | None:
    """Return bracket and leg of an order reference of ours, None of anything else."""
    match = _REFERENCE.fullmatch(ref)
    return (match[1], match[2]) if match else None


def split_execution(text: str) -> tuple[str, int]:
    """Return an execution's identity and its revision."""
    head, _, tail = text.rpartition(".")
    return (head, int(tail)) if head and tail.isdecimal() else (text, 0)


def read_journal(path: Path) -> OwnTrades:
    """Collect what the journal knows of our fills; the journal is not changed.

    Raises
    ------
    OSError
        If there is none, it cannot be read or does not make sense.
    """
    trades = OwnTrades()
    contracts: dict[str, str] = {}
    sides: dict[str, int] = {}
    try:
        for kind, payload in _events(path, "order.%"):
            if kind == "order.bracket":
                contracts[payload["bracket_id"]] = str(payload["con_id"])
            for leg in (payload, *payload.get("legs", ())):
                trades.high_order_id = max(trades.high_order_id, leg.get("order_id") or 0)
                if "ref" in leg:
                    trades.note(leg["ref"])
                    if "role" in leg:
                        sides[leg["ref"]] = leg["side"]
            if kind in ("order.execution", "order.inferred"):
                parts = split(payload["ref"])
                con_id = contracts[parts[0]] if parts else ""
                if kind == "order.inferred":
                    signed = sides[payload["ref"]] * payload["quantity"]
                    trades.inferred[payload["ref"]] = (con_id, signed)
                else:
                    quantity = payload["side"] * payload["quantity"]
                    fill = Fill(con_id, quantity, payload["revision"])
                    trades.add(payload["ref"], payload["identity"], fill)
    except (KeyError, TypeError, ValueError) as error:
        raise OSError(f"it does not make sense: {error!r}") from error
    return trades


def kill_causes(path: Path) -> list[str]:
    """Return why trading was stopped when the journal last said so.

    Raises
    ------
    OSError
        If the journal cannot be read.
    """
    state: Mapping[str, Any] = {}
    for _, payload in _events(path, KILL_STATE):
        state = payload
    try:
        return [f"{cause['rule']} ({cause['state']})" for cause in state.get("causes", ())]
    except (KeyError, TypeError) as error:
        raise OSError(f"the state of the kill switch is damaged: {error!r}") from error


def has_lost_the_day(path: Path) -> bool:
    """Tell whether the journal holds a loss of the day, which no reset lifts.

    Raises
    ------
    OSError
        If the journal cannot be read.
    """
    return any(cause.split()[0] in _LOSS_OF_DAY for cause in kill_causes(path))


def _events(path: Path, kind: str) -> list[tuple[str, dict[str, Any]]]:
    import sqlite3  # a halt that a living trader obeys does not wait for it

    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    try:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2.0)
        try:
            rows = database.execute(
                "SELECT kind, payload FROM events WHERE kind LIKE ? ORDER BY seq", (kind,)
            ).fetchall()
        finally:
            database.close()
        return [(name, json.loads(payload)) for name, payload in rows]
    except (sqlite3.Error, ValueError) as error:
        raise OSError(f"{path} cannot be read: {error}") from error

"""Frames as a trader shows them, for tests of everything that reads frames.

`frame` is one complete moment: 16:00 UTC of a session, long two MES, an entry refused before it.
`story` is a session in short: flat, refused, an entry that works, a position, its end, a halt, all
with numbers that agree with one another. `ShownFrames` writes them to a state directory as the
trader does.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from mia.core.base_types import FEATURE_NAMES
from mia.core.frame import (
    Battle,
    Book,
    Day,
    Feed,
    Frame,
    Gate,
    Held,
    Levels,
    Links,
    Order,
    Signal,
    Stage,
)
from mia.core.frame_memory import NAME, FrameWriter

SECOND = 1_000_000_000
START = 1_770_652_800 * SECOND
"""2026-02-09, 16:00 UTC."""
SESSION = 20260209
ACCOUNT = "DU****567"
LAST = 27_600
"""6900.00 in ticks."""

COUNTERS = {
    "decisions": 14,
    "accepted": 2,
    "bars": 132,
    "fills": 4,
    "trades": 1,
    "rejects": 0,
    "alarms": 0,
    "commands": 0,
    "orders_buy_sent": 2,
    "orders_buy_filled": 2,
    "orders_buy_refused": 0,
    "orders_buy_unfilled": 0,
    "orders_sell_sent": 0,
    "orders_sell_filled": 0,
    "orders_sell_refused": 0,
    "orders_sell_unfilled": 0,
    "frames": 1,
    "frames_dropped": 0,
    "reason_CONFLUENCE": 7,
    "reason_CONFIDENCE": 5,
    "reason_OK": 2,
}
"""Brackets by side and outcome, decisions by the code of their reason, and other counts."""


def stage(centre: int, times: int) -> Stage:
    """Return a stage of which most times lie around ``2**centre`` ns."""
    counts = [0] * 40
    shares = {-2: 0.05, -1: 0.2, 0: 0.5, 1: 0.2, 2: 0.04, 5: 0.01}
    for away, share in shares.items():
        counts[centre + away] = round(times * share)
    total = sum(count * round(1.44 * 2**k) for k, count in enumerate(counts))
    return Stage(counts, total)


def gates(reason: str = "CONFLUENCE") -> list[Gate]:
    """Return the gates up to the end, of which the named one failed (``OK``: none)."""
    every = [
        ("KILL_STATE", 0.0, 0.0),
        ("NEWS_WINDOW", None, 0.0),
        ("SESSION_FACTOR", 1.0, 0.5),
        ("FEATURE_QUALITY", 0.78, 0.6),
        ("REGIME_CONF", 0.71, 0.55),
        ("BN_AGAINST", 0.34, -0.2),
        ("CONFLUENCE", 0.41, 0.5),
        ("CONFIDENCE", 0.66, 0.62),
        ("RR", 2.1, 1.5),
        ("DAILY_LOSS", 112.5, -1000.0),
    ]
    return [
        Gate(code, value, limit, code != reason, value is not None) for code, value, limit in every
    ]


def features() -> list[float | None]:
    """Return F1 to F18: those of options are unknown, as without a chain."""
    values: list[float | None] = [
        round(0.9 - 0.11 * k, 3) * (-1) ** (k % 3) for k in range(len(FEATURE_NAMES))
    ]
    values[8:14] = [None] * 6
    return values


def signal(ts: int = START, reason: str = "CONFLUENCE", **changes: Any) -> Signal:
    """Return a decision, refused for a reason, or ``OK``."""
    values = features()
    shares = [None if value is None else round(value * 0.08, 4) for value in values]
    whole = Signal(
        ts=ts,
        signal="LONG_TREND" if reason == "OK" else "NO_SIGNAL",
        strategy="TREND",
        kind="T1",
        side=1,
        reason=reason,
        confidence=0.66,
        label="GOOD",
        quantity=2 if reason == "OK" else 0,
        entry=LAST,
        stop=LAST - 16,
        target=LAST + 34,
        parts={"battle_navale": 0.7, "features": 0.6, "regime": 0.71, "confluence": 0.41},
        gates=gates(reason),
        features=values,
        contributions=shares,
        feature_score=round(sum(share for share in shares if share is not None), 4),
    )
    return msgspec.structs.replace(whole, **changes)


def held(price: int = LAST + 6, **changes: Any) -> Held:
    """Return two MES, bought at `LAST`, at a newest price in ticks."""
    whole = Held(
        trade_id="TRADE_20260209_154000_1a2b3c4d",
        symbol="MES",
        strategy="TREND",
        kind="T1",
        side=1,
        quantity=2,
        wanted=2,
        entry=float(LAST),
        stop=LAST - 16,
        target=LAST + 34,
        protected=True,
        open_pnl=(price - LAST) * 2 * 1.25,
        opened_at=START - 300 * SECOND,
        bars_held=5,
    )
    return msgspec.structs.replace(whole, **changes)


def orders() -> list[Order]:
    """Return the stop and the target of `held`."""
    common = {"side": -1, "quantity": 2, "filled_quantity": 0, "status": "WORKING"}
    return [
        Order("R1-1-STOP", 12, "STOP", order_type="STOP", price=LAST - 16, **common),
        Order("R1-1-TARGET", 13, "TARGET", order_type="LIMIT", price=LAST + 34, **common),
    ]


def book(last: int = LAST + 6) -> Book:
    """Return ten levels on each side of a price in ticks."""
    bids = [(last - 1 - k, 40 + 13 * k) for k in range(10)]
    asks = [(last + k, 35 + 11 * k) for k in range(10)]
    return Book(last, last - 1, last, bids, asks)


def frame(seq: int = 1, **changes: Any) -> Frame:
    """Return one complete frame; fields can be replaced by name.

    The long of `held` at ``LAST + 6`` makes 15 USD; a trade of the day made 112.50 USD.
    """
    price = LAST + 6
    whole = Frame(
        seq=seq,
        ts=START + seq * SECOND // 10,
        wall_ts=START + seq * SECOND // 10,
        started_ts=START - 3600 * SECOND,
        run_id="20260209-150000-4711",
        version="0.6.0",
        configuration="c0ffee00c0ffee00",
        mode="paper",
        simulated=True,
        dry_run=False,
        account=ACCOUNT,
        symbol="ES",
        contract="ESH26",
        state="NORMAL",
        state_reasons=[],
        ready=True,
        ready_s=3540.0,
        session_s=3600.0,
        links=Links("READY", "READY", START - 3590 * SECOND, 0, 1),
        feed=Feed("synth", START, 0.2, "", 81_234, 3, 0),
        day=Day(SESSION, 112.5, 15.0, 72.5, 1000.0, 1, 1, 50_112.5, 50_112.5),
        book=book(price),
        levels=Levels(
            vwap=LAST - 3.25,
            vwap_sd=14.5,
            poc=LAST - 4,
            vah=LAST + 18,
            val=LAST - 22,
            previous_high=LAST + 80,
            previous_low=LAST - 96,
            previous_close=LAST - 12,
            gamma_flip=LAST - 140.0,
            call_wall=LAST + 200.0,
            put_wall=LAST - 300.0,
            options_quality=0.82,
        ),
        battle=Battle(
            vikings=0.63,
            defenders=0.29,
            score=0.34,
            golden=0.4,
            golden_state="WEAK_BULLISH",
            signal=1,
            strength=0.58,
            confidence=0.7,
            status="VIKINGS_WINNING",
            base_low=LAST - 30,
            base_high=LAST - 12,
            regime="WEAK_TREND_BULL",
            regime_confidence=0.71,
            atr=18.25,
            vix=16.4,
            phase="ny_open",
        ),
        held=held(price),
        signal=signal(START - 60 * SECOND),
        orders=orders(),
        counters={**COUNTERS, "frames": seq},
        stages={
            "data": stage(17, 5000),
            "features": stage(16, 900),
            "decision": stage(18, 14),
            "orders": stage(21, 6),
            "frame": stage(13, 36_000),
        },
    )
    return msgspec.structs.replace(whole, **changes)


def story(count: int = 100, seed: int = 1) -> Iterator[Frame]:
    """Yield a session in short: equal parts flat, refused, working, holding, done, halted."""
    chance = random.Random(seed)
    price, realized = LAST, 0.0
    for k in range(count):
        part = 6 * k // count
        if part != 2:
            price += chance.choice((-2, -1, 0, 0, 1, 2))
        now = START + k * SECOND // 10
        position, working, newest = None, [], None
        if part >= 1:
            newest = signal(now - SECOND)
        if part >= 2:
            newest = signal(START, "OK")
        if part == 2:
            price = LAST + 2
            position = held(LAST, quantity=0, entry=None, protected=False, opened_at=None)
            working = [Order("R1-1-ENTRY", 11, "ENTRY", 1, 2, 0, "LIMIT", LAST, "WORKING")]
        if part == 3:
            position, working = held(price), orders()
        if part >= 4:
            realized = 83.76
        open_pnl = 0.0 if position is None else position.open_pnl
        if part == 2:
            position.open_pnl = open_pnl = 0.0
        worst = min(realized, realized + (-16 * 2 * 1.25 if part == 3 else 0.0))
        yield frame(
            k + 1,
            ts=now,
            wall_ts=now,
            state="HALT_ENTRIES" if part == 5 else "NORMAL",
            state_reasons=["COMMAND_HALT"] if part == 5 else [],
            day=Day(
                SESSION,
                realized,
                open_pnl,
                worst,
                1000.0,
                int(part >= 4),
                int(part >= 4),
                50_000.0 + realized,
                50_000.0 + realized,
            ),
            book=book(price),
            held=position,
            orders=working,
            signal=newest,
        )


def bar_line(k: int, close: int = LAST) -> dict[str, Any]:
    """Return the line of a closed primary bar in a file of the screen, the k-th of the session."""
    rows = [[close - 3 + j, 20 + 5 * j, 15 + 7 * j] for j in range(7)]
    sold, bought = (sum(row[side] for row in rows) for side in (1, 2))
    return {
        "t": START - (132 - k) * 60 * SECOND,
        "o": close - 1,
        "h": close + 3,
        "l": close - 3,
        "c": close,
        "v": bought + sold,
        "d": bought - sold,
        "cvd": (k + 1) * (bought - sold),
        "vwap": close - 2.5,
        "sd": 12.0,
        "poc": close - 1,
        "vah": close + 12,
        "val": close - 14,
        "rows": rows,
        "score": 0.25,
        "regime": "WEAK_TREND_BULL",
    }


def screen_lines(bars: int = 120, seed: int = 1) -> list[dict[str, Any]]:
    """Return a file of the screen: bars, an entry, its end, and the marks of equity between."""
    chance = random.Random(seed)
    lines: list[dict[str, Any]] = []
    close, equity = LAST - 40, 50_000.0
    for k in range(bars):
        close += chance.choice((-3, -1, 0, 1, 3))
        lines.append(bar_line(k, close))
        at = lines[-1]["t"] + 60 * SECOND
        if k == bars // 2:
            fill = {"t": at, "side": 1, "quantity": 2, "price": close, "role": "ENTRY"}
            lines.append({"fill": {**fill, "trade_id": "TRADE_20260209_154000_1a2b3c4d"}})
            entry = close
        if k == bars // 2 + 10:
            fill = {"t": at, "side": -1, "quantity": 2, "price": close, "role": "FLATTEN"}
            lines.append({"fill": {**fill, "trade_id": "TRADE_20260209_154000_1a2b3c4d"}})
            equity += (close - entry) * 2 * 1.25 - 2.48
        if k >= bars // 2:
            lines.append({"mark": {"t": at, "equity": equity}})
    return lines


class ShownFrames:
    """A trader's frame file, and its file of bars, written by a test.

    Parameters
    ----------
    state_dir : Path
    """

    def __init__(self, state_dir: Path) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self.path = state_dir / NAME
        self._screen = state_dir / "screen"
        self._writer = FrameWriter(self.path)

    def show(self, shown: Frame) -> Frame:
        """Write a frame and the heartbeat with it; return the frame."""
        assert self._writer.write(msgspec.json.encode(shown))
        return shown

    def beat(self) -> None:
        """Write the heartbeat alone."""
        self._writer.beat()

    def draw(self, lines: list[dict[str, Any]], session_id: int = SESSION) -> None:
        """Append lines to the session's file of bars, fills and marks."""
        self._screen.mkdir(exist_ok=True)
        with (self._screen / f"{session_id}.ndjson").open("ab") as file:
            file.writelines(msgspec.json.encode(line) + b"\n" for line in lines)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go; the last frame stays, as that of a trader that died."""
        self._writer.close()

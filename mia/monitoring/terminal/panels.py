"""What each part of the screen says of a frame.

Every panel is a `rich.text.Text` that means the same without colours. `wide` panels have room
for more than those of 80 columns.
"""

from collections.abc import Callable, Iterable

from rich.text import Text

from mia.core.base_types import FEATURE_NAMES
from mia.core.frame import Frame, Gate, Signal
from mia.monitoring.terminal import words
from mia.monitoring.terminal.look import Look

GOOD, BAD, WARN, DIM, STRONG = "green", "bold red", "yellow", "dim", "bold"
_LEVEL_STYLES = {"CRITICAL": BAD, "WARNING": WARN}


def header(look: Look, wide: bool) -> Text:
    """Name mode, state, readiness, contract and account, and how old all this is."""
    frame = look.frame
    if frame is None:
        return Text.assemble((" MIA ", "reverse"), "  ", ("no trader", STRONG), "   q quits")
    mode = frame.mode.replace("data_collection", "data only").upper()
    badge = "white on red" if frame.mode == "live" else "black on green"
    text = Text.assemble((f" {mode} ", badge if look.is_live else "reverse"), " ")
    extras = [word for word, on in (("sim", frame.simulated), ("dry run", frame.dry_run)) if on]
    text.append(" ".join(extras) + " " if extras else "", DIM)
    if look.is_live:
        text.append(f"{frame.state}  ", GOOD if frame.state == "NORMAL" else BAD)
        text.append(*(("READY", GOOD) if frame.ready else ("NOT READY", WARN)))
    else:
        text.append(f"was {frame.state}", STRONG)
    text.append(f"  {frame.contract or frame.symbol} {frame.account}  {words.clock(frame.ts)} NY")
    if wide:
        text.append(f"   version {frame.version}   run {frame.run_id}", DIM)
        text.append(f"   uptime {uptime(frame)}", DIM)
    text.append("  q quits", DIM)
    return text


def uptime(frame: Frame) -> str:
    """Return the share of the open market in which the trader was ready."""
    if not frame.session_s:
        return words.NOTHING
    return f"{frame.ready_s / frame.session_s:.1%} of {words.span(frame.session_s)}"


def notice(look: Look, wide: bool) -> Text:
    """Say what is wrong, first of all whether this is a picture of now."""
    if look.trouble:
        return Text(f" {look.trouble} ", "bold white on red" if look.frame else STRONG)
    frame = look.frame
    assert frame is not None
    parts = []
    if frame.state_reasons:
        parts.append(f"held by {', '.join(frame.state_reasons)}")
    if frame.feed.fault:
        parts.append(frame.feed.fault)
    if frame.held is not None and frame.held.quantity and not frame.held.protected:
        parts.insert(0, "THE POSITION HAS NO STOP THAT IS KNOWN TO WORK")
    if parts:
        return Text("; ".join(parts), BAD)
    return Text("nothing stands in the way of an order" if frame.ready else "not ready", DIM)


def position(frame: Frame, wide: bool) -> Text:
    """Say what is held, at what price, and where it ends."""
    held = frame.held
    if held is None:
        return Text.assemble(
            ("POSITION ", STRONG), "flat", f"   last {words.price(frame.book.last)}"
        )
    way = words.side(held.side)
    colour = GOOD if held.open_pnl >= 0 else BAD
    text = Text.assemble(("POSITION ", STRONG))
    if held.quantity == 0:
        text.append(f"entry works: {way} {held.wanted} {held.symbol}")
    else:
        text.append(f"{way} {abs(held.quantity)} {held.symbol}", STRONG)
        text.append(f" at {words.price(held.entry)}, now {words.price(frame.book.last)}  ")
        text.append(f"{words.money(held.open_pnl)} USD", colour)
    text.append(f"  {held.strategy} {held.kind}".rstrip())
    text.append(f"\n         stop {words.price(held.stop)}  target {words.price(held.target)}  ")
    if held.quantity == 0:
        text.append("nothing filled yet", DIM)
    else:
        text.append(*(("protected", GOOD) if held.protected else ("NOT PROTECTED", BAD)))
        text.append(f"  since {words.clock(held.opened_at)}, {held.bars_held} bars", DIM)
    return text


def day(frame: Frame, wide: bool) -> Text:
    """Hold the day's result against its limit."""
    account = frame.day
    total = account.realized_pnl + account.open_pnl
    used = max(0.0, -account.worst_pnl / account.loss_limit) if account.loss_limit > 0 else 0.0
    colour = GOOD if used < 0.5 else WARN if used < 0.8 else BAD
    text = Text.assemble(("DAY ", STRONG))
    text.append(f"{words.money(total)} USD", GOOD if total >= 0 else BAD)
    text.append(
        f"  closed {words.money(account.realized_pnl)}  open {words.money(account.open_pnl)}"
        f"  {account.trades} trade{'' if account.trades == 1 else 's'}, {account.wins} won"
    )
    text.append("\nloss limit ")
    text.append(f"[{words.bar(used, 20)}]", colour)
    text.append(
        f" {used:.0%} of {account.loss_limit:,.0f}; with stops hit {words.money(account.worst_pnl)}"
    )
    if wide:
        text.append(f"\nequity {account.equity:,.2f}, high {account.equity_high:,.2f} USD", DIM)
    return text


def links(frame: Frame, wide: bool) -> Text:
    """Say how the feed and the two connections to the broker are."""
    feed, link = frame.feed, frame.links
    text = Text.assemble(("FEED ", STRONG), f"{feed.name or words.NOTHING} ")
    text.append(f"{words.span(feed.age_s)} old", BAD if feed.fault else GOOD)
    text.append(
        f"  {feed.ticks:,} ticks, {feed.bad_ticks:,} bad, {feed.holes} holes, "
        f"newest {words.clock(feed.newest_at)}"
    )
    text.append("\nBROKER ", STRONG)
    for name, state in (("orders", link.orders), ("data", link.market)):
        text.append(f"{name} ")
        text.append(f"{state}  ", GOOD if state == "READY" else BAD)
    text.append(f"reconciled {words.clock(link.reconciled_at)}")
    text.append(f", {link.mismatches} differed", BAD if link.mismatches else "")
    text.append(f", {link.reconnects} lost", WARN if link.reconnects else "")
    return text


def battle(frame: Frame, wide: bool) -> Text:
    """Say who wins, and in what market."""
    told = frame.battle
    text = Text.assemble(("BATTLE ", STRONG))
    text.append(words.number(told.score), GOOD if told.score > 0 else BAD if told.score < 0 else "")
    text.append(
        f"  vikings {told.vikings:.2f}  defenders {told.defenders:.2f}  "
        f"golden {words.number(told.golden)} {told.golden_state.lower().replace('_', ' ')}"
    )
    text.append("\nREGIME ", STRONG)
    text.append(
        f"{told.regime or words.NOTHING} {told.regime_confidence:.2f}  "
        f"ATR {words.plain(told.atr, 1)} ticks  VIX {words.plain(told.vix, 1)}  "
        f"{told.phase.replace('_', ' ')}"
    )
    if wide and told.base_low is not None:
        text.append(f"\nbase {words.price(told.base_low)} to {words.price(told.base_high)}", DIM)
    return text


def failed_gate(told: Signal) -> Gate | None:
    """Return the gate that refused a decision, None if none did."""
    return next((gate for gate in told.gates if gate.code == told.reason), None)


def signal(frame: Frame, wide: bool) -> Text:
    """Say what was decided last, and which gate refused it."""
    told = frame.signal
    text = Text.assemble(("SIGNAL ", STRONG))
    if told is None:
        text.append("no proposal yet in this run", DIM)
        return text
    text.append(f"{words.clock(told.ts)} {words.side(told.side)} {told.strategy} {told.kind}  ")
    if told.reason == "OK":
        text.append(f"ACCEPTED, {told.quantity} contracts", GOOD)
    else:
        gate = failed_gate(told)
        text.append(f"REFUSED by {told.reason}", BAD)
        if gate is not None:
            found = words.plain(gate.value) if gate.known else "unknown"
            text.append(f": {found}, limit {words.plain(gate.limit)}")
    text.append(
        f"\nconfidence {told.confidence:.2f} {told.label}  "
        f"entry {words.price(told.entry)}  stop {words.price(told.stop)}  "
        f"target {words.price(told.target)}"
    )
    return text


def features(frame: Frame, wide: bool) -> Text:
    """List the 18 features of the last decision; wide, with what each added to the score."""
    told = frame.signal
    values = [None] * len(FEATURE_NAMES) if told is None else told.features
    shares = [None] * len(FEATURE_NAMES) if told is None else told.contributions
    text = Text()
    if wide:
        score = None if told is None else told.feature_score
        text.append(f"features of the signal, score {words.number(score, 3)}\n", STRONG)
        cells = zip(FEATURE_NAMES, values, shares, strict=True)
        for k, (name, value, share) in enumerate(cells):
            text.append(f"F{k + 1:<3}{name:<20}")
            text.append(f"{words.number(value):>6}", _colour(value))
            text.append(f"{words.number(share, 3):>8} ", _colour(share))
            length = 0.0 if share is None else min(abs(share) * 8, 1.0)
            text.append(words.bar(length, 12).rstrip() + "\n", _colour(share))
        text.right_crop(1)
        return text
    rows = len(FEATURE_NAMES) // 3
    for row in range(rows):
        for column in range(3):
            k = row + column * rows
            text.append(f"{FEATURE_NAMES[k]:<19}")
            text.append(f"{words.number(values[k]):>6}", _colour(values[k]))
            text.append("  " if column < 2 else "\n" if row < rows - 1 else "")
    return text


def gates(frame: Frame, wide: bool) -> Text:
    """List every gate of the last decision, those that failed first, with value and limit."""
    told = frame.signal
    text = Text.assemble(("gates of the signal" if told else "no signal yet", STRONG))
    if told is None:
        return text
    for gate in sorted(told.gates, key=lambda gate: gate.passed):
        mark, style = ("pass", DIM) if gate.passed else ("FAIL", BAD)
        if not gate.known:
            mark = "?   " if gate.passed else "FAIL"
        text.append(f"\n{mark} {gate.code:<16}", style)
        text.append(f"{words.plain(gate.value):>8} {words.plain(gate.limit):>8}", style)
    return text


def orders(frame: Frame, wide: bool) -> Text:
    """List the orders that may still fill."""
    text = Text.assemble(("ORDERS ", STRONG))
    if not frame.orders:
        text.append("none works", DIM)
        return text
    for k, order in enumerate(frame.orders):
        text.append("" if k == 0 else "\n       ")
        way = "buy" if order.side > 0 else "sell"
        where = "market" if order.price is None else words.price(order.price)
        text.append(
            f"{order.role:<8}{way:<5}{order.filled_quantity} of {order.quantity}  "
            f"{order.order_type:<7}{where:>8}  "
        )
        text.append(order.status, GOOD if order.status == "WORKING" else WARN)
    return text


def stages(frame: Frame, wide: bool) -> Text:
    """List median and 99th percentile of each stage of the cycle, over the run."""
    text = Text.assemble(("LATENCY ", STRONG), ("p50, p99 of the run" if wide else "p50/p99", DIM))
    for k, (name, stage) in enumerate(frame.stages.items()):
        half, most = (words.latency(words.quantile(stage.counts, q)) for q in (0.5, 0.99))
        if wide:
            text.append(f"\n{name:<10}{half:>9}{most:>9}  {sum(stage.counts):,} times")
        else:
            text.append("\n" if k == 2 else "  ")
            text.append(f"{name} {half}/{most}")
    return text


def book(frame: Frame, wide: bool) -> Text:
    """Draw the ladder, or the quote alone where no depth is known."""
    told = frame.book
    text = Text.assemble(("BOOK ", STRONG), f"last {words.price(told.last)}")
    if not told.bids and not told.asks:
        text.append(f"\nbid {words.price(told.bid)}  ask {words.price(told.ask)}")
        text.append("  no depth", DIM)
        return text
    most = max(size for _, size in (*told.bids, *told.asks))
    rows: Iterable[tuple[int, int, str]] = [
        *((level, size, BAD) for level, size in reversed(told.asks[:5])),
        *((level, size, GOOD) for level, size in told.bids[:5]),
    ]
    for level, size, colour in rows:
        text.append(f"\n{words.price(level):>9} {size:>6} ")
        text.append(words.bar(size / most, 16).rstrip(), colour)
    return text


def levels(frame: Frame, wide: bool) -> Text:
    """List the prices that a trader looks at, from the highest down, with the distance."""
    told, last = frame.levels, frame.book.last
    named = {
        "call wall": told.call_wall,
        "put wall": told.put_wall,
        "gamma flip": told.gamma_flip,
        "high before": told.previous_high,
        "low before": told.previous_low,
        "close before": told.previous_close,
        "VAH": told.vah,
        "POC": told.poc,
        "VAL": told.val,
        "VWAP": told.vwap,
    }
    known = sorted(
        ((level, name) for name, level in named.items() if level is not None), reverse=True
    )
    text = Text.assemble(("LEVELS", STRONG))
    if not known:
        text.append(f" {words.NOTHING}")
    for level, name in known:
        away = None if last is None else (last - level) * 0.25
        text.append(f"\n{name:<13}{words.price(level):>9} {words.number(away):>9}")
    return text


def alerts(look: Look, wide: bool) -> Text:
    """List the newest alerts, newest first."""
    text = Text.assemble(("ALERTS ", STRONG))
    newest = look.alerts[-40:] if wide else look.alerts[-4:]
    if not newest:
        text.append("none", DIM)
    for k, alert in enumerate(reversed(newest)):
        level, ts = str(alert.get("level", "")), alert.get("ts")
        text.append("" if k == 0 else "\n       ")
        text.append(f"{words.clock(ts if isinstance(ts, int) else None)} ")
        text.append(f"{level} ", _LEVEL_STYLES.get(level, ""))
        text.append(" ".join(str(alert.get("text", "")).split()))
    return text


FRAME_PANELS: dict[str, Callable[[Frame, bool], Text]] = {
    "position": position,
    "day": day,
    "links": links,
    "battle": battle,
    "signal": signal,
    "features": features,
    "orders": orders,
    "stages": stages,
    "gates": gates,
    "book": book,
    "levels": levels,
}
"""Panels by name; the last three are of a wide screen only."""

LOOK_PANELS: dict[str, Callable[[Look, bool], Text]] = {
    "header": header,
    "notice": notice,
    "alerts": alerts,
}


def _colour(value: float | None) -> str:
    if value is None:
        return DIM
    return GOOD if value > 0 else "red" if value < 0 else ""

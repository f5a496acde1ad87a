"""Plain twin of `mia._fast.synth.touch`, written from its description."""

from math import floor, sqrt


def triggered(d, x, first, low, high, volume, pv, p2v, spacing):
    """Tell whether a pattern's condition holds, and the level that it concerns."""
    side, nearest = d["side"], floor(x / spacing + 0.5) * spacing
    if d["trigger"] == 0:
        return True, floor(x + 0.5)
    if d["trigger"] == 1:
        return (x - low if side > 0 else high - x) <= d["reach"], floor(x + 0.5)
    if d["trigger"] == 3:
        return 0.0 <= (x - nearest) * side <= d["reach"], nearest
    if not volume:
        return False, 0
    mean = pv / volume
    sd = sqrt(p2v / volume - mean * mean) if p2v * volume > pv * pv else 0.0
    return sd > 0 and (mean - (x - first)) * side >= d["reach"] * sd, floor(x + 0.5)


def touch(rows, first, options, directives, spacing):
    """Return (side, price, bid, ask, latent, size) for each (ts, size, step, jump, u, v) of rows.

    `directives` are dicts; `t_start`, `t_end` and `level` are added to those that happen.
    """
    zone, sticky, contrary, wide, close_gap, thin = options
    x, quote, gap, side = first, floor(first), 0, 1
    low = high = first
    patience = 1.0 + zone
    volume = pv = p2v = 0.0
    active, phase, start = None, "", 0.0
    drift = flow = 0.0
    before = rows[0][0] if rows else 0
    out = []
    for ts, size, step, jump, u, v in rows:
        x += step + jump
        if active:
            if phase == "build" and ts >= active["t_follow"]:
                phase, target = "follow", active["follow_drift"]
                if active["trigger"] == 2 and volume > 0:
                    target = max(0.0, target * active["side"] * (first + pv / volume - x))
                drift = active["side"] * target / active["follow_ns"]
                flow = active["side"] * active["follow_flow"]
            if ts >= active["t_end"]:
                active, drift, flow = None, 0.0, 0.0
            else:
                x += drift * (ts - before)
                if phase == "build" and active["pin"] >= 0:
                    limit = start - active["side"] * active["pin"]
                    x = max(x, limit) if active["side"] > 0 else min(x, limit)
        for d in directives:
            if active or "t_start" in d or not d["t_armed"] <= ts < d["t_expires"]:
                continue
            happens, level = triggered(d, x, first, low, high, volume, pv, p2v, spacing)
            if not happens:
                continue
            active, phase, start = d, "build", x
            d["t_start"], d["t_follow"] = ts, ts + d["build_ns"]
            d["t_end"], d["level"] = d["t_follow"] + d["follow_ns"], level
            drift = d["side"] * d["build_drift"] / d["build_ns"] if d["build_ns"] else 0.0
            flow = d["side"] * d["build_flow"]
        before = ts

        moved = 0
        while x >= quote + 0.5 + patience:
            quote, moved = quote + 1, 1
        while x <= quote + 0.5 - patience:
            quote, moved = quote - 1, -1
        if x > quote + 0.5 + zone:
            side = 1
        elif x < quote + 0.5 - zone:
            side = -1
        taken = -side if u >= 1.0 - contrary else side
        if moved:
            patience = 1.0 + zone if u < sticky else 0.5 + zone
            gap = moved if v < wide else 0
        elif gap and (u < close_gap or (taken != gap and v < 0.9)):
            gap = 0
        if active and flow and v < abs(flow):
            taken = 1 if flow > 0 else -1
        printed = size
        if active and phase == "build" and active["build_size"] != 1.0:
            printed = int(size * active["build_size"] + 0.5)
        bid, ask = quote - (gap > 0), quote + 1 + (gap < 0)
        if v >= 1.0 - thin:
            bid, ask = (bid, ask + 3) if taken > 0 else (bid - 3, ask)
        price = ask if taken > 0 else bid
        out.append((taken, price, bid, ask, x, printed))
        low, high = min(low, x), max(high, x)
        volume += printed
        pv += printed * (price - first)
        p2v += printed * (price - first) * (price - first)
    return out

"""Plain-Python twin of the options state: everything is worked out anew at each close."""

import math
from dataclasses import dataclass, field
from itertools import pairwise

from mia.features import options_features, options_quality

MINUTE = 60 * 10**9
YEAR = 365 * 86400 * 10**9
NAN = math.nan


@dataclass
class OptionsTwin:
    """Follows bars (dicts) and snapshots (dicts of SNAPSHOT_DTYPE fields)."""

    half_life_s: float = 300.0
    max_error: float = 3.0
    dvol: float = 0.0
    settle: int = 0
    queue: list = field(default_factory=list)
    snapshot: dict | None = None
    agrees: bool = True
    samples: list = field(default_factory=list)  # (session, quote time, ES less S)
    bars: list = field(default_factory=list)  # of the session
    past_dollars: list = field(default_factory=list)
    flows_today: dict = field(default_factory=dict)
    past_flows: dict = field(default_factory=dict)

    def close(self, bar, session):
        """Return features, validity, levels in ticks, and quality at the close of a bar."""
        self.bars.append(bar)
        now = bar["t_close"]
        while self.queue and self.queue[0]["effective"] <= now:
            self._take(self.queue.pop(0), session)
        if self.snapshot is None:
            return [0.0] * 6, [0] * 6, [NAN] * 3, 0.0, NAN
        es = bar["close"] / 4
        spot = es - self._basis(es, now, session)
        chain = self.snapshot
        quality = self._quality(spot, now, session)
        if not quality >= 0.2 - 1e-9:
            return [0.0] * 6, [0] * 6, [NAN] * 3, quality, spot
        values = [
            chain["gamma_ratio"],
            options_features.flip_dist(spot, chain["flip"], chain["expected_move"], chain["gex"]),
            options_features.wall_pos(
                spot, chain["call_wall"], chain["put_wall"], chain["expected_move"]
            ),
            self._flow(now, session),
            chain["skew"],
            chain["term"],
        ]
        features = [0.0 if math.isnan(v) else quality * v for v in values]
        levels = [chain[k] * es / spot * 4 for k in ("flip", "call_wall", "put_wall")]
        return features, [int(not math.isnan(v)) for v in values], levels, quality, spot

    def next_session(self, session):
        """End a session."""
        for half_hour, flow in self.flows_today.items():
            self.past_flows.setdefault(half_hour, []).append(flow)
        dollars = self._dollars_by_minute(session)
        whole = session["t_rth_close"] - session["t_rth_open"] == 390 * MINUTE
        if whole and sum(dollars[:30]) > 0 and sum(dollars[360:]) > 0:
            self.past_dollars.append(dollars)
        self.flows_today = {}
        self.bars = []

    def _dollars_by_minute(self, session):
        dollars = [0.0] * 390
        for bar in self.bars:
            if session["t_rth_open"] <= bar["t_open"] < session["t_rth_close"]:
                minute = (session["t_rth_close"] - bar["t_open"] - 1) // MINUTE
                dollars[minute] += 50 * bar["volume"] * bar["close"] / 4
        return dollars

    def _take(self, chain, session):
        self.snapshot = chain
        self.agrees = True
        nearest = min(
            self.bars[-128:], key=lambda b: (abs(b["t_close"] - chain["asof"]), -b["t_close"])
        )
        if abs(nearest["t_close"] - chain["asof"]) > 5 * MINUTE:
            return
        es = nearest["close"] / 4
        basis = self._basis(es, chain["asof"], session)
        if not math.isnan(basis):
            self.agrees = abs(chain["spot"] - (es - basis)) < 0.0015 * chain["spot"] - 1e-9
        in_rth = session["t_rth_open"] <= chain["asof"] < session["t_rth_close"]
        today = [s for s in self.samples if s[0] == session["session_id"]]
        newer = not today or chain["asof"] > today[-1][1]
        if self.agrees and in_rth and newer and chain["chain_quality"] > 0:
            self.samples.append((session["session_id"], chain["asof"], es - chain["spot"]))

    def _average(self):
        """Exponential average over the samples of the newest session that has any."""
        if not self.samples:
            return NAN
        newest = [s for s in self.samples if s[0] == self.samples[-1][0]]
        value = newest[0][2]
        for (_, before, _), (_, at, sample) in pairwise(newest):
            keep = 0.5 ** ((at - before) / 1e9 / self.half_life_s)
            value = keep * value + (1 - keep) * sample
        return value

    def _basis(self, es, now, session):
        quarters = dict(
            zip(self.snapshot["quarter_settle"], self.snapshot["quarter_carry"], strict=True)
        )
        nearest = self.snapshot["quarter_settle"][0]
        carry = quarters.get(self.settle or nearest, quarters[nearest]) if nearest else NAN
        model = es - es * math.exp(-carry * ((self.settle or nearest) - now) / YEAR)
        average = self._average()
        if math.isnan(model):
            return average
        today = bool(self.samples) and self.samples[-1][0] == session["session_id"]
        in_rth = session["t_rth_open"] <= now < session["t_rth_close"]
        if today and in_rth and not abs(average - model) > self.max_error + 1e-9:
            return average
        return model

    def _quality(self, spot, now, session):
        chain = self.snapshot
        if math.isnan(spot) or not self.agrees:
            return 0.0
        span = (chain["evening_from"], chain["evening_until"])
        elapsed = 0.0
        if session["session_id"] == chain["session_id"]:
            elapsed = options_quality.elapsed_fraction(now, session["session_id"])
        return (
            options_quality.q_oi(chain["oi_until"], now)
            * options_quality.q_quote(chain["asof"], bool(chain["delayed"]), now, span)
            * chain["chain_quality"]
            * options_quality.q_move(abs(spot - chain["spot"]), chain["expected_move"])
            * options_quality.q_0dte(chain["zero_dte_share"], elapsed)
        )

    def _flow(self, now, session):
        left = session["t_rth_close"] - now
        if not session["t_rth_open"] <= now < session["t_rth_close"]:
            return NAN
        minutes = -(-left // MINUTE)
        dollars = [sum(day[:minutes]) for day in self.past_dollars[-20:]]
        half_hour = (now - session["t_rth_open"]) // (30 * MINUTE)
        past = self.past_flows.get(half_hour, [])[-60:]
        days = left / (86400 * 10**9)
        value, flow = options_features.hedge_flow(
            self.snapshot["cex"], self.snapshot["vex"], days, self.dvol, dollars, past
        )
        if not math.isnan(flow):
            self.flows_today.setdefault(half_hour, flow)
        return value

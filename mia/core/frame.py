"""What the trader shows of itself: one frame, the newest of which wins.

A frame is complete: a reader that missed all others knows from it where the trader stands. It
crosses processes as JSON (`frame_memory`), so a screen, a metric or a page needs nothing of the
trader's own code. Prices are in ticks, times in ns UTC, sizes in contracts, money in USD; what
is unknown is None, never zero.
"""

import msgspec

SCHEMA = 1
"""Raised whenever a field changes its meaning or goes."""


class Links(msgspec.Struct, gc=False):
    """The two connections to the broker.

    Attributes
    ----------
    orders, market : str
        A `LinkState` by name.
    reconciled_at : int or None
        When the book was last made equal to the broker's, ns UTC.
    mismatches : int
        Positions or orders that differed from the broker's in this run.
    reconnects : int
        How often either connection was lost in this run.
    """

    orders: str = "DISCONNECTED"
    market: str = "DISCONNECTED"
    reconciled_at: int | None = None
    mismatches: int = 0
    reconnects: int = 0


class Feed(msgspec.Struct, gc=False):
    """Where trades and quotes come from.

    Attributes
    ----------
    name : str
        As in the setting ``feed``; the fallback's while that is used.
    newest_at : int or None
        Exchange time of the newest tick, ns UTC.
    age_s : float or None
        Seconds since anything was heard, by a monotonic clock.
    fault : str
        Why no order may rest on this data now, empty if one may.
    ticks, bad_ticks, holes : int
        Taken, refused, and gaps that no source could fill, in this run.
    """

    name: str = ""
    newest_at: int | None = None
    age_s: float | None = None
    fault: str = ""
    ticks: int = 0
    bad_ticks: int = 0
    holes: int = 0


class Held(msgspec.Struct, gc=False):
    """The position at work, or the entry that works.

    Attributes
    ----------
    quantity : int
        Signed contracts that are open; 0 while only the entry works.
    entry : float or None
        Average fill in ticks.
    stop, target : int or None
        Where its orders rest, in ticks.
    protected : bool
        A stop of the open size is known to work at the broker.
    open_pnl : float
        USD at the newest price, costs of the exit not taken off.
    """

    trade_id: str
    symbol: str
    strategy: str
    kind: str
    side: int
    quantity: int
    wanted: int
    entry: float | None
    stop: int | None
    target: int | None
    protected: bool
    open_pnl: float
    opened_at: int | None
    bars_held: int


class Day(msgspec.Struct, gc=False):
    """The day's account.

    Attributes
    ----------
    realized_pnl, open_pnl : float
        USD net of costs; open profit at the newest price.
    worst_pnl : float
        USD if every stop were hit now: what the daily limit is measured against.
    loss_limit : float
        USD, positive.
    equity, equity_high : float
        USD, realized.
    """

    session_id: int = 0
    realized_pnl: float = 0.0
    open_pnl: float = 0.0
    worst_pnl: float = 0.0
    loss_limit: float = 0.0
    trades: int = 0
    wins: int = 0
    equity: float = 0.0
    equity_high: float = 0.0


class Order(msgspec.Struct, gc=False):
    """An order that is not finished.

    Attributes
    ----------
    role, status, order_type : str
        `OrderRole`, `OrderStatus`, `OrderType` by name.
    price : int or None
        Ticks; None at market.
    """

    client_order_id: str
    venue_order_id: int
    role: str
    side: int
    quantity: int
    filled_quantity: int
    order_type: str
    price: int | None
    status: str


class Book(msgspec.Struct, gc=False):
    """Quote and depth; levels from the best outward as (price, size)."""

    last: int | None = None
    bid: int | None = None
    ask: int | None = None
    bids: list[tuple[int, int]] = []
    asks: list[tuple[int, int]] = []


class Levels(msgspec.Struct, gc=False):
    """Prices in ticks that a trader looks at."""

    vwap: float | None = None
    vwap_sd: float | None = None
    poc: int | None = None
    vah: int | None = None
    val: int | None = None
    previous_high: int | None = None
    previous_low: int | None = None
    previous_close: int | None = None
    gamma_flip: float | None = None
    call_wall: float | None = None
    put_wall: float | None = None
    options_quality: float | None = None


class Battle(msgspec.Struct, gc=False):
    """Battle Navale and the regime at the newest close of a primary bar."""

    vikings: float = 0.0
    defenders: float = 0.0
    score: float = 0.0
    golden: float = 0.0
    golden_state: str = ""
    signal: int = 0
    strength: float = 0.0
    confidence: float = 0.0
    status: str = ""
    base_low: int | None = None
    base_high: int | None = None
    regime: str = ""
    regime_confidence: float = 0.0
    atr: float | None = None
    vix: float | None = None
    phase: str = ""


class Gate(msgspec.Struct, gc=False):
    """One gate of the newest decision."""

    code: str
    value: float | None
    limit: float | None
    passed: bool
    known: bool


class Signal(msgspec.Struct, gc=False):
    """The newest decision, whether it became an order or not.

    Attributes
    ----------
    reason : str
        ``OK``, or the code of the first gate that refused it.
    features, contributions : list of float or None
        F1 to F18, and what each added to the feature score; None where invalid.
    probability : float or None
        The model's, if there is one that may be asked.
    """

    ts: int
    signal: str
    strategy: str
    kind: str
    side: int
    reason: str
    confidence: float
    label: str
    quantity: int
    entry: int
    stop: int
    target: int
    parts: dict[str, float]
    gates: list[Gate]
    features: list[float | None]
    contributions: list[float | None]
    feature_score: float | None
    probability: float | None = None


class Stage(msgspec.Struct, gc=False):
    """How long a stage of the cycle took: counts by powers of two of nanoseconds.

    Attributes
    ----------
    counts : list of int
        ``counts[k]`` is how often it took from ``2**k`` up to ``2**(k + 1)`` ns.
    total_ns : int
        All of it.
    """

    counts: list[int]
    total_ns: int


class Model(msgspec.Struct, gc=False):
    """The ML filter: its stage by name, which model, and how far the world has drifted."""

    stage: str = "COLLECT"
    version: str = ""
    labelled: int = 0
    drift: float | None = None


class Frame(msgspec.Struct):
    """Everything a screen needs to know now.

    Attributes
    ----------
    seq : int
        Rises by one with each frame of a run.
    ts : int
        Market time, ns UTC: that of the simulated gateway if there is one.
    wall_ts : int
        The machine's time, ns UTC.
    mode : str
        A `TradingMode`; ``account`` has all but the ends of its digits covered.
    simulated : bool
        The gateway is a simulated one.
    state : str
        A `TradingState` by name; ``state_reasons`` names what holds it.
    ready, ready_s, session_s : bool, float, float
        Whether orders may be sent as far as the session is concerned; seconds of the run in which
        the market was open and the trader ready, and in which the market was open.
    counters : dict of int
        Running counts of this run by name: what `metrics` exposes.
    stages : dict of Stage
        Latency by the name of a stage.
    """

    seq: int
    ts: int
    wall_ts: int
    started_ts: int
    run_id: str
    version: str
    configuration: str
    mode: str
    simulated: bool
    dry_run: bool
    account: str
    symbol: str
    contract: str
    state: str
    state_reasons: list[str]
    ready: bool
    ready_s: float
    session_s: float
    links: Links
    feed: Feed
    day: Day
    book: Book
    levels: Levels
    battle: Battle
    held: Held | None = None
    signal: Signal | None = None
    orders: list[Order] = []
    counters: dict[str, int] = {}
    stages: dict[str, Stage] = {}
    model: Model = msgspec.field(default_factory=Model)
    schema: int = SCHEMA

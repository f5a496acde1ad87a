"""Which feeds a run has, in which order, and how they come together."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mia.config.settings import Settings
from mia.core.ibkr.contracts import FutureContract
from mia.core.market_feed import FeedNotice, FeedNoticeKind
from mia.data.feed_arbiter import ArbiterLimits
from mia.data.feed_gate import FeedGate
from mia.errors import ConfigError
from mia.execution.live.feed_intake import FeedIntake, Patience
from mia.execution.live.feed_pair import FeedPair, FeedSide, FeedTaker, IntakeSink, PairTelling
from mia.trader.sources.feed_chain import FeedChain, Follower
from mia.trader.sources.feeds import FeedPlace, IqfeedFeed, SierraFeed
from mia.trader.sources.wire_feed import WireFeed, WireTap

SECOND = 1_000_000_000
OWN_FEEDS = frozenset({"sierra", "iqfeed"})
"""Feeds whose trades do not come from the broker."""

_NUMBERED = frozenset({"sierra"})
_MARGIN_S = 3.0
"""From the moment at which a feed is found silent to the trades of the other one in the cycle."""


class Feed(Protocol):
    """A source of trades for a live session."""

    async def learn(self) -> None:
        """Bring the cycle up to date, before it decides anything; `run` runs already."""
        ...

    async def run(self) -> None:
        """Hand on what comes until `close`."""
        ...

    async def mend(self, since: int) -> None:
        """Fill the hole that began at an instant, ns UTC."""
        ...

    def roll(self, session: int, contract: FutureContract) -> None:
        """Trade another contract from a session on."""
        ...

    def close(self) -> None:
        """End it."""
        ...


def fallbacks(settings: Settings) -> tuple[str, ...]:
    """Return the feeds to fall back on, in order; none for a feed that is the broker's."""
    if settings.feed not in OWN_FEEDS:
        return ()
    return tuple(name for name in settings.feed_fallbacks if name != settings.feed)


def require_feed(settings: Settings) -> None:
    """Hold the settings of the feeds against what is there.

    Raises
    ------
    ConfigError
        If something that they need is not set or not there.
    """
    others = [name for name in settings.feed_fallbacks if name != settings.feed]
    if settings.feed == "ibkr" and others:
        raise ConfigError(
            f"feed=ibkr cannot fall back on {others[0]}: name {others[0]} as the feed, and ibkr "
            "in feed_fallbacks"
        )
    if "sierra" not in (settings.feed, *fallbacks(settings)):
        return
    folder = settings.sierra.folder
    if folder is None:
        raise ConfigError(
            "set sierra.folder to Sierra Chart's data folder, with the .scid files; without Sierra "
            "Chart choose feed=iqfeed or feed=ibkr"
        )
    if not Path(folder).is_dir():
        raise ConfigError(f"sierra.folder {folder} is no folder: name Sierra Chart's data folder")


def feed_delay(settings: Settings) -> float:
    """Return the longest delay (s) with which trades of the feeds are new."""
    delays = {"sierra": settings.sierra.delay_s, "iqfeed": settings.iqfeed.delay_s}
    return max(delays.get(name, 0.0) for name in (settings.feed, *fallbacks(settings)))


def close_delay(settings: Settings) -> float:
    """Return how long after its end (s) a bar may still get trades of the feeds."""
    if not fallbacks(settings):
        return feed_delay(settings)
    return _age(settings) + _MARGIN_S


def _age(settings: Settings) -> float:
    """Return how much older than the other's a feed's newest trade may be (s): never its delay."""
    return max(settings.fallback.age_s, feed_delay(settings))


def open_feed(here: FeedPlace, tap: WireTap | None) -> Feed:
    """Make the feeds that the settings name, and let a session take its trades from them.

    Parameters
    ----------
    here : FeedPlace
    tap : WireTap, optional
        Who listens to the data connection, if its trades are to be fallen back on.

    Raises
    ------
    ConfigError
        If something that they need is not set.
    """
    settings, session = here.settings, here.session
    gate = session.ticks
    if not isinstance(gate, FeedGate):
        raise TypeError("a feed of its own needs a FeedGate")
    patience = Patience(
        round(settings.live.hole_rth_s * SECOND),
        round(settings.live.hole_s * SECOND),
        round(feed_delay(settings) * SECOND),
    )
    intake = FeedIntake(session, gate, settings.feed, patience)
    session.own_feed = True
    others = fallbacks(settings)
    if not others:
        session.feed_fault = intake.fault
        return SierraFeed(here, intake) if settings.feed == "sierra" else IqfeedFeed(here, intake)
    if session.options.lockstep:
        raise ConfigError("feeds to fall back on cannot run in lock-step: leave feed_fallbacks out")
    return _chain(here, intake, others, tap)


def _chain(
    here: FeedPlace, intake: FeedIntake, others: tuple[str, ...], tap: WireTap | None
) -> FeedChain:
    """Put the first feed into a pair with the second, or with a pair of the others, and so on."""
    session, settings = here.session, here.settings
    names = (settings.feed, *others)
    words = settings.fallback
    limits = ArbiterLimits(
        age_s=_age(settings),
        silent_seconds=words.silent_s,
        apart_ticks=words.apart_ticks,
        apart_seconds=words.apart_s,
        back_s=words.back_s,
    )
    pairs: list[FeedPair] = []
    takers: dict[str, FeedSide] = {}
    sink: FeedTaker = IntakeSink(intake, lambda: pairs[0].followed == names[0])
    telling = PairTelling(session.tell, intake.lose)
    for place, name in enumerate(names[:-1]):
        rest = "+".join(names[place + 1 :])
        first = place == 0
        pair = FeedPair(
            (name, rest),
            here.contract.name,
            sink,
            telling if first else PairTelling(session.tell, _tell_gap(sink)),
            limits,
            _NUMBERED & {name, rest},
            lambda: session.is_mending or not session.is_ready,
            here.clock.now,
        )
        pairs.append(pair)
        takers[name] = FeedSide(pair, name, intake if first else None)
        sink = takers[rest] = FeedSide(pair, rest)
    session.feed_fault = pairs[0].fault
    leader = (
        SierraFeed(here, takers["sierra"])
        if settings.feed == "sierra"
        else IqfeedFeed(here, takers["iqfeed"])
    )
    feeds: dict[str, tuple[Follower, FeedTaker]] = {settings.feed: (leader, takers[settings.feed])}
    for name in others:
        feeds[name] = _follower(here, name, takers[name], tap), takers[name]
    return FeedChain(leader, feeds, pairs)


def _tell_gap(sink: FeedTaker) -> Callable[[int, int], None]:
    """Let a pair within another one tell what went missing between its two as a gap of its own."""

    def tell(since: int, until: int) -> None:
        text = "trades are missing between two feeds"
        sink.on_notice(FeedNotice(FeedNoticeKind.GAP, text, since, until))

    return tell


def _follower(here: FeedPlace, name: str, side: FeedSide, tap: WireTap | None) -> Follower:
    if name == "sierra":
        return SierraFeed(here, side, leads=False)
    if name == "iqfeed":
        return IqfeedFeed(here, side)
    assert tap is not None
    return WireFeed(tap, here.market, here.contract, side, here.clock)

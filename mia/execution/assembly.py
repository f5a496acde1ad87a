"""Put the parts of a trading cycle together; entry points hold no logic of their own."""

from collections.abc import Mapping
from typing import NamedTuple

from mia._fast.market_state import MarketState
from mia.config.limits import EffectiveLimits
from mia.config.method import Cost, Fill, Group
from mia.config.settings import LoadedSettings
from mia.core import sessions
from mia.core.kernel_params import kernel_params
from mia.core.protocols import EventSink, SignalFilter
from mia.errors import ConfigError
from mia.execution.cycle_plugs import VixSource
from mia.execution.position.refused_trades import RefusedTrades
from mia.execution.simple_trader import SimpleTrader
from mia.execution.simulated_broker import SimulatedBroker
from mia.features.options_handover import SnapshotSource
from mia.strategies.proposals import group
from mia.strategies.session_facts import NewsWindow, no_news_calendar


class Plan(NamedTuple):
    """Settings fitted to the data of a run."""

    groups: Mapping[str, Group]
    limits: EffectiveLimits
    primary: str
    micro: str


def fit_settings(loaded: LoadedSettings, bar_width_s: int, *, options: bool = False) -> Plan:
    """Fit the groups of the method to the source.

    Parameters
    ----------
    loaded : LoadedSettings
    bar_width_s : int
        Width of ready-made bars, 0 for trades.
    options : bool
        Whether the run has option chains.

    Returns
    -------
    Plan
        The Battle Navale threshold is that of the mode, sources are those of the data, and the
        primary stream has the width of wider bars unless the user chose it.

    Raises
    ------
    ConfigError
        If the user chose a primary stream that the bars cannot feed.
    """
    settings, limits = loaded.settings, loaded.limits
    groups = dict(settings.groups())
    stream = settings.stream
    if bar_width_s:
        kind, _, argument = stream.primary.partition(":")
        fits = kind == "time" and int(argument) % bar_width_s == 0
        if not fits and "stream.primary" in loaded.origin:
            raise ConfigError(
                f"stream.primary {stream.primary} cannot be built from bars of {bar_width_s} s: "
                f"choose time:{bar_width_s} or a multiple"
            )
        if not fits:
            stream = stream.model_copy(update={"primary": f"time:{bar_width_s}"})
    groups["stream"] = stream
    groups["bn"] = settings.bn.model_copy(update={"score_threshold": limits.bn_score_threshold})
    groups["sources"] = settings.sources.model_copy(
        update={"trades": bar_width_s == 0, "book": False, "options": options}
    )
    return Plan(groups, limits, stream.primary, stream.micro)


def market_state(
    plan: Plan, first_session: int, last_session: int, bar_width_s: int, *, record: bool
) -> MarketState:
    """Make a fresh market state for data of the given sessions."""
    table = sessions.session_table(first_session, sessions.next_trading_day(last_session))
    state = MarketState(
        kernel_params(plan.groups),
        table,
        primary=plan.primary,
        micro=plan.micro,
        ready_made=bar_width_s > 0,
    )
    state.record = record
    return state


def simulated_broker(plan: Plan) -> SimulatedBroker:
    """Make a simulated exchange with the costs and fills of the settings."""
    return SimulatedBroker(group(plan.groups, "cost", Cost), group(plan.groups, "fill", Fill))


def followed_on_paper(plan: Plan, sink: EventSink) -> RefusedTrades:
    """Make what follows on paper the proposals that only the model refuses."""
    return RefusedTrades(lambda: simulated_broker(plan), plan.limits, plan.groups, sink)


def simulated_trader(
    plan: Plan,
    state: MarketState,
    sink: EventSink,
    *,
    vix: VixSource | None = None,
    news_window: NewsWindow = no_news_calendar,
    model: SignalFilter | None = None,
    options: SnapshotSource | None = None,
    send: bool = True,
) -> SimpleTrader:
    """Make the cycle with the simulated exchange as its broker.

    Parameters
    ----------
    send : bool
        False decides everything and sends nothing.
    """
    settings = plan.groups
    return SimpleTrader(
        state,
        simulated_broker(plan),
        plan.limits,
        settings,
        sink,
        vix=vix,
        news_window=news_window,
        model=model,
        refused=None if model is None else followed_on_paper(plan, sink),
        options=options,
        send=send,
    )

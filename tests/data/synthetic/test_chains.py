from pathlib import Path

import numpy as np
import pytest
from chain_samples import at, contracts

from mia.core.chain import Chain, Root
from mia.data.chains import ChainArchive
from mia.data.synthetic import SyntheticMarket
from mia.data.synthetic.chain_archive import spot_of_market, write_archive
from mia.data.synthetic.chain_listing import listed_series, third_friday
from mia.data.synthetic.chains import ChainPlan, SyntheticChains
from mia.data.synthetic.option_surface import QuadraticSmile, SviSmile
from mia.errors import UsageError

SPOT = 4700.0
THIRD_FRIDAY = 20240119
TIMES = [9 * 60 + 30, 12 * 60, 15 * 60 + 45]


def fixed(seed: int = 1, **plan: object) -> SyntheticChains:
    return SyntheticChains(lambda ts: SPOT, seed, ChainPlan(**plan))  # type: ignore[arg-type]


def net_gamma(chain: Chain, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    strikes, where = np.unique(chain.strike[rows], return_inverse=True)
    signed = (chain.right * chain.open_interest * chain.vendor_gamma)[rows]
    return strikes, np.bincount(where, signed)


def walls(chains: SyntheticChains, time: int, spot: float) -> tuple[float, float]:
    """Find the strikes of largest net gamma by their definition."""
    chain = chains.chain(time)
    strikes, net = net_gamma(chain, chain.settle_ns - time <= 45 * 86_400 * 10**9)
    clear = 0.25 * chains.expected_move(spot)
    above, below = strikes >= spot + clear, strikes <= spot - clear
    return float(strikes[above][net[above].argmax()]), float(strikes[below][net[below].argmin()])


def test_the_same_seed_gives_the_same_chain_and_another_seed_another() -> None:
    first, again, other = (fixed(seed).chain(at(720)) for seed in (1, 1, 2))
    assert first.open_interest.tobytes() == again.open_interest.tobytes()
    assert first.bid.tobytes() == again.bid.tobytes()
    assert first.open_interest.tobytes() != other.open_interest.tobytes()


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("day", [20240117, THIRD_FRIDAY])
def test_the_planted_walls_are_the_strikes_of_largest_net_gamma_all_day(
    seed: int, day: int
) -> None:
    chains = fixed(seed)
    for minutes in TIMES:
        truth = chains.truth(at(minutes, day))
        assert walls(chains, at(minutes, day), SPOT) == (truth.call_wall, truth.put_wall)


@pytest.mark.parametrize("flip", [-1.0, -0.3, 0.5])
def test_naive_gamma_changes_its_sign_at_the_planted_level(flip: float) -> None:
    chains = fixed(flip=flip)
    truth = chains.truth(at(9 * 60 + 30))
    planted = SPOT + flip * chains.expected_move(SPOT)
    assert truth.flip == pytest.approx(planted, abs=0.2)
    assert (truth.gex_usd_per_pct > 0.0) == (truth.flip < SPOT)


def test_the_exposure_at_the_spot_is_the_sum_over_the_chain() -> None:
    chains = fixed()
    chain, truth = chains.chain(at(720)), chains.truth(at(720))
    total = float((chain.right * chain.open_interest * chain.vendor_gamma).sum())
    assert truth.gex_usd_per_pct == pytest.approx(total * 100.0 * SPOT**2 * 0.01, rel=1e-12)


@pytest.mark.parametrize("smile", [QuadraticSmile(), SviSmile()])
def test_mid_prices_obey_parity_exactly_without_ticks_and_closely_with_them(
    smile: QuadraticSmile | SviSmile,
) -> None:
    for tick_quotes, tolerance in ((False, 1e-9), (True, 0.101)):
        chain = fixed(tick_quotes=tick_quotes, smile=smile).chain(at(720))
        put, call = chain.right < 0, chain.right > 0
        assert contracts(chain)[0][:3] == contracts(chain)[1][:3]
        mid = 0.5 * (chain.bid + chain.ask)
        years = (chain.settle_ns[call] - at(720)) / (365 * 86_400 * 1e9)
        forward = SPOT * np.exp((0.045 - 0.014) * years)
        parity = np.exp(-0.045 * years) * (forward - chain.strike[call])
        live = (chain.bid[put] > 0.0) & (chain.bid[call] > 0.0)
        assert np.abs(mid[call] - mid[put] - parity)[live].max() < tolerance


def test_quotes_are_two_sided_where_the_option_is_worth_a_tick() -> None:
    chain = fixed().chain(at(720))
    assert (chain.ask > chain.bid).all()
    assert (chain.bid >= 0.0).all()
    near = np.abs(chain.strike - SPOT) < 100.0
    assert (chain.bid[near & (chain.settle_ns > at(0, 20240120))] > 0.0).all()


def test_a_third_friday_has_am_and_pm_series_of_the_same_strikes() -> None:
    chain = fixed().chain(at(9 * 60, THIRD_FRIDAY))
    today = chain.expiry == THIRD_FRIDAY
    am, pm = (today & (chain.root == root) for root in (Root.SPX, Root.SPXW))
    assert chain.strike[am].tolist() == chain.strike[pm].tolist()
    assert set(chain.settle_ns[am]) == {at(570, THIRD_FRIDAY)}
    assert set(chain.settle_ns[pm]) == {at(960, THIRD_FRIDAY)}
    later = fixed().chain(at(9 * 60 + 30, THIRD_FRIDAY))
    assert not ((later.expiry == THIRD_FRIDAY) & (later.root == Root.SPX)).any()
    assert not (fixed().chain(at(960, THIRD_FRIDAY)).expiry == THIRD_FRIDAY).any()


def test_every_cash_day_has_a_series_that_expires_on_it_and_closed_days_have_none() -> None:
    for day in (20240116, 20240117, 20240118, 20240119):
        assert (Root.SPXW, day) in {(s.root, s.expiry) for s in listed_series(day)}
    assert 20240115 not in {series.expiry for series in listed_series(20240112)}
    assert third_friday(2019, 4) == 20190418


def test_volume_grows_over_the_day() -> None:
    chains = fixed()
    volumes = [chains.chain(at(minutes)).volume.sum() for minutes in TIMES]
    assert volumes[0] == 0.0
    assert volumes == sorted(set(volumes))


@pytest.mark.parametrize(
    "plan", [{"flip": 3.0}, {"put_wall": 0.0, "flip": -1.0}, {"wall_factor": 1.0}]
)
def test_plans_that_cannot_hold_are_refused(plan: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        ChainPlan(**plan)  # type: ignore[arg-type]


def test_the_index_follows_the_futures_less_carry() -> None:
    market = SyntheticMarket(5, 20240117, 1, trades_per_day=500)
    spot = spot_of_market(market)(at(720))
    tape = market.tape(0)
    k = np.searchsorted(tape.block.ts_event, at(720), side="right") - 1
    years = (at(570, 20240315) - at(720)) / (365 * 86_400 * 1e9)
    assert spot == pytest.approx(tape.latent[k] * 0.25 * np.exp(-0.031 * years), rel=1e-12)
    with pytest.raises(UsageError, match="begins after"):
        spot_of_market(market)(at(720, 20240110))


def test_an_archive_tells_each_session_what_was_known(tmp_path: Path) -> None:
    # The Monday is a holiday of the stocks.
    market = SyntheticMarket(5, 20240112, 3, trades_per_day=500)
    plan = ChainPlan(strike_step=25)
    truths = write_archive(tmp_path, market, plan, step_minutes=60)
    archive = ChainArchive(tmp_path)
    chains = list(archive.chains(0, 2**62))
    assert len(truths) == 2 * 7
    assert [entry.kind for entry in archive.entries()] == (["oi"] + ["chain"] * 7) * 2
    assert not archive.issues
    quoted = [c for c in chains if c.meta.received_at == c.meta.quotes_asof + 10**9]
    assert [c.meta.quotes_asof for c in quoted] == [truth.ts for truth in truths]
    assert [c.meta.oi_session for c in quoted] == [20240111] * 7 + [20240112] * 7
    assert not any(np.isnan(c.open_interest).any() for c in quoted)
    for chain, truth in zip(quoted, truths, strict=True):
        strikes, net = net_gamma(
            chain, chain.settle_ns - chain.meta.quotes_asof <= 45 * 86_400 * 10**9
        )
        assert net[strikes == truth.call_wall].tolist() in ([], [net.max()])


def test_an_archive_written_again_is_the_same(tmp_path: Path) -> None:
    plan = ChainPlan(strike_step=100)
    names = []
    for folder in ("a", "b"):
        market = SyntheticMarket(5, 20240117, 1, trades_per_day=500)
        write_archive(tmp_path / folder, market, plan, step_minutes=180)
        names.append(sorted(path.name for path in (tmp_path / folder).rglob("*.zst")))
    assert names[0] == names[1]

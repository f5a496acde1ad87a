from collections.abc import Sequence

import numpy as np
import pytest
from chain_samples import SECOND, at, contracts, small_chain
from hypothesis import given, settings
from hypothesis import strategies as st

from mia.core.chain import Root
from mia.data.chains import Contract
from mia.data.chains.rotation import LineRotation, RotationLimits, rank_contracts
from mia.errors import DataError

START = at(12 * 60)
STEP = SECOND // 10


def made(count: int) -> list[Contract]:
    return [Contract(Root.SPXW, 20240119, 4000.0 + 5.0 * k, 1) for k in range(count)]


class Lines:
    """A broker that grants lines and notes what happens, in order."""

    def __init__(self) -> None:
        self.open: set[Contract] = set()
        self.requests: list[tuple[str, Contract]] = []
        self.wants_oi: dict[Contract, bool] = {}
        self.most = 0

    def subscribe(self, contract: Contract, open_interest: bool) -> None:
        assert contract not in self.open
        self.open.add(contract)
        self.most = max(self.most, len(self.open))
        self.requests.append(("subscribe", contract))
        self.wants_oi[contract] = open_interest

    def cancel(self, contract: Contract) -> None:
        self.open.remove(contract)
        self.requests.append(("cancel", contract))


def rotation(
    broker: Lines, chosen: Sequence[Contract], *, read_open_interest: bool = False, **limits: float
) -> LineRotation:
    shares = np.ones(len(chosen)) / max(len(chosen), 1)
    return LineRotation(
        broker,
        chosen,
        shares,
        RotationLimits(**limits),  # type: ignore[arg-type]
        read_open_interest=read_open_interest,
    )


def test_contracts_are_ranked_by_gamma_times_open_interest() -> None:
    chain = small_chain()
    chosen, shares = rank_contracts(chain, chain.vendor_gamma, limit=50)
    weight = dict(
        zip(contracts(chain), (chain.vendor_gamma * chain.open_interest).tolist(), strict=True)
    )
    values = [weight[tuple(contract)] for contract in chosen]
    assert values == sorted(weight.values(), reverse=True)[:50]
    np.testing.assert_allclose(shares, np.array(values) / sum(weight.values()), rtol=1e-12)


def test_contracts_nobody_holds_or_trades_are_left_out() -> None:
    chain = small_chain()
    chosen, _ = rank_contracts(chain, np.where(chain.right > 0, np.nan, 1.0), limit=10**6)
    assert {contract.right for contract in chosen} == {-1}
    held = dict(zip(contracts(chain), chain.open_interest.tolist(), strict=True))
    traded = dict(zip(contracts(chain), chain.volume.tolist(), strict=True))
    assert all(held[tuple(c)] >= 10 or traded[tuple(c)] > 0 for c in chosen)


@settings(max_examples=30)
@given(
    st.integers(1, 60),
    st.integers(1, 20),
    st.floats(5.0, 60.0),
    st.lists(st.booleans(), min_size=60, max_size=60),
)
def test_a_sweep_reads_every_contract_once_within_the_limits(
    count: int, budget: int, rate: float, answers: list[bool]
) -> None:
    chosen = made(count)
    lines = Lines()
    turn = rotation(lines, chosen, lines=budget, requests_per_s=rate, dwell_s=1.0)
    now, steps, sent = START, 0, [0]
    while turn.sweeps == 0 and steps < 5000:
        turn.advance(now)
        for contract in sorted(lines.open):
            if answers[chosen.index(contract)]:
                turn.on_quote(contract, 1.0, 1.2, now)
        sent.append(len(lines.requests))
        now += STEP
        steps += 1
    assert turn.sweeps == 1
    first = [contract for kind, contract in lines.requests if kind == "subscribe"][:count]
    assert first == chosen
    assert lines.most <= budget
    window = 10
    for k in range(len(sent) - window):
        assert sent[k + window] - sent[k] <= 2.0 * rate + 1.0


def test_a_line_moves_on_when_quoted_or_after_its_dwell() -> None:
    chosen = made(3)
    lines = Lines()
    turn = rotation(lines, chosen, lines=1, dwell_s=4.0)
    turn.advance(START)
    turn.on_quote(chosen[0], 1.0, np.nan, START)
    turn.advance(START + SECOND)
    assert lines.open == {chosen[0]}
    turn.on_quote(chosen[0], np.nan, 1.5, START + SECOND)
    turn.advance(START + SECOND)
    assert lines.open == {chosen[1]}
    turn.advance(START + 4 * SECOND)
    assert lines.open == {chosen[1]}
    turn.advance(START + 5 * SECOND)
    assert lines.open == {chosen[2]}


def test_the_first_sweep_waits_for_open_interest_and_later_ones_do_not() -> None:
    (contract,) = chosen = made(1)
    lines = Lines()
    turn = rotation(lines, chosen, read_open_interest=True)
    turn.advance(START)
    assert lines.wants_oi[contract]
    turn.on_quote(contract, 1.0, 1.2, START)
    turn.advance(START + STEP)
    assert lines.open == {contract}
    turn.on_open_interest(contract, 250.0)
    turn.advance(START + 2 * STEP)
    assert turn.sweeps == 1
    assert not lines.wants_oi[contract]
    assert turn.chain(START + 2 * STEP, 20240116).open_interest.tolist() == [250.0]


def test_a_chain_has_the_fresh_quotes_and_is_as_old_as_the_oldest() -> None:
    chosen = made(4)
    lines = Lines()
    turn = rotation(lines, chosen, stale_s=60.0, dwell_s=100.0)
    turn.advance(START)
    turn.on_quote(chosen[0], 1.0, 1.2, START)
    turn.on_quote(chosen[1], 1.0, 1.2, START + 30 * SECOND)
    turn.on_quote(chosen[2], 1.4, 1.2, START + 40 * SECOND)
    turn.on_volume(chosen[1], 7.0)
    chain = turn.chain(START + 70 * SECOND, 20240116)
    assert chain.strike.tolist() == [4005.0, 4010.0]
    assert (chain.meta.quotes_asof, chain.meta.received_at) == (
        START + 30 * SECOND,
        START + 70 * SECOND,
    )
    assert not chain.meta.complete
    assert chain.meta.captured_share == pytest.approx(0.5)
    np.testing.assert_array_equal(chain.bid, [1.0, np.nan])
    np.testing.assert_array_equal(chain.volume, [7.0, np.nan])
    assert chain.settle_ns.tolist() == [at(960, 20240119)] * 2


def test_without_a_fresh_quote_there_is_no_chain() -> None:
    turn = rotation(Lines(), made(2))
    with pytest.raises(DataError, match="let a sweep pass first"):
        turn.chain(START, 20240116)


def test_a_side_of_the_last_sweep_does_not_complete_this_one() -> None:
    (contract,) = chosen = made(1)
    lines = Lines()
    turn = rotation(lines, chosen)
    turn.advance(START)
    turn.on_quote(contract, 1.0, 1.2, START)
    turn.advance(START + SECOND)
    turn.on_quote(contract, 2.0, np.nan, START + SECOND + 1)
    turn.advance(START + SECOND + 2)
    assert turn.sweeps == 1
    assert lines.open == {contract}
    turn.on_quote(contract, np.nan, 2.2, START + SECOND + 3)
    assert turn.chain(START + SECOND + 3, 20240116).bid.tolist() == [2.0]


def test_quotes_of_lines_that_are_closed_do_not_count() -> None:
    turn = rotation(Lines(), made(2), lines=1)
    turn.advance(START)
    turn.on_quote(made(2)[1], 1.0, 1.2, START)
    turn.on_quote(Contract(Root.SPX, 20240119, 1.0, 1), 1.0, 1.2, START)
    with pytest.raises(DataError, match="no quote"):
        turn.chain(START, 20240116)


def test_a_missing_side_is_a_quote_of_zero() -> None:
    (contract,) = chosen = made(1)
    turn = rotation(Lines(), chosen)
    turn.advance(START)
    turn.on_quote(contract, -1.0, 0.05, START)
    assert turn.chain(START, 20240116).bid.tolist() == [0.0]


def test_stopping_closes_every_line_and_starts_over_later() -> None:
    lines = Lines()
    turn = rotation(lines, made(5), lines=3)
    turn.advance(START)
    turn.stop()
    assert not lines.open
    assert turn.open_lines == 0
    turn.advance(START + SECOND)
    assert lines.open == set(made(3))
    assert turn.sweeps == 0


def test_a_rotation_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(DataError, match="each once"):
        rotation(Lines(), [])
    with pytest.raises(DataError, match="each once"):
        rotation(Lines(), made(1) * 2)
    with pytest.raises(DataError, match="2 contracts but 1 shares"):
        LineRotation(Lines(), made(2), np.ones(1))
    with pytest.raises(DataError, match="must be positive"):
        RotationLimits(lines=0)


def test_open_interest_that_did_not_come_is_asked_for_again_and_is_no_captured_share() -> None:
    chosen = made(4)
    lines = Lines()
    turn = rotation(lines, chosen, read_open_interest=True, dwell_s=1.0)
    now = START
    while turn.sweeps < 1:
        turn.advance(now)
        for contract in lines.open:
            turn.on_quote(contract, 1.0, 1.2, now)
            if contract is not chosen[2]:
                turn.on_open_interest(contract, 100.0)
        now += STEP
    chain = turn.chain(now, 20240118)
    assert len(chain) == 4
    assert chain.meta.captured_share == pytest.approx(0.75)
    lines.wants_oi.clear()
    turn.advance(now)
    assert lines.wants_oi == {contract: contract is chosen[2] for contract in chosen}
    turn.on_quote(chosen[2], 1.0, 1.2, now)
    turn.on_open_interest(chosen[2], 0.0)
    assert turn.chain(now, 20240118).meta.captured_share == pytest.approx(1.0)

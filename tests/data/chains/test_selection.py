from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest
from chain_samples import small_chain

from mia.core.chain import Chain
from mia.data.chains.rotation import rank_contracts
from mia.data.chains.selection import FOR_PAIRS, PAIRS, choose_contracts
from mia.data.synthetic.chains import SyntheticChains
from mia.features.options_exposure import positioning
from mia.features.options_feed import static_quality


def part(chain: Chain, contracts, shares) -> Chain:
    wanted = {tuple(contract) for contract in contracts}
    keys = zip(
        *(getattr(chain, name).tolist() for name in ("root", "expiry", "strike", "right")),
        strict=True,
    )
    rows = np.array([key in wanted for key in keys])
    columns = {
        f.name: getattr(chain, f.name)[rows]
        for f in fields(Chain)
        if f.name not in ("meta", "issues")
    }
    meta = replace(chain.meta, complete=False, captured_share=float(shares.sum()))
    return Chain(meta=meta, issues=(), **columns)


@pytest.fixture(scope="module")
def whole() -> Chain:
    return SyntheticChains(lambda ts: 5600.0, 7).chain(1_741_615_200 * 10**9)


def test_a_selection_is_of_use_where_a_ranking_is_not(whole: Chain) -> None:
    chosen, shares = choose_contracts(whole, whole.vendor_gamma, limit=2400)
    found = positioning(part(whole, chosen, shares))
    assert static_quality(found) == pytest.approx(shares.sum())
    assert shares.sum() > 0.6
    full = positioning(whole)
    assert (found.call_wall, found.put_wall) == (full.call_wall, full.put_wall)
    assert found.flip == pytest.approx(full.flip, rel=0.01)
    ranked = rank_contracts(whole, whole.vendor_gamma, limit=2400)
    assert static_quality(positioning(part(whole, *ranked))) == 0.0


def test_every_chosen_expiry_has_its_pairs_and_the_largest_contracts_come_first(
    whole: Chain,
) -> None:
    chosen, shares = choose_contracts(whole, whole.vendor_gamma, limit=500)
    assert len(chosen) == len(set(chosen)) == 500
    assert (np.diff(shares) <= 0).all()
    both = Counter((c.root, c.expiry, c.strike) for c in chosen)
    series = {(c.root, c.expiry) for c in chosen}
    pairs = Counter(key[:2] for key, count in both.items() if count == 2)
    assert all(pairs[key] >= PAIRS for key in series)
    assert len(series) * 2 * PAIRS <= FOR_PAIRS * 500


def test_what_has_settled_or_is_not_listed_is_not_chosen(whole: Chain) -> None:
    first, second = np.unique(whole.settle_ns)[:2].tolist()
    listed = whole.strike % 25 == 0
    chosen, _ = choose_contracts(whole, whole.vendor_gamma, limit=800, after=first, listed=listed)
    assert chosen
    assert all(contract.strike % 25 == 0 for contract in chosen)
    gone = set(whole.expiry[whole.settle_ns == first].tolist())
    kept = set(whole.expiry[whole.settle_ns >= second].tolist())
    assert {contract.expiry for contract in chosen}.isdisjoint(gone - kept)


def test_a_chain_without_quotes_gives_nothing() -> None:
    chain = small_chain()
    bare = replace(chain, bid=np.full(len(chain), np.nan))
    assert choose_contracts(bare, chain.vendor_gamma)[0] == []

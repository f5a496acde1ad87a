import asyncio
from dataclasses import replace

import numpy as np
import pytest
from chain_samples import DAY, at, contracts, small_chain

from mia.core.chain import Chain
from mia.data.chains import (
    ArchiveProvider,
    Capabilities,
    ChainRequest,
    CompositeProvider,
    merge_chains,
    parse_chain,
)
from mia.data.chains.merging import combine
from mia.data.synthetic.chain_payloads import occ_text
from mia.errors import DataError

NAMES = ("root", "settle_ns", "expiry", "strike", "right", "bid", "ask", "open_interest",
         "volume", "vendor_iv", "vendor_delta", "vendor_gamma")  # fmt: skip


def taken(chain: Chain, rows: np.ndarray, **changes: object) -> Chain:
    columns = {name: getattr(chain, name)[rows] for name in NAMES}
    return replace(chain, **columns, meta=replace(chain.meta, **changes))


def without_open_interest(chain: Chain) -> Chain:
    return replace(chain, open_interest=np.full(len(chain), np.nan))


OI = parse_chain(occ_text(small_chain()), "occ", received_at=at(6 * 60 + 45))
QUOTES = without_open_interest(small_chain())


def test_every_contract_gets_its_own_open_interest() -> None:
    merged = merge_chains(OI, QUOTES)
    assert contracts(merged) == contracts(small_chain())
    np.testing.assert_array_equal(merged.open_interest, small_chain().open_interest)
    np.testing.assert_array_equal(merged.bid, QUOTES.bid)
    assert merged.meta.quotes_asof == QUOTES.meta.quotes_asof
    assert merged.meta.oi_session == OI.meta.oi_session
    assert dict(merged.meta.provenance)["open_interest"] == "occ"
    assert dict(merged.meta.provenance)["bid"] == "synthetic"


def test_both_orders_of_arrival_are_known_from_the_later_one() -> None:
    later = replace(OI, meta=replace(OI.meta, received_at=at(20 * 60)))
    assert merge_chains(OI, QUOTES).meta.received_at == QUOTES.meta.received_at
    assert merge_chains(later, QUOTES).meta.received_at == at(20 * 60)


def test_a_contract_without_open_interest_of_that_source_is_unknown_there() -> None:
    rows = np.arange(len(OI)) % 2 == 0
    merged = merge_chains(taken(OI, rows), small_chain())
    held = dict(zip(contracts(merged), merged.open_interest.tolist(), strict=True))
    known = set(contracts(taken(OI, rows)))
    assert all((contract in known) != np.isnan(value) for contract, value in held.items())


def test_a_contract_without_a_quote_is_kept_unquoted_in_a_whole_chain() -> None:
    rows = np.arange(len(QUOTES)) % 3 > 0
    merged = merge_chains(OI, taken(QUOTES, rows))
    assert contracts(merged) == contracts(small_chain())
    assert np.isnan(merged.bid).sum() == (~rows).sum()
    assert np.nansum(merged.open_interest) == small_chain().open_interest.sum()


def test_a_selection_stays_one() -> None:
    rows = np.arange(len(QUOTES)) % 3 > 0
    merged = merge_chains(OI, taken(QUOTES, rows, complete=False, captured_share=0.8))
    assert len(merged) == rows.sum()
    assert merged.meta.captured_share == 0.8


def test_an_empty_side_does_no_harm() -> None:
    none = taken(OI, np.zeros(len(OI), bool))
    assert np.isnan(merge_chains(none, QUOTES).open_interest).all()
    nothing = taken(QUOTES, np.zeros(len(QUOTES), bool))
    assert np.isnan(merge_chains(OI, nothing).bid).all()


def test_the_newer_open_interest_wins() -> None:
    quotes = small_chain()
    older = replace(OI, meta=replace(OI.meta, oi_session=20240112))
    assert combine(older, quotes) is quotes
    assert combine(None, quotes) is quotes
    assert combine(OI, quotes).meta.source == "synthetic+occ"
    assert combine(older, QUOTES).meta.oi_session == 20240112


class Fixed:
    """A source that counts how often it is asked."""

    def __init__(self, chain: Chain, has_open_interest: bool, has_quotes: bool) -> None:
        self.capabilities = Capabilities(has_open_interest, has_quotes, True, True, 90, 5.0)
        self.chain = chain
        self.asked = 0

    async def open_interest(self, at: int) -> Chain:
        self.asked += 1
        return self.chain

    async def snapshot(self, want: ChainRequest) -> Chain:
        self.asked += 1
        return self.chain


def test_two_sources_make_one_and_open_interest_is_asked_for_once_an_hour() -> None:
    oi, quotes = Fixed(OI, True, False), Fixed(QUOTES, False, True)
    both = CompositeProvider(oi, quotes)
    times = [at(12 * 60), at(12 * 60 + 15), at(12 * 60 + 59), at(13 * 60)]
    chains = [asyncio.run(both.snapshot(ChainRequest(time))) for time in times]
    assert (oi.asked, quotes.asked) == (2, 4)
    np.testing.assert_array_equal(chains[0].open_interest, small_chain().open_interest)
    assert both.capabilities == Capabilities(True, True, True, True, 90, 5.0)


def test_sources_that_lack_their_part_are_refused() -> None:
    oi, quotes = Fixed(OI, True, False), Fixed(QUOTES, False, True)
    with pytest.raises(DataError, match="swap the two sources"):
        CompositeProvider(quotes, quotes)
    with pytest.raises(DataError, match="swap the two sources"):
        CompositeProvider(oi, oi)


class History:
    def latest(self, at: int) -> Chain | None:
        return small_chain() if at >= small_chain().meta.received_at else None


def test_an_archive_serves_what_it_knew() -> None:
    provider = ArchiveProvider(History())
    assert asyncio.run(provider.snapshot(ChainRequest(at(800, DAY)))) is small_chain()
    assert asyncio.run(provider.open_interest(at(800, DAY))) is small_chain()
    with pytest.raises(DataError, match="no chain received by"):
        asyncio.run(provider.snapshot(ChainRequest(at(600, DAY))))

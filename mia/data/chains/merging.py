"""Put the open interest of one chain beside the quotes of another."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mia.core.chain import Chain

QUOTE_COLUMNS = ("bid", "ask", "volume", "vendor_iv", "vendor_delta", "vendor_gamma")
KEY = ("root", "settle_ns", "expiry", "strike", "right")


def has_quotes(chain: Chain) -> bool:
    """Tell whether a chain is of a source of quotes, be they all zero."""
    return not (np.isnan(chain.bid) & np.isnan(chain.ask)).all()


def has_open_interest(chain: Chain) -> bool:
    """Tell whether any open interest is known."""
    return not np.isnan(chain.open_interest).all()


def _keys(chain: Chain) -> NDArray[np.int64]:
    """Return one number for each contract: root, expiry, strike and right side by side."""
    thousandths = np.rint(chain.strike * 1000.0).astype(np.int64)
    series = chain.root.astype(np.int64) << 27 | chain.expiry.astype(np.int64)
    return series << 28 | thousandths << 1 | (chain.right > 0)


def merge_chains(open_interest: Chain, quotes: Chain) -> Chain:
    """Return the quotes of one chain with the open interest of another.

    Contracts are matched on root, expiry, strike and right. One that has quotes only has unknown
    open interest, not that of its own source, which may be of another session. One that has open
    interest only is kept, unquoted, if `quotes` is a whole chain and it has not settled.

    Returns
    -------
    Chain
        Known since the later of the two was received; `meta.provenance` names both sources.
    """
    ours, theirs = _keys(quotes), _keys(open_interest)
    order = np.argsort(theirs, kind="stable")
    at = np.searchsorted(theirs, ours, sorter=order)
    at = order[np.minimum(at, len(order) - 1)] if len(order) else np.zeros(len(ours), np.intp)
    matched = theirs[at] == ours if len(order) else np.zeros(len(ours), bool)
    held = np.full(len(quotes), np.nan)
    held[matched] = open_interest.open_interest[at[matched]]

    extra = np.zeros(len(open_interest), bool)
    if quotes.meta.complete:
        extra[:] = True
        extra[at[matched]] = False
        extra &= open_interest.settle_ns > quotes.meta.quotes_asof
    added = np.flatnonzero(extra)
    unknown = np.full(len(added), np.nan)
    columns = {
        name: np.concatenate([getattr(quotes, name), getattr(open_interest, name)[added]])
        for name in KEY
    }
    columns["open_interest"] = np.concatenate([held, open_interest.open_interest[added]])
    for name in QUOTE_COLUMNS:
        columns[name] = np.concatenate([getattr(quotes, name), unknown])
    rows = np.lexsort(tuple(columns[name] for name in reversed(KEY)))
    oi_source, quote_source = open_interest.meta.source, quotes.meta.source
    return Chain(
        meta=replace(
            quotes.meta,
            source=f"{quote_source}+{oi_source}",
            oi_session=open_interest.meta.oi_session,
            received_at=max(quotes.meta.received_at, open_interest.meta.received_at),
            provenance=(
                ("open_interest", oi_source),
                *((name, quote_source) for name in QUOTE_COLUMNS),
            ),
        ),
        issues=quotes.issues + open_interest.issues,
        **{name: column[rows] for name, column in columns.items()},
    )


def combine(open_interest: Chain | None, quotes: Chain) -> Chain:
    """Return `quotes` with the newest open interest of both; on a tie that made for it."""
    if open_interest is None or not has_open_interest(open_interest):
        return quotes
    if has_open_interest(quotes) and quotes.meta.oi_session > open_interest.meta.oi_session:
        return quotes
    return merge_chains(open_interest, quotes)

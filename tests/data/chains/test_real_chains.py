"""Files of Cboe as users downloaded them, with the figures that were counted in them."""

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from mia.core.chain import Chain
from mia.data.chains import read_chain

FOLDER = Path(os.environ.get("MIA_REAL_DATA", ".")) / "spx_chains"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="MIA_REAL_DATA names no folder with spx_chains"
)

# File; index, quotes, arrival; rows, expiries, expired rows and expiries; OI, volume and bids of
# calls and puts, the last three counted before expired series were dropped.
FILES = [
    ("spx_chain_20220323_spanish_intraday.csv", 4479.0898, "2022-03-23T13:56", "2022-03-23T14:11",
     9501, 41, 0, 0, (4_520_318, 8_873_303), (9_089, 9_190)),
    ("spx_chain_20220712_padded_intraday.csv", 3856.28, "2022-07-12T15:40", "2022-07-12T15:55",
     9689, 47, 0, 0, (5_887_479, 9_828_886), (9_006, 9_313)),
    ("spx_chain_20230405_overnight_bad.csv", 4090.3799, "2023-04-05T20:15", "2023-04-05T23:41",
     9210, 51, 151, 1, (5_766_894, 11_058_170), (237, 232)),
    ("spx_chain_20230520_unquoted_thirdfriday.csv", 4191.98, "2023-05-19T20:15",
     "2023-05-20T15:33", 8963, 49, 676, 1, (6_684_132, 13_316_773), (8_170, 8_028)),
    ("spx_chain_20240107_known_answer.csv", 4697.2402, "2024-01-05T21:15", "2024-01-07T15:52",
     10519, 55, 223, 1, (6_138_491, 11_959_919), (9_857, 9_853)),
]  # fmt: skip


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def sides(chain: Chain, values: np.ndarray) -> tuple[float, float]:
    return float(values[chain.right > 0].sum()), float(values[chain.right < 0].sum())


@pytest.mark.parametrize("case", FILES, ids=[case[0] for case in FILES])
def test_a_real_file_gives_its_figures(case: tuple) -> None:
    name, index, quotes, arrival, rows, expiries, expired, gone, held, quoted = case
    chain = read_chain(FOLDER / name)
    assert chain.meta.index_print == index
    assert (chain.meta.quotes_asof, chain.meta.received_at) == (ns(quotes), ns(arrival))
    assert len(chain) == 2 * (rows - expired)
    assert len(np.unique(chain.expiry)) == expiries - gone
    assert (chain.settle_ns > chain.meta.quotes_asof).all()
    counted = sides(chain, chain.open_interest)
    bids = sides(chain, (chain.bid > 0.0).astype(float))
    if expired:
        assert all(0 < mine < all_ for mine, all_ in zip(counted, held, strict=True))
        assert all(mine <= all_ for mine, all_ in zip(bids, quoted, strict=True))
    else:
        assert (counted, bids) == (held, quoted)
    # Read at a time when all series were alive, the figures are those of the whole file.
    whole = read_chain(FOLDER / name, quotes_asof=ns(quotes[:10]))
    assert len(whole) == 2 * rows
    assert sides(whole, whole.open_interest) == held


def test_the_expired_series_of_a_third_friday_are_counted_by_root() -> None:
    chain = read_chain(FOLDER / "spx_chain_20230520_unquoted_thirdfriday.csv")
    dropped = {issue.text: issue.reason for issue in chain.issues if "expired" in issue.reason}
    assert set(dropped) == {"SPX 20230519", "SPXW 20230519"}


def test_crossed_quotes_of_a_weekend_file_are_named() -> None:
    chain = read_chain(FOLDER / "spx_chain_20240107_known_answer.csv")
    crossed = [issue for issue in chain.issues if issue.reason == "quote is crossed"]
    assert len(crossed) == 2
    assert np.isnan(chain.bid).sum() == np.isnan(chain.ask).sum() == 2


def test_the_published_total_of_gamma_comes_out() -> None:
    chain = read_chain(FOLDER / "spx_chain_20240107_known_answer.csv")
    signed = np.nansum(chain.right * chain.vendor_gamma * chain.open_interest)
    assert signed * 100 * 4697.2402**2 * 0.01 == pytest.approx(-10.9987e9, abs=1e5)

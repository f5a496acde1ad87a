"""Fetch Cboe's delayed quotes of SPX, only for a user who has accepted their terms.

The terms, as far as they are known: the quotes are free and delayed by about 15 minutes; they
are for personal, non-commercial use; pulling them automatically is reserved, and they must not
be redistributed. The address is not documented and may stop working. Nothing here runs unless a
user asks for it and says that he accepts the terms, and one answer (13 MB) is fetched at most
every 15 minutes, because the quotes change no sooner in a way that matters to positioning.
"""

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable

from mia.data.chains.archive import ArchivedPayload, ChainArchive
from mia.data.chains.reading import MAX_BYTES
from mia.errors import DataError, UsageError

URL = "https://cdn.cboe.com/api/global/delayed_quotes/options/_SPX.json"
SOURCE = "cboe-json"
MIN_INTERVAL_S = 900
TIMEOUT_S = 60.0
SECOND = 1_000_000_000


def download(url: str) -> bytes:
    """Return what an address answers.

    Raises
    ------
    DataError
        If it cannot be had.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "mia-trading (personal use)"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            content: bytes = answer.read(MAX_BYTES)
    except (OSError, urllib.error.URLError, http.client.HTTPException) as error:
        raise DataError(f"cannot fetch {url}: {error}") from None
    return content


def fetch_into(
    archive: ChainArchive,
    now: int,
    *,
    accept_terms: bool,
    download: Callable[[str], bytes] = download,
) -> ArchivedPayload:
    """Fetch the chain once and archive it as received.

    Parameters
    ----------
    archive : ChainArchive
        It also tells when the last answer came, over restarts.
    now : int
        ns UTC.
    accept_terms : bool
        The user's own statement that the terms above are accepted.
    download : callable
        From an address to its content.

    Raises
    ------
    UsageError
        If the terms are not accepted.
    DataError
        If the last answer is less than 15 minutes old, or nothing can be fetched.
    FormatError
        If the answer is no chain; it is kept in the archive's quarantine.
    """
    if not accept_terms:
        raise UsageError(
            "Cboe's delayed quotes are for personal, non-commercial use and must not be "
            "redistributed: accept these terms to fetch them"
        )
    previous = [entry for entry in archive.entries() if entry.source == SOURCE]
    if previous:
        age = (now - previous[-1].received_at) / SECOND
        if age < MIN_INTERVAL_S:
            raise DataError(
                f"the last answer of Cboe is {age:.0f} s old: wait until {MIN_INTERVAL_S} s"
            )
    return archive.put(download(URL), now, SOURCE, name=URL)

"""Payloads kept as received, so that a backtest sees what was known and when.

One zstd file per payload, ``20240105/20240105T211500.000000000Z_chain_cboe-csv_<sha256>.zst``;
the name is the index. The folder is the date in UTC; ``oi`` stands for payloads without quotes.
"""

import hashlib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from mia.core.chain import Chain, ChainIssue
from mia.data.chains.merging import combine, has_quotes
from mia.data.chains.reading import parse_chain, unpack
from mia.data.files import reading, replace_file
from mia.errors import DataError, FormatError

SECOND = 1_000_000_000
QUARANTINE = "quarantine"
SOURCE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
NAME = re.compile(
    r"(\d{8}T\d{6})\.(\d{9})Z_(chain|oi)_([a-z0-9.+-]+)_([0-9a-f]{64})(?:_asof(\d{1,19}))?\.zst"
)


@dataclass(frozen=True, slots=True, order=True)
class ArchivedPayload:
    """One file of an archive, as its name tells.

    Attributes
    ----------
    received_at : int
        ns UTC.
    path : Path
    kind : str
        ``chain`` with quotes, ``oi`` without.
    source : str
    sha256 : str
        Of the payload, hex.
    quotes_asof : int or None
        Given by the user, ns UTC.
    """

    received_at: int
    path: Path
    kind: str
    source: str
    sha256: str
    quotes_asof: int | None = None


class ChainArchive:
    """Raw payloads in a folder.

    Parameters
    ----------
    folder : Path or str
        Need not exist; the first `put` makes it.

    Attributes
    ----------
    issues : list of ChainIssue
        Files that were passed over because they are damaged.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.issues: list[ChainIssue] = []
        self._entries: list[ArchivedPayload] | None = None
        self._read: dict[str, tuple[Path, Chain]] = {}

    def put(
        self,
        payload: bytes,
        received_at: int | None = None,
        source: str | None = None,
        *,
        quotes_asof: int | None = None,
        name: str = "payload",
    ) -> ArchivedPayload:
        """Keep a payload; the same one again changes nothing.

        Parameters
        ----------
        payload : bytes
            As received, of any format that `parse_chain` knows.
        received_at, source, quotes_asof
            See `read_chain`.
        name : str
            For messages.

        Raises
        ------
        FormatError
            If it is no chain; it is then kept under ``quarantine`` with the reason beside it.
        DataError
            If it cannot be written.
        """
        digest = hashlib.sha256(payload).hexdigest()
        if source is not None and not SOURCE.fullmatch(source):
            raise DataError(f"source {source!r} must be of a-z, 0-9, dot, plus and hyphen")
        try:
            chain = parse_chain(
                payload, name, received_at=received_at, source=source, quotes_asof=quotes_asof
            )
        except FormatError as error:
            self._set_aside(payload, digest, str(error))
            raise
        entry = self._entry(chain, digest, quotes_asof)
        if not entry.path.is_file():
            with replace_file(entry.path) as temporary:
                temporary.write_bytes(_pack(payload))
        if self._entries is not None and entry not in self._entries:
            self._entries.insert(bisect_right(self._entries, entry), entry)
        return entry

    def entries(self) -> list[ArchivedPayload]:
        """List the payloads by the time at which they were received.

        The folder is read once; what other processes add later needs another `ChainArchive`.
        """
        if self._entries is None:
            found = (_parse_name(path) for path in self.folder.glob("*/*.zst"))
            self._entries = sorted(entry for entry in found if entry is not None)
        return list(self._entries)

    def chains(self, start: int, end: int, *, merged: bool = True) -> Iterator[Chain]:
        """Yield what became known from `start` up to but without `end`, ns UTC, in that order.

        Parameters
        ----------
        start, end : int
        merged : bool
            Whether quotes carry the newest open interest known by then, and new open interest
            is shown with the newest quotes; if not, each payload is yielded as it is.

        Notes
        -----
        A damaged payload is passed over and noted in `issues`.
        """
        entries = self.entries()
        first = bisect_left(entries, start, key=lambda entry: entry.received_at)
        held: dict[str, Chain | None] = {"chain": None, "oi": None}
        if merged:
            held = {kind: self._newest(entries[:first], kind) for kind in held}
        for entry in entries[first:]:
            if entry.received_at >= end:
                return
            chain = self._open(entry)
            if chain is None:
                continue
            held[entry.kind] = chain
            yield _known(held["chain"], held["oi"]) or chain if merged else chain

    def latest(self, at: int) -> Chain | None:
        """Return what was known at `at` (ns UTC): the newest quotes with the newest open interest.

        None if nothing had been received by then.
        """
        entries = self.entries()
        entries = entries[: bisect_right(entries, at, key=lambda entry: entry.received_at)]
        return _known(self._newest(entries, "chain"), self._newest(entries, "oi"))

    def _newest(self, entries: list[ArchivedPayload], kind: str) -> Chain | None:
        for entry in reversed(entries):
            if entry.kind == kind:
                chain = self._open(entry)
                if chain is not None:
                    return chain
        return None

    def _open(self, entry: ArchivedPayload) -> Chain | None:
        held = self._read.get(entry.kind)
        if held is not None and held[0] == entry.path:
            return held[1]
        try:
            with reading(entry.path):
                payload = unpack(entry.path.read_bytes())
            if hashlib.sha256(payload).hexdigest() != entry.sha256:
                raise FormatError("the content is not that of its name")
            chain = parse_chain(
                payload,
                entry.path.name,
                received_at=entry.received_at,
                source=entry.source,
                quotes_asof=entry.quotes_asof,
            )
        except DataError as error:
            issue = ChainIssue(entry.path.name, 0, f"damaged: {error}")
            if issue not in self.issues:
                self.issues.append(issue)
            return None
        self._read[entry.kind] = (entry.path, chain)
        return chain

    def _entry(self, chain: Chain, digest: str, quotes_asof: int | None) -> ArchivedPayload:
        meta = chain.meta
        kind = "chain" if has_quotes(chain) else "oi"
        moment = datetime.fromtimestamp(meta.received_at // SECOND, UTC)
        stamp = f"{moment:%Y%m%dT%H%M%S}.{meta.received_at % SECOND:09d}Z"
        given = "" if quotes_asof is None else f"_asof{quotes_asof}"
        path = (
            self.folder / f"{moment:%Y%m%d}" / f"{stamp}_{kind}_{meta.source}_{digest}{given}.zst"
        )
        return ArchivedPayload(meta.received_at, path, kind, meta.source, digest, quotes_asof)

    def _set_aside(self, payload: bytes, digest: str, reason: str) -> None:
        path = self.folder / QUARANTINE / f"{digest}.bin"
        with replace_file(path) as temporary:
            temporary.write_bytes(payload)
        with replace_file(path.with_suffix(".txt")) as temporary:
            temporary.write_text(reason + "\n", encoding="utf-8")


def _known(quotes: Chain | None, open_interest: Chain | None) -> Chain | None:
    return open_interest if quotes is None else combine(open_interest, quotes)


def _pack(payload: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(payload)
    return bytes(sink.getvalue())


def _parse_name(path: Path) -> ArchivedPayload | None:
    found = NAME.fullmatch(path.name)
    if found is None:
        return None
    stamp, fraction, kind, source, digest, asof = found.groups()
    try:
        moment = datetime.strptime(stamp, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    received_at = int(moment.timestamp()) * SECOND + int(fraction)
    return ArchivedPayload(
        received_at, path, kind, source, digest, None if asof is None else int(asof)
    )

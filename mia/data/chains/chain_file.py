"""Chains in files of our own: Parquet with the provenance in its metadata."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mia.core.chain import Chain, ChainIssue, ChainMeta
from mia.data.chains.payload import Payload
from mia.data.files import reading, replace_file
from mia.errors import FormatError

MAGIC = b"PAR1"
META_KEY = b"mia_chain"
VERSION = 1
SCHEMA = pa.schema(
    [
        ("root", pa.int8()),
        ("settle_ns", pa.int64()),
        ("expiry", pa.int32()),
        ("strike", pa.float64()),
        ("right", pa.int8()),
        ("bid", pa.float64()),
        ("ask", pa.float64()),
        ("open_interest", pa.float64()),
        ("volume", pa.float64()),
        ("vendor_iv", pa.float64()),
        ("vendor_delta", pa.float64()),
        ("vendor_gamma", pa.float64()),
    ]
)


def save_chain(path: Path | str, chain: Chain) -> None:
    """Write a chain; the file is either whole or as it was.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    with replace_file(Path(path)) as temporary:
        temporary.write_bytes(to_bytes(chain))


def load_chain(path: Path | str) -> Chain:
    """Read a chain that `save_chain` wrote.

    Raises
    ------
    DataError
        If the file cannot be read.
    FormatError
        If it is damaged or not of this format.
    """
    path = Path(path)
    with reading(path):
        content = path.read_bytes()
    return parse(Payload(path.name, content))


def to_bytes(chain: Chain) -> bytes:
    """Return the content of a file that holds a chain."""
    header = {
        "version": VERSION,
        "meta": asdict(chain.meta),
        "issues": [asdict(issue) for issue in chain.issues],
    }
    table = pa.table([getattr(chain, name) for name in SCHEMA.names], schema=SCHEMA)
    table = table.replace_schema_metadata({META_KEY: json.dumps(header).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue())


def recognises(content: bytes) -> bool:
    """Tell whether a payload is Parquet."""
    return content.startswith(MAGIC)


def parse(payload: Payload) -> Chain:
    """Read a payload.

    Raises
    ------
    FormatError
        If it is damaged or not of this format.
    """
    name = payload.name
    try:
        table = pq.read_table(pa.BufferReader(payload.content), page_checksum_verification=True)
        header = json.loads((table.schema.metadata or {})[META_KEY])
        meta, issues = _header(header)
    except KeyError:
        raise FormatError(f"{name} is Parquet but no chain of ours") from None
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise FormatError(f"{name} is damaged ({reason:.120}): save it again") from None
    if not table.schema.remove_metadata().equals(SCHEMA) or any(
        column.null_count for column in table.columns
    ):
        raise FormatError(f"{name} has other columns than a chain")
    changes: dict[str, Any] = {
        "received_at": payload.received_at,
        "quotes_asof": payload.quotes_asof,
        "source": payload.source,
    }
    meta = replace(meta, **{key: value for key, value in changes.items() if value is not None})
    chain = Chain(
        meta=meta,
        issues=issues,
        **{column: table[column].to_numpy() for column in SCHEMA.names},
    )
    if not _is_ordered(chain):
        raise FormatError(f"{name} is damaged: its contracts are not in order")
    return chain


def _header(header: dict[str, Any]) -> tuple[ChainMeta, tuple[ChainIssue, ...]]:
    if header["version"] != VERSION:
        raise ValueError(f"version {header['version']} of the format, known is {VERSION}")
    meta = ChainMeta(**header["meta"])
    provenance = tuple((str(column), str(source)) for column, source in meta.provenance)
    return replace(meta, provenance=provenance), tuple(
        ChainIssue(**issue) for issue in header["issues"]
    )


def _is_ordered(chain: Chain) -> bool:
    if not (np.isin(chain.root, (0, 1)).all() and np.isin(chain.right, (-1, 1)).all()):
        return False
    keys = (chain.right, chain.strike, chain.expiry, chain.settle_ns, chain.root)
    return bool((np.lexsort(keys) == np.arange(len(chain))).all())

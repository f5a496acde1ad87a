"""Read an option chain from a file or payload of any known format."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from mia.core.chain import Chain
from mia.data.chains import cboe_csv, cboe_json, chain_file, occ_text
from mia.data.chains.payload import Payload
from mia.data.files import reading
from mia.errors import FormatError

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
MAX_BYTES = 256 << 20

ADAPTERS: tuple[tuple[Callable[[bytes], bool], Callable[[Payload], Chain]], ...] = (
    (chain_file.recognises, chain_file.parse),
    (cboe_json.recognises, cboe_json.parse),
    (cboe_csv.recognises, cboe_csv.parse),
    (occ_text.recognises, occ_text.parse),
)


def parse_chain(
    content: bytes,
    name: str,
    *,
    received_at: int | None = None,
    source: str | None = None,
    quotes_asof: int | None = None,
) -> Chain:
    """Read a payload; `name` is for messages, for the rest see `read_chain`."""
    payload = Payload(name, content, received_at, quotes_asof, source)
    for recognises, parse in ADAPTERS:
        if recognises(content):
            return parse(payload)
    raise FormatError(
        f"{name} is no option chain: known are quotes of Cboe (CSV, JSON, page), "
        "open interest of OCC, and our Parquet"
    )


def read_chain(
    path: Path | str,
    *,
    received_at: int | None = None,
    source: str | None = None,
    quotes_asof: int | None = None,
) -> Chain:
    """Read an option chain from a file, whatever its name says.

    Parameters
    ----------
    path : Path or str
        A file as downloaded, or compressed with zstd.
    received_at : int, optional
        When it was received, ns UTC; by default what the file itself says.
    source : str, optional
        Name for the source, by default the adapter's.
    quotes_asof : int, optional
        Exchange time of the quotes, ns UTC, for a file whose date cannot be read. Without
        `received_at` it is taken to have arrived as soon as the delay of its source allows.

    Raises
    ------
    DataError
        If the file cannot be read.
    FormatError
        If it is truncated, of no known format, of another underlying, or has no readable date
        and none is given.
    """
    path = Path(path)
    with reading(path):
        content = unpack(path.read_bytes())
    return parse_chain(
        content, path.name, received_at=received_at, source=source, quotes_asof=quotes_asof
    )


def unpack(content: bytes) -> bytes:
    """Return content, decompressed if it is a zstd frame.

    Raises
    ------
    OSError
        If the frame is damaged or would be larger than any chain.
    """
    if not content.startswith(ZSTD_MAGIC):
        return content
    with pa.input_stream(pa.py_buffer(content), compression="zstd") as stream:
        unpacked: bytes = stream.read(MAX_BYTES + 1)
    if len(unpacked) > MAX_BYTES:
        raise OSError(f"unpacks to more than {MAX_BYTES >> 20} MiB")
    return unpacked

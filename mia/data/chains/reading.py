"""Read an option chain from a file or payload of any known format."""

from pathlib import Path

import pyarrow as pa

from mia.core.chain import Chain
from mia.data.chains import cboe_csv
from mia.data.chains.payload import Payload
from mia.data.files import reading
from mia.errors import FormatError

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def parse_chain(
    content: bytes,
    name: str,
    *,
    received_at: int | None = None,
    source: str | None = None,
    quotes_asof: int | None = None,
) -> Chain:
    """Read a payload; see `read_chain`."""
    payload = Payload(name, content, received_at, quotes_asof, source)
    if cboe_csv.recognises(content):
        return cboe_csv.parse(payload)
    raise FormatError(f"{name} is no option chain")


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
        Exchange time of the quotes, ns UTC, for a file whose date cannot be read.

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
        content = path.read_bytes()
        if content.startswith(ZSTD_MAGIC):
            content = pa.input_stream(pa.py_buffer(content), compression="zstd").read()
    return parse_chain(
        content, path.name, received_at=received_at, source=source, quotes_asof=quotes_asof
    )

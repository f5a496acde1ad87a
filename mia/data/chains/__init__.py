"""Option chains: adapters that translate, one normaliser, providers and an archive of payloads."""

from mia.data.chains.archive import ArchivedPayload, ChainArchive
from mia.data.chains.chain_file import load_chain, save_chain
from mia.data.chains.merging import merge_chains
from mia.data.chains.providers import (
    ArchiveProvider,
    Capabilities,
    ChainProvider,
    ChainRequest,
    CompositeProvider,
    Contract,
)
from mia.data.chains.reading import parse_chain, read_chain

__all__ = [
    "ArchiveProvider",
    "ArchivedPayload",
    "Capabilities",
    "ChainArchive",
    "ChainProvider",
    "ChainRequest",
    "CompositeProvider",
    "Contract",
    "load_chain",
    "merge_chains",
    "parse_chain",
    "read_chain",
    "save_chain",
]

"""Option chains: adapters that translate, one normaliser, providers and an archive of payloads."""

from mia.data.chains.reading import parse_chain, read_chain

__all__ = ["parse_chain", "read_chain"]

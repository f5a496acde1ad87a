"""Market data on disk: store, importers, synthetic market."""

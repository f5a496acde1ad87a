"""Readers of market-data files, one module per format.

A reader is ``read(path, options, log, progress)``, a generator of `RawTrades` or `RawBars` in
the order of the file. It holds one chunk at a time, tells the log which rows could not be
parsed and what it decided, and raises `FormatError` for a file that it should not have been
given. Judging the values is left to the store.

`mia.data.importers.detect` says which reader a file needs and calls it.
"""

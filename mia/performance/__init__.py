"""Analysis of results: statistics, files, report."""

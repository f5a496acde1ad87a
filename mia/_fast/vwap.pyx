"""Session VWAP."""

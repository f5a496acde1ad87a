"""The trading cycle, risk, and brokers."""

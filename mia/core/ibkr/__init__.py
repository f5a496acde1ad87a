"""A connection to TWS or IB Gateway, below `mia.core.ibkr_connector`."""

"""IQFeed's sockets and messages, below `mia.core.iqfeed_connector`."""

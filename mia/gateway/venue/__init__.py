"""The exchange and the accounts."""

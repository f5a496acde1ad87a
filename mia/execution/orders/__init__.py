"""Orders as we know them: ledger, sender, reports, protection; below the order manager."""

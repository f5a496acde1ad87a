"""Parts of the watchdog: the trader's life, the account, the hand on the kill switch."""

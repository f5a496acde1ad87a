"""Files that Sierra Chart writes, below `mia.core.sierra_connector`."""

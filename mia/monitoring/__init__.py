"""Watching over what runs and what it leaves: backups."""

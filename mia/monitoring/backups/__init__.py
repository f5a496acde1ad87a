"""Parts of backups: objects, restoring, retention, the schedule."""

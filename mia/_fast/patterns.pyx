"""Bar patterns."""

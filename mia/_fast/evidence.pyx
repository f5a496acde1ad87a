"""Evidence detectors and the five ES patterns."""

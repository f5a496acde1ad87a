"""Progressive machine learning: labels, purged validation, promotion, registry, and inference."""

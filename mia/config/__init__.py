"""Settings, profiles and instruments."""

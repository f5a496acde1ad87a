"""Cumulative volume delta."""

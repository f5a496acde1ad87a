"""Triggers of the strategies."""

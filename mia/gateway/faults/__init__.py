"""Failures on request."""

"""Tuning: measure launch parameters on this machine, keep the fastest, and find them for a run."""

DEFAULT_SECONDS = 45.0
"""The time of a search."""

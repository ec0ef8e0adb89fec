"""Execution spaces, and the memory of host and GPU."""

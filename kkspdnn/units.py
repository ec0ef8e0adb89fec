"""Units of what people read and type."""

GB = 10**9
"""Bytes of a gigabyte, as of the option --memory."""

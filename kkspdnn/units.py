"""Units of numbers in options and messages."""

GB = 10**9
"""The number of bytes of a gigabyte, the unit of memory budgets."""

MB = 10**6
"""The number of bytes of a megabyte."""

"""Units of numbers, and numbers with their nouns, in options and messages."""

GB = 10**9
"""The number of bytes of a gigabyte, the unit of memory budgets."""

MB = 10**6
"""The number of bytes of a megabyte."""


def plural(number: int, noun: str) -> str:
    """Return a number with its noun, such as "1 thread" and "60,000 rows"."""
    return f"{number:,} {noun}{'s' if number != 1 else ''}"

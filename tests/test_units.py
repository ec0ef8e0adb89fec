"""Tests of numbers with their nouns."""

from __future__ import annotations

from kkspdnn.units import plural


def test_numbers_with_their_nouns() -> None:
    assert (plural(1, "row"), plural(60_000, "row")) == ("1 row", "60,000 rows")

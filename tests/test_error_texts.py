"""Texts of errors."""

from __future__ import annotations

import pytest

from kkspdnn.errors import printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("two options, \x1b[1mdo those\x1b[0m", "two options, do those"),
        ("\x1b[38;5;1mred\x1b[m \x1b[2K\rline", "red line"),
        ("a\x00b\x07c\x7fd\x9be", "abcde"),
        ("\x1b]0;title\x07", "]0;title"),
        ("lines\n\tand tabs, é ✓", "lines\n\tand tabs, é ✓"),
    ],
)
def test_control_characters_are_removed(text: str, expected: str) -> None:
    assert printable(text) == expected

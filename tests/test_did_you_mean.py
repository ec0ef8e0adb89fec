"""Texts of error messages."""

from __future__ import annotations

import pytest

from kkspdnn.errors import did_you_mean


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("--thread", " (did you mean --threads?)"),
        ("sapce", " (did you mean space?)"),
        ("frob", ""),
        ("", ""),
    ],
)
def test_the_known_word_that_is_most_like_it(word: str, text: str) -> None:
    assert did_you_mean(word, ["--threads", "--type", "space"]) == text


def test_no_known_words() -> None:
    assert did_you_mean("space", []) == ""

"""Indented lines of Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

_INDENT = "    "


class PythonWriter:
    """Collects the lines of one Python file, and makes names that no workunit has."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._depth = 0
        self._numbers = count()

    def put(self, text: str = "") -> None:
        """Add one line."""
        self.lines.append(_INDENT * self._depth + text if text else "")

    @contextmanager
    def block(self, text: str) -> Iterator[None]:
        """Add a line that opens a block, such as `if x:`; the lines of the `with` are its body."""
        self.put(text)
        self._depth += 1
        first = len(self.lines)
        yield
        if len(self.lines) == first:
            self.put("pass")
        self._depth -= 1

    def name(self, word: str) -> str:
        """Return a new name; names of workunits do not begin with an underscore."""
        return f"_{word}_{next(self._numbers)}"

    def text(self) -> str:
        """All lines."""
        return "\n".join(self.lines) + "\n"

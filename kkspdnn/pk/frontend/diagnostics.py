"""One error for everything the workunit language refuses, and one way to show it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import NoReturn

from kkspdnn.errors import KkspdnnError


class WorkunitError(KkspdnnError, TypeError):
    """A workunit that the language does not take.

    The text is `file:line: what`, the source line, a caret below the place, and what to write
    instead.
    """


@dataclass(frozen=True)
class SourceFile:
    """A Python file and its lines, for messages and `#line`."""

    path: str
    lines: tuple[str, ...]

    def refuse(self, node: ast.AST, what: str, instead: str) -> NoReturn:
        """Raise the WorkunitError for `node`."""
        line = getattr(node, "lineno", 1)
        column = getattr(node, "col_offset", 0)
        same_line = getattr(node, "end_lineno", line) == line
        end = getattr(node, "end_col_offset", column + 1) if same_line else column + 1
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        # ast counts columns in UTF-8 bytes; the caret stands under characters.
        before = len(text.encode()[:column].decode(errors="replace"))
        width = max(1, len(text.encode()[column:end].decode(errors="replace")))
        indent = "".join(c if c == "\t" else " " for c in text[:before])
        raise WorkunitError(
            f"{self.path}:{line}: {what}\n    {text}\n    {indent}{'^' * width}\n  {instead}"
        )

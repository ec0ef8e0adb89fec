"""Compile errors and warnings of workunits, with their source location."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass, field
from typing import Any, NoReturn

from kkspdnn.errors import KkspdnnError


class WorkunitError(KkspdnnError, TypeError):
    """A workunit uses a construct that is not in the language.

    The message is `file:line: problem`, the source line, a caret below the source location, and
    what to write instead.
    """


class WorkunitWarning(UserWarning):
    """A workunit computes something else than the same Python code."""


@dataclass(frozen=True)
class SourceFile:
    """The path and the lines of a Python file.

    registry: of `warnings`, so that a line is warned of once
    """

    path: str
    lines: tuple[str, ...]
    registry: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def warn(self, node: ast.AST, problem: str, hint: str) -> None:
        """Issue a WorkunitWarning for `node`; hint: what to write instead."""
        warnings.warn_explicit(
            f"{problem}: {hint}",
            WorkunitWarning,
            self.path,
            getattr(node, "lineno", 1),
            registry=self.registry,
        )

    def refuse(self, node: ast.AST, problem: str, hint: str) -> NoReturn:
        """Raise the WorkunitError for `node`; hint: what to write instead."""
        line = getattr(node, "lineno", 1)
        column = getattr(node, "col_offset", 0)
        same_line = getattr(node, "end_lineno", line) == line
        end = getattr(node, "end_col_offset", column + 1) if same_line else column + 1
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        # ast counts columns in UTF-8 bytes; the caret is placed by characters.
        before = len(text.encode()[:column].decode(errors="replace"))
        width = max(1, len(text.encode()[column:end].decode(errors="replace")))
        indent = "".join(c if c == "\t" else " " for c in text[:before])
        raise WorkunitError(
            f"{self.path}:{line}: {problem}\n    {text}\n    {indent}{'^' * width}\n  {hint}"
        )

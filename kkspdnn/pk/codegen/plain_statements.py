"""PyKokkos source of the statements that have the same form in Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kkspdnn.pk import ir
from kkspdnn.pk.codegen.python_expressions import annotation, bare, expression
from kkspdnn.pk.codegen.python_writer import PythonWriter


class PlainStatements:
    """Writes statements. Subclasses write those that need more, in any block."""

    def __init__(self, writer: PythonWriter) -> None:
        self.out = writer

    def block(self, statements: Sequence[Any]) -> None:
        """Write statements."""
        for statement in statements:
            self.statement(statement)

    def statement(self, s: Any) -> None:
        """Write a loop, a branch with its blocks, or a statement of one line."""
        out = self.out
        match s:
            case ir.If():
                with out.block(f"if {bare(s.test)}:"):
                    self.block(s.body)
                if s.orelse:
                    with out.block("else:"):
                        self.block(s.orelse)
            case ir.While():
                with out.block(f"while {bare(s.test)}:"):
                    self.block(s.body)
            case ir.For():
                with out.block(_loop_header(s)):
                    self.block(s.body)
            case ir.Compaction():
                self.statement(s.loop)
            case _:
                out.put(_line(s))


def _loop_header(s: ir.For) -> str:
    step = "" if s.step == ir.Constant(1, s.step.type) else f", {bare(s.step)}"
    return f"for {s.variable} in range({bare(s.begin)}, {bare(s.end)}{step}):"


def _line(s: ir.Stmt) -> str:
    match s:
        case ir.Declare():
            return f"{s.name}: {annotation(s.type)} = {bare(s.value)}"
        case ir.DeclareArray():
            values = ", ".join(bare(v) for v in s.values)
            return f"{s.name}: List[pk.{s.element.name}] = [{values}]"
        case ir.Assign(op="/=") if not s.target.type.is_float:  # PyKokkos has no //=
            return f"{expression(s.target)} = {expression(s.target)} // {expression(s.value)}"
        case ir.Assign():
            return f"{expression(s.target)} {s.op} {bare(s.value)}"
        case ir.Evaluate():
            return expression(s.value)
        case ir.Barrier():
            return f"{s.team}.team_barrier()"
        case ir.Jump():
            return s.keyword
        case ir.ReturnValue():
            return f"return {bare(s.value)}"
    raise AssertionError(s)

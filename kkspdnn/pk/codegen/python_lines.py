"""PyKokkos source of statements of one line."""

from __future__ import annotations

from typing import Final

from kkspdnn.pk import ir
from kkspdnn.pk.codegen.python_expressions import annotation, bare, expression

_AUGMENTED: Final = frozenset({"+=", "-=", "*=", "%=", "<<=", ">>=", "&=", "|=", "^="})


def loop_header(s: ir.For) -> str:
    """Return the line that opens a loop."""
    step = "" if s.step == ir.Constant(1, s.step.type) else f", {bare(s.step)}"
    return f"for {s.variable} in range({bare(s.begin)}, {bare(s.end)}{step}):"


def simple_statement(s: ir.Stmt) -> str:
    """Return a statement of one line."""
    match s:
        case ir.Declare():
            return f"{s.name}: {annotation(s.type)} = {bare(s.value)}"
        case ir.DeclareArray():
            values = ", ".join(bare(v) for v in s.values)
            return f"{s.name}: List[pk.{s.element.name}] = [{values}]"
        case ir.Assign(op=op) if op == "=" or op in _AUGMENTED:
            return f"{expression(s.target)} {op} {bare(s.value)}"
        case ir.Assign():  # only //=
            return f"{expression(s.target)} = {expression(s.target)} // {expression(s.value)}"
        case ir.Evaluate():
            return expression(s.value)
        case ir.Barrier():
            return f"{s.team}.team_barrier()"
        case ir.Jump():
            return s.keyword
        case ir.ReturnValue():
            return f"return {bare(s.value)}"
    raise AssertionError(s)

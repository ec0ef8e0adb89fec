"""Vectorization of compaction: a loop that appends the nonzero elements of a row to a list.

    for r in range(n):
        y: pk.cpp_auto = dense[i][r]
        if y != 0.0:
            index[o] = r
            value[o] = y
            o += 1

On a CPU with AVX-512 a vector of elements is compressed at once, and no branch depends on data.
"""

from __future__ import annotations

from kkspdnn.pk import ir
from kkspdnn.pk.passes.walk import reads, subexpressions
from kkspdnn.pk.types import INT16, INT32, INT64, UINT16, UINT32

_NUMBERS = (INT16, UINT16, INT32, UINT32)
"""The types of row numbers that `lanes::compact` stores."""

_CURSORS = (INT32, INT64)
"""The types of cursors; shorter ones may wrap around in the loop."""


def compact_loop(loop: ir.For) -> ir.For | ir.Compaction:
    """Return a loop as a Compaction if it has this form, else the loop itself."""
    if loop.begin != ir.Constant(0, INT32) or loop.step != ir.Constant(1, INT32):
        return loop
    match loop.body:
        case (
            ir.Declare(name=name, type=type_, value=ir.Element() as source),
            ir.If(
                test=ir.Binary(op="!=", left=ir.Name(name=tested), right=ir.Constant(value=0)),
                body=(
                    ir.Assign(target=ir.Element() as number, op="=", value=ir.Name(name=stored)),
                    ir.Assign(target=ir.Element() as value, op="=", value=ir.Name(name=kept)),
                    ir.Assign(target=ir.Name() as cursor, op="+=", value=ir.Constant(value=1)),
                ),
                orelse=(),
            ),
        ) if (
            (tested, stored, kept) == (name, loop.variable, name)
            and type_.is_float
            and source.type == value.type == type_
            and number.type in _NUMBERS
            and cursor.type in _CURSORS
            and number.indices == value.indices == (cursor,)
            and _is_row(source, loop.variable, cursor.name)
            and not any(each.local for each in (source, number, value))
        ):
            *row, _ = source.indices
            first = ir.Element(source.array, (*row, loop.begin), source.type, local=False)
            return ir.Compaction(loop.line, loop, first, number, value, cursor)
    return loop


def _is_row(source: ir.Element, variable: str, cursor: str) -> bool:
    """Return whether the last index of an element is the loop variable, and the others do not
    change in the loop: they read no view, which the loop may write."""
    *row, last = source.indices
    return (
        isinstance(last, ir.Name)
        and last.name == variable
        and not any(reads(index, name) for index in row for name in (variable, cursor))
        and not any(
            isinstance(each, ir.Element | ir.Call | ir.Atomic)
            for index in row
            for each in subexpressions(index)
        )
    )

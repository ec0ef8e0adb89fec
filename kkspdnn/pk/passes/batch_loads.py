"""Batching of loads on a GPU: a loop over edges loads the activations of several edges at a time.

A warp issues its instructions in order, and waits at the first one whose operands are still being
loaded. A loop that loads an index, loads the activation at this index, and adds it, waits twice per
iteration. A batched loop loads the indices of `BATCH` iterations with one instruction, then all
their activations, and then computes the rest of the iterations, in their order. So the results are
the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kkspdnn.pk import ir
from kkspdnn.pk.passes.loop_invariance import is_invariant, modified_in
from kkspdnn.pk.passes.walk import nodes, reads, rewrite
from kkspdnn.pk.types import BOOL, INT32

BATCH = 8
"""Iterations of a batch: eight indices of 16 bits are one load of 16 bytes."""

_ACCESS_BYTES = 16
"""Bytes of the widest load of a thread."""

_NUMBER = ir.Name("_j", INT32)
"""The number of an iteration in its batch. Names of workunits do not begin with an underscore."""


def batch_loads(loop: ir.For) -> ir.For | ir.BatchedLoop:
    """Return a loop in a VectorRange that loads for `BATCH` iterations at a time, if it may.

    loop: with a vectorized body

    The body may only declare locals and assign to vectors: then no iteration changes a value that
    another one loads. It must load a vector whose address differs between iterations.
    """
    straight = all(
        isinstance(s, ir.Declare | ir.DeclareVector | ir.AssignVector) for s in loop.body
    )
    if loop.descending or loop.step != ir.Constant(1, INT32) or not straight:
        return loop
    batch = _Batch.of(loop)
    if not batch.vectors:
        return loop
    body = batch.body()
    rows = tuple(batch.rows.values())
    ahead = tuple(row for row in rows if not _reads_array(body, row.name))
    return ir.BatchedLoop(
        line=loop.line,
        loop=loop,
        width=BATCH,
        rows=rows,
        ahead=ahead,
        inner_rows=tuple(s for s in body if isinstance(s, ir.LoadRow)),
        vectors=tuple((each.array, each.type) for each in batch.vectors.values()),
        number=_NUMBER.name,
        loads=batch.loads(),
        body=body,
    )


@dataclass(frozen=True)
class _Batch:
    """The loads of a batch of iterations.

    rows: by the element that one iteration loads, the elements of all iterations
    vectors: by the load of one iteration, the vector of this iteration
    """

    loop: ir.For
    rows: dict[ir.Element, ir.LoadRow]
    vectors: dict[ir.VectorLoad, ir.VectorElement]

    @classmethod
    def of(cls, loop: ir.For) -> _Batch:
        modified = modified_in(loop)
        rows = dict.fromkeys(e for e in nodes(loop.body) if _is_row(e, loop.variable, modified))
        loads = dict.fromkeys(e for e in nodes(loop.body) if isinstance(e, ir.VectorLoad))
        differing = [e for e in loads if not is_invariant(e, modified)]
        return cls(
            loop,
            {e: ir.LoadRow(loop.line, f"_row{n}", e, BATCH) for n, e in enumerate(rows)},
            {e: ir.VectorElement(f"_vector{n}", _NUMBER, e.type) for n, e in enumerate(differing)},
        )

    def loads(self) -> tuple[ir.Stmt, ...]:
        """Return the statements that load the vectors of an iteration."""
        loads = [
            ir.AssignVector(self.loop.line, target, "=", load)
            for load, target in self.vectors.items()
        ]
        return self._in_iteration((*self._declarations(loads), *loads))

    def body(self) -> tuple[ir.Stmt, ...]:
        """Return the other statements of an iteration."""
        rest = [
            rewrite(s, lambda e: self.vectors.get(e) if isinstance(e, ir.VectorLoad) else None)
            for s in self.loop.body
            if not isinstance(s, ir.Declare)
        ]
        declarations = self._declarations(rest)
        statements = self._in_iteration((*declarations, *rest))
        local = {s.name for s in declarations if isinstance(s, ir.Declare)}
        rows = {
            e: row
            for e, row in _constant_rows(statements, self.loop.line, len(self.rows)).items()
            if not any(reads(e, name) for name in local)
        }
        return (*dict.fromkeys(rows.values()), *_with_rows(statements, rows))

    def _declarations(self, statements: Sequence[ir.Stmt]) -> tuple[ir.Stmt, ...]:
        """Return the declarations of the uniform locals that these statements read."""
        declared: list[ir.Stmt] = []
        for s in reversed(self.loop.body):
            if isinstance(s, ir.Declare) and reads((*statements, *declared), s.name):
                declared.insert(0, s)
        return tuple(declared)

    def _in_iteration(self, statements: tuple[ir.Stmt, ...]) -> tuple[ir.Stmt, ...]:
        """Return the statements for iteration `_NUMBER` of a batch, with the elements of rows."""
        variable = ir.Name(self.loop.variable, INT32)
        this = ir.Binary("+", variable, _NUMBER, INT32)
        new: tuple[ir.Stmt, ...] = rewrite(
            _with_rows(statements, self.rows), lambda e: this if e == variable else None
        )
        return new


def _is_row(e: Any, variable: str, modified: frozenset[str]) -> bool:
    """Whether the elements that consecutive iterations load are consecutive in a view."""
    if not isinstance(e, ir.Element) or e.local or e.type == BOOL or e.array in modified:
        return False
    *outer, last = e.indices
    terms = [last]
    if isinstance(last, ir.Binary) and last.op == "+" and last.type.is_signed:
        terms = [last.left, last.right]
    varying = [term for term in (*outer, *terms) if not is_invariant(term, modified)]
    return len(varying) == 1 and varying[0] == ir.Name(variable, INT32) and varying[0] in terms


def _reads_array(statements: tuple[ir.Stmt, ...], array: str) -> bool:
    return any(isinstance(e, ir.Element) and e.array == array for e in nodes(statements))


def _constant_rows(
    statements: tuple[ir.Stmt, ...], line: int, named: int
) -> dict[ir.Element, ir.LoadRow]:
    """Return the rows of views whose elements 0, 1, … the statements all load, by each element.

    named: number of rows that have a name already
    """
    elements = dict[tuple[str, tuple[ir.Expr, ...]], dict[int, ir.Element]]()
    for e in nodes(statements):
        if isinstance(e, ir.Element) and not e.local and e.type != BOOL:
            last = e.indices[-1]
            if isinstance(last, ir.Constant) and _NUMBER in nodes(e):
                elements.setdefault((e.array, e.indices[:-1]), {})[int(last.value)] = e
    rows: dict[ir.Element, ir.LoadRow] = {}
    for number, row in enumerate(elements.values()):
        first = row.get(0)
        if first is None or sorted(row) != list(range(len(row))):
            continue
        if len(row) * first.type.bits // 8 % _ACCESS_BYTES == 0:
            load = ir.LoadRow(line, f"_row{named + number}", first, len(row))
            rows |= dict.fromkeys(row.values(), load)
    return rows


def _with_rows(
    statements: tuple[ir.Stmt, ...], rows: dict[ir.Element, ir.LoadRow]
) -> tuple[ir.Stmt, ...]:
    """Return the statements with elements of the loaded rows."""

    def change(e: Any) -> ir.Element | None:
        if not isinstance(e, ir.Element) or e not in rows:
            return None
        last = e.indices[-1]
        number = last if isinstance(last, ir.Constant) else _NUMBER
        return ir.Element(rows[e].name, (number,), e.type, local=True)

    new: tuple[ir.Stmt, ...] = rewrite(statements, change)
    return new

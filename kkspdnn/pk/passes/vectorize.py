"""Vectorization: ThreadVectorRanges whose lanes may run on vectors become VectorRanges, and loops
that compact a row Compactions.

A vector is in SIMD registers on a CPU, and in several registers of a thread on a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kkspdnn.pk import ir
from kkspdnn.pk.passes.batch_loads import batch_loads
from kkspdnn.pk.passes.compact_loops import compact_loop
from kkspdnn.pk.passes.lanes import Lanes, find_lanes, is_gather
from kkspdnn.pk.passes.legality import obstacle
from kkspdnn.pk.passes.loop_invariance import hoist_address, modified_in
from kkspdnn.pk.passes.walk import nodes
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.types import UINT8, Scalar

BYTE_LOOP_UNROLL = 4
"""An iteration of a loop over bytes loads one register, an iteration over numbers four. Without
unrolling, incrementing the induction variable would cost as much as the load."""


_MAX_WIDE_LOCALS = 3
"""Up to this number of vectors that live through a lane function, each may have four of 16 SIMD
registers; with more they would be spilled."""


def vectorize(kernel: ir.Kernel, target: ExecutionSpace) -> ir.Kernel:
    """Return a workunit in which each ThreadVectorRange that may run on vectors is a VectorRange,
    and on a CPU each loop that compacts a row a Compaction.

    The other ranges run one lane at a time; `NestedPattern.scalar_because` has the reason.
    """
    return replace(kernel, body=_ranges(kernel.body, target))


def _ranges(body: Sequence[ir.Stmt], target: ExecutionSpace) -> tuple[ir.Stmt, ...]:
    return tuple(_range(s, target) for s in body)


def _range(s: ir.Stmt, target: ExecutionSpace) -> ir.Stmt:
    match s:
        case ir.For() if target is not ExecutionSpace.Cuda and compact_loop(s) is not s:
            return compact_loop(s)
        case ir.For() | ir.While():
            return replace(s, body=_ranges(s.body, target))
        case ir.If():
            return replace(s, body=_ranges(s.body, target), orelse=_ranges(s.orelse, target))
        case ir.NestedPattern(policy="ThreadVectorRange"):
            return _vector_range(s, target)
        case ir.NestedPattern():
            return replace(s, function=replace(s.function, body=_ranges(s.function.body, target)))
    return s


def _vector_range(
    nested: ir.NestedPattern, target: ExecutionSpace
) -> ir.VectorRange | ir.NestedPattern:
    lanes = _lanes(nested)
    if isinstance(lanes, Lanes):
        function, (count,) = nested.function, nested.bounds
        body = _Vectorizer(lanes, target).body(function.body)
        locals_ = sum(isinstance(s, ir.DeclareVector) for s in nodes(body))
        return ir.VectorRange(
            line=nested.line,
            team=nested.team,
            count=count,
            name=function.name,
            index=function.index,
            type=lanes.type,
            body=body,
            registers=4 if locals_ <= _MAX_WIDE_LOCALS else 1,
        )
    function = replace(nested.function, body=_ranges(nested.function.body, target))
    no_gather = target is not ExecutionSpace.Cuda and is_gather(nested)
    return replace(nested, function=function, scalar_because=lanes, no_gather=no_gather)


def _lanes(nested: ir.NestedPattern) -> Lanes | str:
    """The lanes of a range that may run on vectors, or the reason why it may not."""
    if nested.target is not None:
        return "a reduction over lanes"
    if len(nested.bounds) != 1:
        return "the range does not begin at 0"
    lanes = find_lanes(nested)
    if isinstance(lanes, str):
        return lanes
    return obstacle(nested.function.body, lanes) or lanes


@dataclass(frozen=True)
class _Vectorizer:
    """Rewrites a lane function that `legality` has accepted.

    modified: the variables and arrays that the innermost loop around the statements modifies
    """

    lanes: Lanes
    target: ExecutionSpace
    modified: frozenset[str] = frozenset()

    def body(self, statements: Sequence[ir.Stmt]) -> tuple[ir.Stmt, ...]:
        return tuple(new for s in statements for new in self.statement(s))

    def loop_body(self, loop: ir.For | ir.While) -> tuple[ir.Stmt, ...]:
        return replace(self, modified=modified_in(loop)).body(loop.body)

    def statement(self, s: ir.Stmt) -> Iterator[ir.Stmt]:
        lanes = self.lanes
        match s:
            case ir.Declare(name=name) if name in lanes.varying:
                yield ir.DeclareVector(s.line, name, s.type, self.value(s.value, s.type))
            case ir.Assign(target=ir.Name(name=name)) if name in lanes.varying:
                yield self.assignment(s)
            case ir.Assign(target=ir.Element() as target):
                yield ir.StoreVector(s.line, target, self.value(s.value))
            case ir.If() if lanes.varies(s.test):
                yield from self.masked(s)
            case ir.If():
                yield replace(s, body=self.body(s.body), orelse=self.body(s.orelse))
            case ir.While():
                yield replace(s, body=self.loop_body(s))
            case ir.For() if self.target is ExecutionSpace.Cuda:
                yield batch_loads(replace(s, body=self.loop_body(s)))
            case ir.For():
                unroll = BYTE_LOOP_UNROLL if self.is_byte_loop(s) else 1
                yield replace(s, body=self.loop_body(s), unroll=unroll)
            case _:
                yield s

    def masked(self, branch: ir.If) -> Iterator[ir.Stmt]:
        """If-conversion: each assignment of a branch, masked by its test."""
        test = branch.test
        assert isinstance(test, ir.Binary)
        mask = ir.VectorCompare(test.op, self.value(test.left), self.value(test.right))
        for s in branch.body:
            assert isinstance(s, ir.Assign)
            yield replace(self.assignment(s), mask=mask)

    def assignment(self, s: ir.Assign) -> ir.AssignVector:
        assert isinstance(s.target, ir.Name)
        target = ir.VectorName(s.target.name, s.target.type)
        return ir.AssignVector(s.line, target, s.op, self.value(s.value))

    def is_byte_loop(self, loop: ir.For) -> bool:
        """Return whether a loop only sums bytes, apart from computing their indices."""
        sums = [s for s in loop.body if not self.is_uniform_declaration(s)]
        return bool(sums) and all(
            isinstance(s, ir.Assign)
            and s.target.type == UINT8
            and isinstance(s.target, ir.Name)
            and s.target.name in self.lanes.varying
            for s in sums
        )

    def is_uniform_declaration(self, s: ir.Stmt) -> bool:
        return isinstance(s, ir.Declare) and s.name not in self.lanes.varying

    # ---- expressions --------------------------------------------------------------------------

    def value(self, e: ir.Expr, type_: Scalar | None = None) -> ir.VectorExpr:
        """An expression as a vector; type_: of the vector if the expression is uniform."""
        if not self.lanes.varies(e):
            return ir.Broadcast(e, type_ or self.lanes.type)
        match e:
            case ir.Name():
                return ir.VectorName(e.name, e.type)
            case ir.Element():
                return self.load(e)
            case ir.Binary():
                return ir.VectorBinary(e.op, self.operand(e.left), self.operand(e.right), e.type)
        raise AssertionError(f"{e} has no vector form")

    def operand(self, e: ir.Expr) -> ir.VectorExpr:
        value = self.value(e)
        return value if value.type == self.lanes.type else ir.Widen(value, self.lanes.type)

    def load(self, e: ir.Element) -> ir.VectorLoad:
        gpu = self.target is ExecutionSpace.Cuda
        return ir.VectorLoad(hoist_address(e, self.modified) if gpu else e, e.type)

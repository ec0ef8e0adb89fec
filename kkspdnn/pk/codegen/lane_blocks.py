"""PyKokkos source of a VectorRange: loops over blocks of lanes, with the loop over edges outside.

On a CPU PyKokkos runs the lanes of a ThreadVectorRange one after the other, and each of them loads
the index of each edge again. In a block of lanes, local arrays hold the vectors, an index is loaded
once for all lanes, and g++ turns each loop over lanes into SIMD instructions. For that

- a block has two loops, one for each half of its lanes. With one loop, g++ applies
  -floop-unroll-and-jam and does not vectorize over lanes;
- a floating-point operation under a condition is computed in all lanes, in a loop before;
- rows of views and scalars are in locals before a loop, and lanes are counted in 64 bits: in
  Kokkos's arithmetic of 32 bits, neighbouring lanes might not be neighbours in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kkspdnn.pk import ir
from kkspdnn.pk.codegen.plain_statements import PlainStatements
from kkspdnn.pk.codegen.python_expressions import annotation, bare
from kkspdnn.pk.codegen.python_writer import PythonWriter
from kkspdnn.pk.passes.walk import nodes
from kkspdnn.pk.types import INT64, UINT8, UINT64, Scalar

_BLOCK_BYTES, _NARROW_BYTES, _FEW_BYTES = 256, 64, 32
"""Bytes of a vector in a block of lanes: of a tile of many rows, of a tile of few rows, and if more
vectors than usual must stay in registers."""

_LANE = "_lane"
"""The number of a lane in its half of a block."""

_PLACE, _AT = "<place>", "<at>"
"""In a line for both halves of a block: the number of a lane in the block, and in the tile."""

_LaneStatement = ir.DeclareVector | ir.AssignVector | ir.StoreVector


@dataclass(frozen=True)
class _LaneLoop:
    """Statements of vectors that one loop over lanes runs."""

    statements: tuple[_LaneStatement, ...]


class LaneBlocks:
    """Writes one VectorRange."""

    def __init__(self, writer: PythonWriter, range_: ir.VectorRange) -> None:
        self.out = writer
        self.range = range_
        self.body = self._lane_loops(range_.body)
        self.types = {s.name: s.type for s in nodes(self.body) if isinstance(s, ir.DeclareVector)}
        self.arrays = _in_several_loops(self.body)
        self.locals = {name: writer.name(name.strip("_")) for name in self.types}

    def write(self) -> None:
        """Write loops over blocks: wide ones, then narrower ones for the remaining lanes."""
        out, lanes = self.out, self.out.name("lanes")
        out.put(f"{lanes}: int = {bare(self.range.count)}")
        begin = "0"
        for width in block_widths(self.range):
            rest = f"{lanes} - {width - 1}, {width}" if width > 1 else lanes
            with out.block(f"for {self.range.index} in range({begin}, {rest}):"):
                halves = [out.name("first") for _ in range(min(width, 2))]
                for half, first in enumerate(halves):
                    out.put(f"{first}: pk.int64 = {self.range.index} + {half * width // 2}")
                _BlockStatements(self, width, halves).block(self.body)
            begin = f"{lanes} // {width} * {width}"

    def _lane_loops(self, body: Sequence[Any]) -> tuple[Any, ...]:
        """Replace consecutive statements of vectors by `_LaneLoop`s, also in loops and branches."""
        result: list[Any] = []
        loop: list[_LaneStatement] = []

        def end_loop() -> None:
            if loop:
                result.append(_LaneLoop(tuple(loop)))
                loop.clear()

        for s in body:
            if _loads_uniform(s) & _stored(loop):
                end_loop()  # the store must precede this load
            match s:
                case ir.AssignVector(mask=ir.VectorCompare()) if _computes(s):
                    new = ir.VectorName(self.out.name("new"), s.target.type)
                    loop.append(ir.DeclareVector(s.line, new.name, new.type, _new_value(s)))
                    end_loop()
                    loop.append(replace(s, op="=", value=new))
                case ir.DeclareVector() | ir.AssignVector() | ir.StoreVector():
                    loop.append(s)
                case ir.For() | ir.While():
                    end_loop()
                    result.append(replace(s, body=self._lane_loops(s.body)))
                case ir.If():
                    end_loop()
                    branches = self._lane_loops(s.body), self._lane_loops(s.orelse)
                    result.append(replace(s, body=branches[0], orelse=branches[1]))
                case _:
                    end_loop()
                    result.append(s)
        end_loop()
        return tuple(result)


class _BlockStatements(PlainStatements):
    """Writes the statements of a VectorRange for one block of lanes.

    width: lanes of the block; halves: the names of the first lane of each half
    """

    def __init__(self, blocks: LaneBlocks, width: int, halves: Sequence[str]) -> None:
        super().__init__(blocks.out)
        self.blocks = blocks
        self.width = width
        self.halves = halves

    def statement(self, s: Any) -> None:
        if isinstance(s, _LaneLoop):
            self._lane_loop(s)
        else:
            super().statement(s)

    def _lane_loop(self, loop: _LaneLoop) -> None:
        """Write the two loops over the lanes of a block."""
        out, types, locals_ = self.out, self.blocks.types, self.blocks.locals
        declared = {s.name for s in loop.statements if isinstance(s, ir.DeclareVector)}
        written = declared | {
            s.target.name
            for s in loop.statements
            if isinstance(s, ir.AssignVector) and isinstance(s.target, ir.VectorName)
        }
        arrays = [name for name in _vector_names(loop) if name in self.blocks.arrays]
        for name in arrays:
            if name in declared:
                type_ = types[name]
                zeros = ", ".join(["0.0" if type_.is_float else "0"] * self.width)
                out.put(f"{name}: List[pk.{type_.name}] = [{zeros}]")
        lanes = _LaneWriter(out, types, locals_)
        for name in arrays:
            if name not in declared:
                lanes.declare(name, f"{name}[{_PLACE}]")
        for s in loop.statements:
            lanes.statement(s)
        for name in arrays:
            if name in written:
                lanes.lines.append(f"{name}[{_PLACE}] = {locals_[name]}")
        for half, first in enumerate(self.halves):
            place = _LANE if half == 0 else f"{self.width // 2} + {_LANE}"
            with out.block(f"for {_LANE} in range({(self.width + 1) // 2}):"):
                for line in lanes.lines:
                    out.put(line.replace(_PLACE, place).replace(_AT, f"{first} + {_LANE}"))


class _LaneWriter:
    """Writes statements of vectors for one lane.

    locals: the names of the values of vectors in a lane, by the names of the vectors
    lines: of the loop
    """

    def __init__(
        self, out: PythonWriter, types: Mapping[str, Scalar], locals_: Mapping[str, str]
    ) -> None:
        self.out = out
        self.locals = locals_
        self.types = types
        self.lines: list[str] = []
        self._hoisted: dict[ir.Expr, str] = {}

    def statement(self, s: _LaneStatement) -> None:
        match s:
            case ir.DeclareVector():
                self.declare(s.name, self._value(s.value))
            case ir.AssignVector():
                if s.mask is not None:
                    left, right = self._value(s.mask.left), self._value(s.mask.right)
                    self.lines.append(f"if {left} {s.mask.op} {right}:")
                indent = "    " if s.mask is not None else ""
                self.lines.append(f"{indent}{self._value(s.target)} {s.op} {self._value(s.value)}")
            case ir.StoreVector():
                self.lines.append(f"{self._element(s.target)} = {self._value(s.value)}")

    def declare(self, name: str, value: str) -> None:
        """Declare the value of a vector in this lane."""
        self.lines.append(f"{self.locals[name]}: {annotation(self.types[name])} = {value}")

    def _value(self, e: ir.VectorExpr) -> str:
        match e:
            case ir.VectorName():
                return self.locals[e.name]
            case ir.VectorLoad(source=ir.Element() as source):
                return self._element(source)
            case ir.Broadcast():
                return self._local(e.operand, "scalar", e.type)
            case ir.Widen():
                return self._value(e.operand)
            case ir.VectorBinary():
                return f"({self._value(e.left)} {e.op} {self._value(e.right)})"
        raise AssertionError(e)

    def _element(self, e: ir.Element) -> str:
        rows = [f"[{self._local(index, 'row', INT64)}]" for index in e.indices[:-1]]
        return f"{e.array}{''.join(rows)}[{_AT}]"

    def _local(self, e: ir.Expr, word: str, type_: Scalar) -> str:
        """The name of a local with the value of an expression; a literal is its own name."""
        if isinstance(e, ir.Constant):
            return bare(e)
        if e not in self._hoisted:
            name = self._hoisted[e] = self.out.name(word)
            wide = UINT64 if e.type is UINT64 else type_
            self.out.put(f"{name}: {annotation(wide)} = {bare(e)}")
        return self._hoisted[e]


def block_widths(range_: ir.VectorRange) -> tuple[int, ...]:
    """Return the numbers of lanes of the blocks of a VectorRange, descending."""
    if range_.type is UINT8:
        return _BLOCK_BYTES // 4, _BLOCK_BYTES // 8, 1  # lanes of float32 and float64
    size = range_.type.bits // 8
    if range_.registers == 1:
        return _FEW_BYTES // size, 1
    return _BLOCK_BYTES // size, _NARROW_BYTES // size, 1


def _loads_uniform(s: ir.Stmt) -> set[str]:
    """The views with elements that a statement loads once for all lanes."""
    parts = list(nodes(s))
    of_lanes = {each.source for each in parts if isinstance(each, ir.VectorLoad)}
    of_lanes |= {each.target for each in parts if isinstance(each, ir.StoreVector)}
    return {each.array for each in parts if isinstance(each, ir.Element) and each not in of_lanes}


def _stored(loop: Sequence[_LaneStatement]) -> set[str]:
    return {s.target.array for s in loop if isinstance(s, ir.StoreVector)}


def _computes(s: ir.AssignVector) -> bool:
    """Return whether an assignment computes its value, and does not only copy it."""
    return s.op != "=" or isinstance(s.value, ir.VectorBinary)


def _new_value(s: ir.AssignVector) -> ir.VectorExpr:
    """Return the value that an assignment gives to its target."""
    if s.op == "=":
        return s.value
    return ir.VectorBinary(s.op[:-1], s.target, s.value, s.target.type)


def _vector_names(loop: _LaneLoop) -> dict[str, None]:
    """The vectors of a loop, in the order of their first use."""
    return {
        each.name: None
        for each in nodes(loop)
        if isinstance(each, ir.VectorName | ir.DeclareVector)
    }


def _in_several_loops(body: Sequence[Any]) -> frozenset[str]:
    """Return the vectors that live from one loop over lanes to another: they need an array."""
    loops = [_vector_names(each) for each in nodes(tuple(body)) if isinstance(each, _LaneLoop)]
    names = {name for loop in loops for name in loop}
    return frozenset(name for name in names if sum(name in loop for loop in loops) > 1)

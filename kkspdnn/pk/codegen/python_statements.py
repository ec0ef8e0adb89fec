"""PyKokkos source of the statements of the IR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kkspdnn.pk import ir
from kkspdnn.pk.codegen.lane_blocks import LaneBlocks
from kkspdnn.pk.codegen.plain_statements import PlainStatements
from kkspdnn.pk.codegen.python_expressions import annotation, bare, expression
from kkspdnn.pk.codegen.python_writer import PythonWriter
from kkspdnn.pk.passes.loop_invariance import is_invariant
from kkspdnn.pk.passes.walk import nodes, rewrite
from kkspdnn.pk.types import INT32, INT64, UINT8, UINT64, Scalar

_BYTE_STORE_LANES = 64
"""Lanes in a block of byte stores: those of a tile of float32."""

_LANE = ir.Name("_lane", INT32)
"""The number of a lane in its block."""


class PythonStatements(PlainStatements):
    """Writes statements of one workunit as PyKokkos source.

    lanes_are_threads: whether a ThreadVectorRange runs in threads, on a GPU, or in a loop
    """

    def __init__(self, writer: PythonWriter, lanes_are_threads: bool) -> None:
        super().__init__(writer)
        self.lanes_are_threads = lanes_are_threads
        self.in_lane_loop = False

    def statement(self, s: ir.Stmt) -> None:
        match s:
            case ir.For() if self.in_lane_loop:
                super().statement(replace(s, body=self._with_rows(s.variable, s.body)))
            case ir.NestedPattern() if self._is_lane_loop(s):
                self._lane_loop(s)
            case ir.NestedPattern():
                self._nested(s)
            case ir.VectorRange():
                LaneBlocks(self.out, s).write()
            case _:
                super().statement(s)

    def _lane_loop(self, s: ir.NestedPattern) -> None:
        """Write a ThreadVectorRange as a loop."""
        out, index = self.out, s.function.index
        body = self._with_rows(index, s.function.body)
        bounds = [bare(b) for b in s.bounds]
        if len(bounds) == 1 and _stores_bytes(body) and _is_straight(body):
            count = out.name("lanes")
            out.put(f"{count}: int = {bounds[0]}")
            bounds = [self._byte_blocks(index, count, body), count]
        outside, self.in_lane_loop = self.in_lane_loop, True
        with out.block(f"for {index} in range({', '.join(bounds)}):"):
            self.block(body)
        self.in_lane_loop = outside

    def _byte_blocks(self, index: str, count: str, body: tuple[ir.Stmt, ...]) -> str:
        """Write a loop over lanes that stores bytes in blocks, and return the first lane that is
        left.

        C++ allows a store of a byte to alias everything but locals. So a block stores into a local
        array, which is then copied.
        """
        out, width = self.out, _BYTE_STORE_LANES
        first = out.name("first")
        copies: list[tuple[ir.Element, str]] = []

        def into_array(node: Any) -> Any:
            match node:
                case ir.Assign(target=ir.Element() as target) if not target.local:
                    copies.append((target, out.name("bytes")))
                    element = ir.Element(copies[-1][1], (_LANE,), target.type, local=True)
                    return replace(node, target=element)
            return None

        changed = rewrite(body, into_array)
        with out.block(f"for {first} in range(0, {count} - {width - 1}, {width}):"):
            for target, array in copies:
                out.put(f"{array}: List[pk.{target.type.name}] = [{', '.join(['0'] * width)}]")
            with out.block(f"for {_LANE.name} in range({width}):"):
                out.put(f"{index}: int = {first} + {_LANE.name}")
                self.block(changed)
            with out.block(f"for {_LANE.name} in range({width}):"):
                out.put(f"{index}: int = {first} + {_LANE.name}")
                for target, array in copies:
                    out.put(f"{expression(target)} = {array}[{_LANE.name}]")
        return f"{count} // {width} * {width}"

    def _with_rows(self, variable: str, body: tuple[ir.Stmt, ...]) -> tuple[ir.Stmt, ...]:
        """Hoist the row indices that a loop does not change out of it, as 64-bit integers.

        In Kokkos's arithmetic of 32 bits, neighbouring elements may not be neighbours in memory,
        so that compilers could not use SIMD instructions.
        """
        modified = frozenset({variable, *_declared(body), *_assigned(body)})
        rows: dict[ir.Expr, ir.Name] = {}

        def with_row(node: Any) -> Any:
            if not isinstance(node, ir.Element) or node.local or len(node.indices) < 2:
                return None
            indices = tuple(row(each) for each in node.indices[:-1])
            return replace(node, indices=(*indices, rewrite(node.indices[-1], with_row)))

        def row(index: ir.Expr) -> ir.Expr:
            constant = isinstance(index, ir.Constant)
            if constant or _may_fail(index) or not is_invariant(index, modified):
                return index
            if index not in rows:
                name = self.out.name("row")
                rows[index] = ir.Name(name, UINT64 if index.type is UINT64 else INT64)
                self.out.put(f"{name}: {annotation(rows[index].type)} = {bare(index)}")
            return rows[index]

        changed: tuple[ir.Stmt, ...] = rewrite(body, with_row)
        return changed

    def _is_lane_loop(self, s: ir.NestedPattern) -> bool:
        """Return whether a pattern is a loop without a function of its own."""
        returns = any(isinstance(each, ir.Jump) and each.keyword == "return" for each in nodes(s))
        lanes = s.policy == "ThreadVectorRange" and s.target is None
        return lanes and not self.lanes_are_threads and not returns

    def _nested(self, s: ir.NestedPattern) -> None:
        out, function = self.out, s.function
        name = out.name(function.name)
        parameters = f"{function.index}: int"
        if function.result is not None:
            parameters += f", {function.accumulator}: pk.Acc[pk.{function.result.name}]"
        with out.block(f"def {name}({parameters}):"):
            if not self.lanes_are_threads and _stores_bytes(function.body):
                function = self._with_locals(function)
            self.block(function.body)
        bounds = ", ".join(bare(b) for b in s.bounds)
        policy = f"pk.{s.policy}({s.team}, {bounds})"
        if s.target is None or function.result is None:
            out.put(f"pk.parallel_for({policy}, {name})")
        else:
            type_ = annotation(function.result)
            out.put(f"{s.target}: {type_} = pk.parallel_reduce({policy}, {name})")

    def _with_locals(self, function: ir.NestedFunction) -> ir.NestedFunction:
        """Copy the views and scalars that a function captures into locals of its own.

        C++ allows a store of a byte to alias everything but locals, so the captured ones would be
        loaded again after each store.
        """
        out = self.out
        copies: dict[str, str] = {}
        for each in nodes(function.body):
            if isinstance(each, ir.Element) and not each.local and each.array not in copies:
                copies[each.array] = out.name(each.array)
                slices = ", ".join([":"] * len(each.indices))
                comma = "," if len(each.indices) == 1 else ""
                out.put(f"{copies[each.array]} = {each.array}[{slices}{comma}]")
        own = {function.index, function.accumulator, *_declared(function.body)}
        for name, type_ in _names(function.body).items():
            if name not in own:
                copies[name] = out.name(name)
                out.put(f"{copies[name]}: {annotation(type_)} = {name}")

        def copied(node: Any) -> Any:
            match node:
                case ir.Name(name=name) if name in copies:
                    return replace(node, name=copies[name])
                case ir.Element(array=name, indices=indices) if name in copies:
                    return replace(node, array=copies[name], indices=rewrite(indices, copied))
            return None

        return replace(function, body=rewrite(function.body, copied))


def _stores_bytes(body: Sequence[ir.Stmt]) -> bool:
    return any(
        isinstance(s, ir.Assign | ir.StoreVector)
        and isinstance(s.target, ir.Element)
        and s.target.type is UINT8
        and not s.target.local
        for s in nodes(tuple(body))
    )


def _is_straight(body: Sequence[ir.Stmt]) -> bool:
    """Return whether statements only declare locals and store to views, which they do not load, at
    indices without these locals."""
    stored, loaded, declared = set(), set(), frozenset(_declared(body))
    for s in body:
        match s:
            case ir.Assign(target=ir.Element(local=False) as target, op="="):
                if not all(is_invariant(index, declared) for index in target.indices):
                    return False
                stored.add(target.array)
            case ir.Declare():
                pass
            case _:
                return False
        loaded |= {each.array for each in nodes(s.value) if isinstance(each, ir.Element)}
    return not stored & loaded


def _declared(body: Sequence[ir.Stmt]) -> set[str]:
    """The names that statements declare, and those of the work items in them."""
    names = set[str]()
    for each in nodes(tuple(body)):
        match each:
            case ir.Declare(name=name) | ir.For(variable=name):
                names.add(name)
            case ir.VectorRange(index=name):
                names.add(name)
            case ir.NestedPattern(target=target, function=function):
                names |= {function.index, function.accumulator or "", target or ""}
    return names


def _assigned(body: Sequence[ir.Stmt]) -> set[str]:
    """The variables that statements assign to."""
    return {
        each.target.name
        for each in nodes(tuple(body))
        if isinstance(each, ir.Assign) and isinstance(each.target, ir.Name)
    }


def _may_fail(e: ir.Expr) -> bool:
    """Return whether an expression may fail where no branch guards it: a load or a division."""
    return any(
        isinstance(each, ir.Element) or (isinstance(each, ir.Binary) and each.op in ("/", "%"))
        for each in nodes(e)
    )


def _names(body: Sequence[ir.Stmt]) -> dict[str, Scalar]:
    """The scalars that statements read, with their types."""
    return {each.name: each.type for each in nodes(tuple(body)) if isinstance(each, ir.Name)}

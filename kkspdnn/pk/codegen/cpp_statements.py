"""C++ of the statements of the IR."""

from __future__ import annotations

from collections.abc import Sequence

from kkspdnn.pk import ir
from kkspdnn.pk.codegen.cpp_expressions import Vectors, bare, expression
from kkspdnn.pk.codegen.writer import Writer
from kkspdnn.pk.passes.walk import nodes, rewrite
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.types import INT32

_NEXT = ir.Name("_next", INT32)
"""The first iteration of the next batch."""

_Compound = (
    ir.If | ir.For | ir.While | ir.NestedPattern | ir.Single | ir.VectorRange | ir.BatchedLoop
)


class StatementPrinter:
    """Writes statements of one workunit.

    path: the name of its Python file in `#line` directives
    """

    def __init__(self, writer: Writer, target: ExecutionSpace, path: str) -> None:
        self.out = writer
        self.target = target
        self.path = path

    def block(self, statements: Sequence[ir.Stmt], vectors: Vectors | None = None) -> None:
        """Write statements; vectors: of the VectorRange around them."""
        for statement in statements:
            self.out.at(self.path, statement.line)
            if isinstance(statement, _Compound):
                self._compound(statement, vectors)
            else:
                self.out.put(_simple(statement, vectors) + ";")

    def _compound(self, s: _Compound, vectors: Vectors | None) -> None:
        out = self.out
        match s:
            case ir.If():
                out.open(f"if ({bare(s.test)})")
                self.block(s.body, vectors)
                if s.orelse:
                    out.reopen("} else {")
                    self.block(s.orelse, vectors)
                out.close()
            case ir.While():
                out.open(f"while ({bare(s.test)})")
                self.block(s.body, vectors)
                out.close()
            case ir.For():
                if s.unroll > 1:
                    out.put(f"#pragma GCC unroll {s.unroll}")
                out.open(_for(s))
                self.block(s.body, vectors)
                out.close()
            case ir.NestedPattern():
                self._nested(s)
            case ir.Single():
                out.open(f"Kokkos::single(Kokkos::{s.policy}({s.team}), [&]()")
                self.block(s.body)
                out.close("});")
            case ir.VectorRange():
                self._vector_range(s)
            case ir.BatchedLoop():
                assert vectors is not None, "a batched loop outside a VectorRange"
                self._batched_loop(s, vectors)

    def _nested(self, s: ir.NestedPattern) -> None:
        out, function = self.out, s.function
        bounds = ", ".join(bare(b) for b in s.bounds)
        policy = f"Kokkos::{s.policy}({s.team}, {bounds})"
        pattern = "parallel_for" if s.target is None else "parallel_reduce"
        parameters = f"const int32_t {function.index}"
        if s.target is not None and function.result is not None:
            out.put(f"{function.result.cpp} {s.target} = 0;")
            out.at(self.path, s.line)
            parameters += f", {function.result.cpp}& {function.accumulator}"
        out.open(f"Kokkos::{pattern}({policy}, [&]({parameters})")
        if s.no_gather:
            out.put("lanes::one_by_one();")
        self.block(function.body)
        out.close("});" if s.target is None else f"}}, {s.target});")

    def _vector_range(self, s: ir.VectorRange) -> None:
        out = self.out
        count = bare(s.count)
        if self.target is ExecutionSpace.Cuda:
            checks = [f"lanes::aligned<{s.type.cpp}>({view})" for view in _lane_views(s)]
            aligned = " && ".join(checks) or "true"
            count = f"{s.team}, {count}, {aligned}"
        type_ = s.type.cpp
        if self.target is not ExecutionSpace.Cuda and s.registers != 4:
            # Lanes that do not fill a register may fill a part of it.
            type_ += f", {s.registers}, true"
        out.open(f"lanes::for_each<{type_}>({count}, [&](auto _lanes, const int32_t {s.index})")
        out.put("using _pack = decltype(_lanes);")
        self.block(s.body, Vectors(s.type))
        out.close("});")

    def _batched_loop(self, s: ir.BatchedLoop, vectors: Vectors) -> None:
        out, k, end, width = self.out, s.loop.variable, f"_end_{s.loop.variable}", s.width
        aligned = [
            *(f"lanes::aligned_row<{row.count}>(&{expression(row.first)})" for row in s.rows),
            *(f"lanes::aligned_rows<{row.count}>({row.first.array})" for row in s.inner_rows),
        ]
        out.open()
        out.put(f"int32_t {k} = {bare(s.loop.begin)};")
        out.put(f"const int32_t {end} = {bare(s.loop.end)};")
        # The first comparison keeps the second one from overflowing.
        some = f"{end} >= {width} && {k} <= {end} - {width}"
        out.open(f"if ({' && '.join([some, *dict.fromkeys(aligned)])})")
        for row in s.ahead:
            out.put(f"auto {row.name} = {_load(row.first, row.count)};")
        out.open(f"for (; {k} <= {end} - {width}; {k} += {width})")
        self.block([row for row in s.rows if row not in s.ahead], vectors)
        for name, type_ in s.vectors:
            out.put(f"{vectors.pack(type_)} {name}[{width}];")
        self._iterations(s, s.loads, vectors)
        if s.ahead:
            out.put(f"const int32_t _next = {k} <= {end} - {2 * width} ? {k} + {width} : {k};")
        for row in s.ahead:
            following = rewrite(row.first, lambda e: _NEXT if e == ir.Name(k, INT32) else None)
            out.put(f"{row.name} = {_load(following, row.count)};")
        self._iterations(s, s.body, vectors)
        out.close()
        out.close()
        out.put("#pragma unroll 4")
        out.open(f"for (; {k} < {end}; ++{k})")
        self.block(s.loop.body, vectors)
        out.close()
        out.close()

    def _iterations(self, s: ir.BatchedLoop, body: Sequence[ir.Stmt], vectors: Vectors) -> None:
        """Write statements for each iteration of a batch."""
        self.out.put("#pragma unroll")
        self.out.open(f"for (int32_t {s.number} = 0; {s.number} < {s.width}; ++{s.number})")
        self.block(body, vectors)
        self.out.close()


def scratch_type(s: ir.DeclareScratch) -> str:
    """Return the C++ type of a scratch view."""
    stars = "*" * len(s.extents)
    return (
        f"Kokkos::View<{s.element.cpp}{stars}, Kokkos::LayoutRight, _space::scratch_memory_space, "
        "Kokkos::MemoryTraits<Kokkos::Unmanaged>>"
    )


def string_literal(text: str) -> str:
    """Return a string as C++."""
    escaped = [
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    ]
    return f'"{"".join(escaped)}"'


def _printed(value: ir.Expr) -> str:
    """A value in the type that the directives of `ir.Print` have."""
    return f"static_cast<{'double' if value.type.is_float else 'long long'}>({expression(value)})"


def _load(first: ir.Element, count: int) -> str:
    return f"lanes::row<{first.type.cpp}, {count}>::load(&{expression(first)})"


def _lane_views(s: ir.VectorRange) -> tuple[str, ...]:
    """Return the views whose elements neighbouring lanes load or store."""
    views = dict[str, None]()
    for each in nodes(s.body):
        match each:
            case ir.VectorLoad(source=ir.Element(array=view)):
                views[view] = None
            case ir.VectorLoad(source=ir.StridedElement(base=ir.Element(array=view))):
                views[view] = None
            case ir.StoreVector(target=ir.Element(array=view)):
                views[view] = None
    return tuple(views)


def _simple(s: ir.Stmt, vectors: Vectors | None) -> str:
    """A statement of one line, without the semicolon."""
    match s:
        case ir.Declare():
            return f"{s.type.cpp} {s.name} = {bare(s.value)}"
        case ir.DeclareArray():
            values = ", ".join(f"static_cast<{s.element.cpp}>({bare(v)})" for v in s.values)
            return f"{s.element.cpp} {s.name}[{len(s.values)}] = {{{values}}}"
        case ir.Assign():
            return f"{expression(s.target)} {s.op} {bare(s.value)}"
        case ir.AssignChecked():
            return expression(s.division)
        case ir.DeclareScratch():
            extents = ", ".join(bare(extent) for extent in s.extents)
            return f"const {scratch_type(s)} {s.name}({s.team}.{s.memory}({s.level}), {extents})"
        case ir.Print():
            values = "".join(f", {_printed(value)}" for value in s.values)
            return f"printf({string_literal(s.format)}{values})"
        case ir.Evaluate():
            return expression(s.value)
        case ir.Barrier():
            return f"{s.team}.team_barrier()"
        case ir.Compaction():
            targets = f"&{expression(s.number)}, &{expression(s.value)}"
            compacted = f"lanes::compact(&{expression(s.first)}, {bare(s.loop.end)}, {targets})"
            return f"{s.cursor.name} += {compacted}"
        case ir.Jump():
            return s.keyword
        case ir.ReturnValue():
            return f"return {bare(s.value)}"
    assert vectors is not None, "a vector outside a VectorRange"
    match s:
        case ir.DeclareVector():
            return f"{vectors.pack(s.type)} {s.name} = {vectors.expression(s.value)}"
        case ir.AssignVector():
            return vectors.assignment(s)
        case ir.LoadRow():
            return f"const auto {s.name} = {_load(s.first, s.count)}"
        case ir.StoreVector():
            return f"{vectors.expression(s.value)}.store(&{expression(s.target)})"
    raise AssertionError(s)


def _for(s: ir.For) -> str:
    sign = ">" if s.descending else "<"
    return (
        f"for (int32_t {s.variable} = {bare(s.begin)}, _end_{s.variable} = {bare(s.end)}; "
        f"{s.variable} {sign} _end_{s.variable}; {s.variable} += {bare(s.step)})"
    )

"""ir.Kernel to C++: a functor, and one C function that launches it.

The text is meant to be read: the workunit's own names, two-space blocks, and `#line` wherever
the next C++ line does not come from the next Python line, so that the compiler's messages name
the workunit's own file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from kkspdnn.pk import ir
from kkspdnn.pk.codegen.lanes import Plan, changed_by, changes, plan, scattered
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.signature import Signature
from kkspdnn.pk.system.paths import package_path
from kkspdnn.pk.types import View

POLICY_FIELDS = ("begin", "end", "team_size", "vector_length")
"""What every launch packs first, each an int64; then the address of the result."""


@dataclass(frozen=True)
class Generated:
    """C++ of one workunit for one execution space and one choice of types.

    text: with no path of this machine, so that it is the same wherever the workunit is installed
    path: of the workunit's Python file; file: what the text calls it, see `paths.package_path`
    """

    name: str
    text: str
    signature: Signature
    written: frozenset[str]
    path: str
    file: str


def lanes_header(gpu: bool) -> str:
    """Which file of `cpp` has the packs of lanes."""
    return "kkspdnn_lanes_cuda.hpp" if gpu else "kkspdnn_lanes.hpp"


def emit(kernel: ir.Kernel, space: ExecutionSpace) -> Generated:
    """Write the C++ of `kernel` for `space`."""
    writer, file = _Writer(), package_path(kernel.path)
    _Emitter(writer, kernel, space, file).file()
    return Generated(
        kernel.name, writer.text(), kernel.signature, kernel.written, kernel.path, file
    )


class _Writer:
    """Lines of C++, and the Python line that the compiler believes to be at."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 0
        self.believed: tuple[str, int] | None = None

    def put(self, text: str = "") -> None:
        self.lines.append("  " * self.depth + text if text else "")
        if self.believed is not None:
            self.believed = (self.believed[0], self.believed[1] + 1)

    def open(self, text: str) -> None:
        self.put(text + " {")
        self.depth += 1

    def close(self, text: str = "}") -> None:
        self.depth -= 1
        self.put(text)

    def at(self, path: str, line: int) -> None:
        if self.believed != (path, line):
            self.lines.append(f"#line {line} {json.dumps(path)}")
            self.believed = (path, line)

    def own(self) -> None:
        """Back to the generated file itself."""
        self.lines.append(f'#line {len(self.lines) + 2} "workunit.cpp"')
        self.believed = None

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def expression(e: ir.Expr) -> str:
    """One expression as C++; every compound one in parentheses."""
    match e:
        case ir.Constant():
            return e.text
        case ir.Name():
            return e.name
        case ir.Element(array=array, indices=indices, local=True):
            return f"{array}[{expression(indices[0])}]"
        case ir.Element(array=array, indices=indices):
            return f"{array}({', '.join(_index(indices, d) for d in range(len(indices)))})"
        case ir.Extent():
            return f"static_cast<int64_t>({e.view}.extent({e.dimension}))"
        case ir.Unary():
            return f"({e.op}{expression(e.operand)})"
        case ir.Binary():
            return f"({expression(e.left)} {e.op} {expression(e.right)})"
        case ir.Cast():
            return f"static_cast<{e.type.cpp}>({expression(e.operand)})"
        case ir.Call():
            return f"{e.function}({', '.join(expression(a) for a in e.arguments)})"
        case ir.TeamCall():
            return f"{e.team}.{e.method}()"
        case ir.Atomic():
            value = f"static_cast<{e.type.cpp}>({expression(e.value)})"
            return f"Kokkos::{e.function}(&{expression(e.target)}, {value})"


def _index(indices: tuple[ir.Expr, ...], dimension: int) -> str:
    """One index of a view. Kokkos 3.4 multiplies the middle one of three by a 32-bit extent, which
    wraps in matrices past 2^32 elements unless the index itself has 64 bits."""
    index = indices[dimension]
    if len(indices) == 3 and dimension == 1 and index.type.bits < 64:
        return f"int64_t({_bare(index)})"
    return expression(index)


@dataclass(frozen=True)
class Scalars:
    """Writes the parts of a pack's expression that are the same in every lane.

    loop: the names whose values the innermost loop changes
    """

    space: ExecutionSpace
    loop: frozenset[str] = frozenset()

    def value(self, e: ir.Expr) -> str:
        return expression(e)

    def address(self, e: ir.Element) -> str:
        """Where an element is. On a GPU, where a loop changes one index, by a step from an element
        that stays, so that the loop only multiplies and adds once for it."""
        moving = [d for d, index in enumerate(e.indices[:-1]) if changes(index, self.loop)]
        if self.space is not ExecutionSpace.Cuda or len(moving) != 1:
            return f"&{expression(e)}"
        (dimension,) = moving
        indices = [expression(index) for index in e.indices]
        indices[dimension], count = self._split(e.indices[dimension])
        place = ", ".join([e.array, *indices])
        return f"lanes::step<{dimension}>({e.array}, lanes::at({place}), {count})"

    def _split(self, index: ir.Expr) -> tuple[str, str]:
        """A sum as the part that the loop leaves as it is, and the part that it changes."""
        if isinstance(index, ir.Binary) and index.op == "+" and index.type.is_signed:
            left, right = _bare(index.left), _bare(index.right)
            if not changes(index.left, self.loop):
                return left, right
            if not changes(index.right, self.loop):
                return right, left
        return "0", _bare(index)


def _bare(e: ir.Expr) -> str:
    """Without the outermost parentheses."""
    text = expression(e)
    return text[1:-1] if isinstance(e, (ir.Binary, ir.Unary)) else text


class _Emitter:
    def __init__(
        self, writer: _Writer, kernel: ir.Kernel, space: ExecutionSpace, name: str
    ) -> None:
        """name: what to call the workunit's file, in which its functions are too"""
        self.out = writer
        self.kernel = kernel
        self.space = space
        self.path = name
        self.scalars = Scalars(space)

    # ---- the file -----------------------------------------------------------------------------

    def file(self) -> None:
        out, kernel = self.out, self.kernel
        out.put(f"// {kernel.name}, from line {kernel.line} of {self.path}")
        out.put(f"// for Kokkos::{self.space.value}")
        for header in ("Kokkos_Core.hpp", "cmath", "cstdint", "exception"):
            out.put(f"#include <{header}>")
        out.put(f'#include "{lanes_header(self.space is ExecutionSpace.Cuda)}"')
        out.put()
        out.put('extern "C" void kkspdnn_set_error(const char* message);')
        out.put()
        out.open("namespace")
        out.put(f"using execution_space = Kokkos::{self.space.value};")
        out.put("using team_member = Kokkos::TeamPolicy<execution_space>::member_type;")
        ranks = sorted(
            {p.type.rank for p in kernel.signature.parameters if isinstance(p.type, View)}
        )
        for rank in ranks:
            out.put("template <class T>")
            out.put(
                f"using View{rank}D = Kokkos::View<T{'*' * rank}, Kokkos::LayoutRight, "
                "execution_space::memory_space, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;"
            )
        out.put()
        for function in kernel.functions:
            self.device_function(function)
        self.functor()
        self.packed()
        out.close("}  // namespace")
        out.put()
        self.launcher()

    def view_type(self, name: str, view: View) -> str:
        const = "" if name in self.kernel.written else "const "
        return f"View{view.rank}D<{const}{view.element.cpp}>"

    def device_function(self, function: ir.DeviceFunction) -> None:
        parameters = ", ".join(f"const {p.type.cpp} {p.name}" for p in function.parameters)
        self.out.at(self.path, function.line)
        self.out.open(f"KOKKOS_INLINE_FUNCTION {function.result.cpp} {function.name}({parameters})")
        self.block(function.body)
        self.out.close()
        self.out.own()
        self.out.put()

    def functor(self) -> None:
        out, signature = self.out, self.kernel.signature
        out.open(f"struct {self.kernel.name}_functor")
        for parameter in signature.parameters:
            kind = parameter.type
            text = self.view_type(parameter.name, kind) if isinstance(kind, View) else kind.cpp
            out.put(f"{text} {parameter.name};")
        out.put()
        first = "const team_member& " if signature.team else "const int32_t "
        arguments = [first + signature.index]
        if signature.accumulator is not None and signature.result is not None:
            arguments.append(f"{signature.result.cpp}& {signature.accumulator}")
        if signature.last is not None:
            arguments.append(f"const bool {signature.last}")
        out.at(self.path, self.kernel.line)
        out.open(f"KOKKOS_INLINE_FUNCTION void operator()({', '.join(arguments)}) const")
        if signature.team and self.space is not ExecutionSpace.Cuda:
            # Copies stay in registers; members would be read again after every store of a pack.
            for parameter in signature.parameters:
                out.put(f"const auto {parameter.name} = this->{parameter.name};")
        self.block(self.kernel.body)
        out.close()
        out.own()
        out.close("};")
        out.put()

    def packed(self) -> None:
        """The arguments of one launch, laid out as Python's `struct` packs them."""
        out = self.out
        out.open("struct Packed")
        for name in POLICY_FIELDS:
            out.put(f"int64_t _policy_{name};")
        out.put("void* _policy_result;")
        for parameter in self.kernel.signature.parameters:
            kind = parameter.type
            if isinstance(kind, View):
                const = "" if parameter.name in self.kernel.written else "const "
                out.put(f"{const}{kind.element.cpp}* {parameter.name};")
                for dimension in range(kind.rank):
                    out.put(f"int64_t _extent{dimension}_{parameter.name};")
            else:
                out.put(f"{kind.cpp} {parameter.name};")
        out.close("};")

    def launcher(self) -> None:
        out, signature = self.out, self.kernel.signature
        out.open('extern "C" int kkspdnn_launch(const char* label, const void* arguments)')
        out.open("try")
        out.put("const Packed& p = *static_cast<const Packed*>(arguments);")
        members = []
        for parameter in signature.parameters:
            kind = parameter.type
            if isinstance(kind, View):
                extents = ", ".join(f"p._extent{d}_{parameter.name}" for d in range(kind.rank))
                view = self.view_type(parameter.name, kind)
                members.append(f"{view}(p.{parameter.name}, {extents})")
            else:
                members.append(f"p.{parameter.name}")
        out.put(f"const {self.kernel.name}_functor functor{{{', '.join(members)}}};")
        if signature.team:
            out.put("using Policy = Kokkos::TeamPolicy<execution_space>;")
            out.put("const int league = static_cast<int>(p._policy_end);")
            out.put("const int vector = static_cast<int>(p._policy_vector_length);")
            out.put(
                "const Policy policy = p._policy_team_size == 0"
                " ? Policy(league, Kokkos::AUTO, vector)"
                " : Policy(league, static_cast<int>(p._policy_team_size), vector);"
            )
        else:
            # Kokkos computes the blocks of a scan, and of a reduction on a GPU, in the index type,
            # and the last ones end past the range: near 2^31 an int32_t would wrap.
            gpu = self.space is ExecutionSpace.Cuda
            wide = signature.pattern == "scan" or (gpu and signature.pattern == "reduce")
            index = "int64_t" if wide else "int32_t"
            out.put(
                f"const Kokkos::RangePolicy<execution_space, Kokkos::IndexType<{index}>> policy("
                f"static_cast<{index}>(p._policy_begin), static_cast<{index}>(p._policy_end));"
            )
        if signature.result is None:
            out.put("Kokkos::parallel_for(label, policy, functor);")
        else:
            out.put(f"{signature.result.cpp} result = 0;")
            out.put(f"Kokkos::parallel_{signature.pattern}(label, policy, functor, result);")
            out.put(f"*static_cast<{signature.result.cpp}*>(p._policy_result) = result;")
        if self.space is ExecutionSpace.Cuda:
            # Kokkos looks at a launch's own errors in debug builds only.
            out.put("const cudaError_t status = cudaGetLastError();")
            out.open("if (status != cudaSuccess)")
            out.put("kkspdnn_set_error(cudaGetErrorString(status));")
            out.put("return 1;")
            out.close()
        out.put("return 0;")
        out.close("} catch (const std::exception& error) {")
        out.depth += 1
        out.put("kkspdnn_set_error(error.what());")
        out.put("return 1;")
        out.close()
        out.close()

    # ---- statements ---------------------------------------------------------------------------

    def block(self, statements: tuple[ir.Stmt, ...]) -> None:
        for statement in statements:
            self.statement(statement)

    def statement(self, s: ir.Stmt) -> None:
        out = self.out
        out.at(self.path, s.line)
        match s:
            case ir.Declare():
                out.put(f"{s.type.cpp} {s.name} = {_bare(s.value)};")
            case ir.DeclareArray():
                values = ", ".join(f"static_cast<{s.element.cpp}>({_bare(v)})" for v in s.values)
                out.put(f"{s.element.cpp} {s.name}[{len(s.values)}] = {{{values}}};")
            case ir.Assign():
                out.put(f"{expression(s.target)} {s.op} {_bare(s.value)};")
            case ir.Evaluate():
                out.put(f"{expression(s.value)};")
            case ir.Barrier():
                out.put(f"{s.team}.team_barrier();")
            case ir.Jump():
                out.put(f"{s.word};")
            case ir.ReturnValue():
                out.put(f"return {_bare(s.value)};")
            case ir.If():
                out.open(f"if ({_bare(s.test)})")
                self.block(s.body)
                if s.orelse:
                    out.close("} else {")
                    out.depth += 1
                    self.block(s.orelse)
                out.close()
            case ir.While():
                out.open(f"while ({_bare(s.test)})")
                self.block(s.body)
                out.close()
            case ir.For():
                out.open(self.for_header(s))
                self.block(s.body)
                out.close()
            case ir.Nested():
                self.nested(s)

    def for_header(self, s: ir.For) -> str:
        sign = ">" if s.descending else "<"
        return (
            f"for (int32_t {s.counter} = {_bare(s.begin)}, _end_{s.counter} = {_bare(s.end)}; "
            f"{s.counter} {sign} _end_{s.counter}; {s.counter} += {_bare(s.step)})"
        )

    def nested(self, s: ir.Nested) -> None:
        out, inner = self.out, s.inner
        lanes = plan(s)
        if lanes is not None:
            self.lanes(s, lanes)
            return
        bounds = ", ".join(_bare(b) for b in s.bounds)
        policy = f"Kokkos::{s.range}({s.team}, {bounds})"
        pattern = "parallel_for" if s.into is None else "parallel_reduce"
        parameters = f"const int32_t {inner.index}"
        if s.into is not None and inner.result is not None:
            out.put(f"{inner.result.cpp} {s.into} = 0;")
            out.at(self.path, s.line)
            parameters += f", {inner.result.cpp}& {inner.accumulator}"
        out.open(f"Kokkos::{pattern}({policy}, [&]({parameters})")
        if self.space is not ExecutionSpace.Cuda and scattered(s):
            out.put("lanes::one_by_one();")
        self.block(inner.body)
        out.close("});" if s.into is None else f"}}, {s.into});")

    # ---- a ThreadVectorRange on packs ---------------------------------------------------------

    def lanes(self, s: ir.Nested, plan: Plan) -> None:
        out = self.out
        count = _bare(s.bounds[0])
        if self.space is ExecutionSpace.Cuda:
            count = f"{s.team}, {count}"
        out.open(
            f"lanes::for_each<{plan.type.cpp}>({count}, [&](auto pack, const int32_t {plan.lane})"
        )
        out.put("using P = decltype(pack);")
        for statement in s.inner.body:
            self.lane_statement(statement, plan)
        out.close("});")

    def lane_statement(self, s: ir.Stmt, plan: Plan) -> None:
        out = self.out
        out.at(self.path, s.line)
        match s:
            case ir.Declare() if s.name in plan.varying:
                value = plan.declared(s, self.scalars)
                out.put(f"{plan.pack(s.type)} {s.name} = {value};")
            case ir.Assign(target=ir.Name(name=name)) if name in plan.varying:
                out.put(f"{name} {s.op} {self.lane_value(s.value, plan)};")
            case ir.Assign(target=ir.Element()):
                out.put(f"{self.lane_value(s.value, plan)}.store(&{expression(s.target)});")
            case ir.If() if plan.varies(s.test):
                self.lane_choice(s, plan)
            case ir.If():
                out.open(f"if ({_bare(s.test)})")
                for inner in s.body:
                    self.lane_statement(inner, plan)
                if s.orelse:
                    out.close("} else {")
                    out.depth += 1
                    for inner in s.orelse:
                        self.lane_statement(inner, plan)
                out.close()
            case ir.While():
                out.open(f"while ({_bare(s.test)})")
                self.lane_loop(s, plan)
                out.close()
            case ir.For():
                if plan.adds_bytes(s) and self.space is not ExecutionSpace.Cuda:
                    # One load in a turn, where numbers have four: the counter would cost as much.
                    out.put("#pragma GCC unroll 4")
                out.open(self.for_header(s))
                self.lane_loop(s, plan)
                out.close()
            case _:
                self.statement(s)

    def lane_loop(self, s: ir.For | ir.While, plan: Plan) -> None:
        outer = self.scalars
        self.scalars = Scalars(self.space, changed_by(s))
        for inner in s.body:
            self.lane_statement(inner, plan)
        self.scalars = outer

    def lane_value(self, e: ir.Expr, plan: Plan) -> str:
        return plan.expression(e, self.scalars)

    def lane_choice(self, s: ir.If, plan: Plan) -> None:
        assert isinstance(s.test, ir.Binary)
        for b in s.body:
            assert isinstance(b, ir.Assign)
            assert isinstance(b.target, ir.Name)
            name, value = b.target.name, self.lane_value(b.value, plan)
            new = value if b.op == "=" else f"{name} {b.op[:-1]} {value}"
            self.out.at(self.path, b.line)
            self.out.put(f"{name} = {plan.choice(s.test, new, name, self.scalars)};")

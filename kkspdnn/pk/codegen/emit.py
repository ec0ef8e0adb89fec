"""ir.Kernel to C++: a functor, and one C function that launches it.

The text is meant to be read: the workunit's own names, two-space blocks, and `#line` wherever
the next C++ line does not come from the next Python line, so that the compiler's messages name
the workunit's own file.
"""

from __future__ import annotations

from dataclasses import dataclass

from kkspdnn.pk import ir
from kkspdnn.pk.codegen.cpp_statements import StatementPrinter
from kkspdnn.pk.codegen.writer import Writer
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


def emit(kernel: ir.Kernel, target: ExecutionSpace) -> Generated:
    """Print the C++ of `kernel`, which `vectorize` has prepared for `target`."""
    writer, file = Writer(), package_path(kernel.path)
    _Emitter(writer, kernel, target, file).file()
    return Generated(
        kernel.name, writer.text(), kernel.signature, kernel.written, kernel.path, file
    )


class _Emitter:
    def __init__(
        self, writer: Writer, kernel: ir.Kernel, target: ExecutionSpace, name: str
    ) -> None:
        """name: what to call the workunit's file, in which its functions are too"""
        self.out = writer
        self.kernel = kernel
        self.target = target
        self.path = name
        self.statements = StatementPrinter(writer, target, name)

    # ---- the file -----------------------------------------------------------------------------

    def file(self) -> None:
        out, kernel = self.out, self.kernel
        out.put(f"// {kernel.name}, from line {kernel.line} of {self.path}")
        out.put(f"// for Kokkos::{self.target.value}")
        for header in ("Kokkos_Core.hpp", "cmath", "cstdint", "exception"):
            out.put(f"#include <{header}>")
        out.put(f'#include "{lanes_header(self.target is ExecutionSpace.Cuda)}"')
        out.put()
        out.put('extern "C" void kkspdnn_set_error(const char* message);')
        out.put()
        out.open("namespace")
        out.put(f"using execution_space = Kokkos::{self.target.value};")
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
        self.statements.block(function.body)
        self.out.close()
        self.out.in_generated_file()
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
        if signature.team and self.target is not ExecutionSpace.Cuda:
            # Copies stay in registers; members would be read again after every store of a pack.
            for parameter in signature.parameters:
                out.put(f"const auto {parameter.name} = this->{parameter.name};")
        self.statements.block(self.kernel.body)
        out.close()
        out.in_generated_file()
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
            gpu = self.target is ExecutionSpace.Cuda
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
        if self.target is ExecutionSpace.Cuda:
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

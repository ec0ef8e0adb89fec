"""C++ of a workunit: a functor, and one C function that launches it.

The text is written for readers: it has the names of the workunit and indented blocks. `#line`
directives make the compiler's messages name the lines of the workunit's Python file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kkspdnn.pk import ir
from kkspdnn.pk.codegen.check_places import (
    cells_of_functions,
    put_place,
    put_place_of_function,
)
from kkspdnn.pk.codegen.cpp_expressions import CHECKS
from kkspdnn.pk.codegen.cpp_statements import StatementPrinter
from kkspdnn.pk.codegen.scratch_sizes import HEADERS as SCRATCH_HEADERS
from kkspdnn.pk.codegen.scratch_sizes import (
    put_scratch_check,
    put_scratch_sizes,
    scratch_levels,
)
from kkspdnn.pk.codegen.writer import Writer
from kkspdnn.pk.passes.walk import nodes
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.signature import Parameter, Signature
from kkspdnn.pk.system.paths import package_path
from kkspdnn.pk.types import View


def policy_fields(signature: Signature) -> tuple[str, ...]:
    """Return the names of the first fields of the packed arguments of a launch, each an int64.

    Those of an MDRangePolicy are three for each dimension, of which a tile of 0 lets Kokkos choose,
    and the index of its orders in `_ORDERS`. The address of the result follows.
    """
    if len(signature.items) == 1:
        return "begin", "end", "team_size", "vector_length"
    names = ("begin", "end", "tile")
    numbers = range(len(signature.items))
    return *(f"{name}{number}" for number in numbers for name in names), "order"


_ORDERS = (("Right", "Right"), ("Right", "Left"), ("Left", "Right"), ("Left", "Left"))
"""The orders of the tiles of an MDRangePolicy, and in a tile: members of Kokkos::Iterate."""


_BLOCK = 1024
"""Maximum number of threads of a block on all NVIDIA GPUs."""

ARRAYS_BLOCK = 512
"""The same for a kernel with batched loops or local arrays: a thread has up to 128 registers, so
that all loads into an array are in flight. Without LaunchBounds, ptxas would use fewer registers
and wait in between."""


@dataclass(frozen=True)
class Generated:
    """The C++ of one workunit for one execution space and one choice of types.

    text: the C++; it contains no absolute path, so that it does not depend on the installation
    written: the views that the workunit stores to
    max_block: on a GPU, maximum number of threads of a team times its vector length
    path: of the workunit's Python file
    file: the name of that file in `text`, see `paths.package_path`
    debug: whether the workunit checks its indices and divisors
    cells: the names in `text` of the cells of its functions, and their names in IPython
    """

    name: str
    text: str
    signature: Signature
    written: frozenset[str]
    max_block: int
    path: str
    file: str
    debug: bool = False
    cells: tuple[tuple[str, str], ...] = ()


def lanes_header(gpu: bool) -> str:
    """Return the file in `cpp` that defines the vectors of lanes."""
    return "kkspdnn_lanes_cuda.hpp" if gpu else "kkspdnn_lanes.hpp"


CHECKS_HEADER = "kkspdnn_checks.hpp"
"""The file in `cpp` with the checks of debug mode."""


def emit(kernel: ir.Kernel, target: ExecutionSpace, debug: bool = False) -> Generated:
    """Return the C++ of a kernel that `vectorize` has prepared for `target`, or in debug mode
    `add_checks`."""
    writer, file = Writer(), package_path(kernel.path)
    emitter = _Emitter(writer, kernel, target, file, debug)
    emitter.file()
    return Generated(
        name=kernel.name,
        text=writer.text(),
        signature=kernel.signature,
        written=kernel.written,
        max_block=emitter.max_block,
        path=kernel.path,
        file=file,
        debug=debug,
        cells=cells_of_functions(kernel),
    )


class _Emitter:
    """Writes the C++ file of one workunit.

    path: the name of its Python file in comments and `#line` directives
    """

    def __init__(
        self, writer: Writer, kernel: ir.Kernel, target: ExecutionSpace, path: str, debug: bool
    ) -> None:
        self.out = writer
        self.kernel = kernel
        self.target = target
        self.path = path
        self.debug = debug
        self.statements = StatementPrinter(writer, target, path)
        arrays = any(
            isinstance(each, ir.BatchedLoop | ir.DeclareArray) for each in nodes(kernel.body)
        )
        self.max_block = ARRAYS_BLOCK if arrays else _BLOCK
        self.prints = any(isinstance(each, ir.Print) for each in nodes(self._all_code()))
        self.scratch = [s for s in nodes(kernel.body) if isinstance(s, ir.DeclareScratch)]

    def _all_code(self) -> tuple[Any, ...]:
        return (self.kernel.body, *(function.body for function in self.kernel.functions))

    def file(self) -> None:
        out = self.out
        self._head()
        out.open("namespace")
        self._type_names()
        if self.debug:
            put_place(out, self.path, self.kernel.name)
        for function in self.kernel.functions:
            self._device_function(function)
        if self.scratch:
            put_scratch_check(out)
        self._functor()
        self._packed_arguments()
        out.close("}  // namespace")
        out.put()
        self._launcher()
        signature, gpu = self.kernel.signature, self.target is ExecutionSpace.Cuda
        if gpu and signature.team and signature.result is None:
            self._registers()

    def _head(self) -> None:
        out = self.out
        out.put(f"// {self.kernel.name}, from line {self.kernel.line} of {self.path}")
        out.put(f"// for Kokkos::{self.target.value}")
        headers = ["Kokkos_Core.hpp", "cmath", "cstdint", "exception"]
        if self.prints:
            headers.insert(3, "cstdio")
        if self.scratch:
            headers += SCRATCH_HEADERS
        for header in headers:
            out.put(f"#include <{header}>")
        out.put(f'#include "{lanes_header(self.target is ExecutionSpace.Cuda)}"')
        if self.debug:
            out.put(f'#include "{CHECKS_HEADER}"')
        out.put()
        out.put('extern "C" void kkspdnn_set_error(const char* message);')
        out.put()

    def _type_names(self) -> None:
        out, parameters = self.out, self.kernel.signature.parameters
        out.put(f"using _space = Kokkos::{self.target.value};")
        out.put("using _team = Kokkos::TeamPolicy<_space>::member_type;")
        for rank in sorted({p.type.rank for p in parameters if isinstance(p.type, View)}):
            out.put("template <class T>")
            out.put(
                f"using View{rank}D = Kokkos::View<T{'*' * rank}, Kokkos::LayoutRight, "
                "_space::memory_space, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;"
            )
        out.put()

    def _device_function(self, function: ir.DeviceFunction) -> None:
        views = [p.name for p in function.parameters if isinstance(p, ir.ViewParameter)]
        parameters = ", ".join(
            f"const _{p.name}& {p.name}"
            if isinstance(p, ir.ViewParameter)
            else f"const {p.type.cpp} {p.name}"
            for p in function.parameters
        )
        result = "void" if function.result is None else function.result.cpp
        if views:
            # The type of a view depends on whether the workunit writes to it, and on its memory.
            self.out.put(f"template <{', '.join(f'class _{name}' for name in views)}>")
        self.out.at(self.path, function.line)
        self.out.open(f"KOKKOS_INLINE_FUNCTION {result} {function.name}({parameters})")
        if self.debug:
            put_place_of_function(self.out, function, self.kernel.name)
        self.statements.block(function.body)
        self.out.close()
        self.out.in_generated_file()
        self.out.put()

    # ---- the functor --------------------------------------------------------------------------

    def _functor(self) -> None:
        out, signature = self.out, self.kernel.signature
        out.open(f"struct {self.kernel.name}_functor")
        for parameter in signature.parameters:
            out.put(f"{self._type(parameter)} {parameter.name};")
        out.put()
        first = "const _team& " if signature.team else "const int32_t "
        arguments = [first + item for item in signature.items]
        if signature.accumulator is not None and signature.result is not None:
            arguments.append(f"{signature.result.cpp}& {signature.accumulator}")
        if signature.last is not None:
            arguments.append(f"const bool {signature.last}")
        out.at(self.path, self.kernel.line)
        out.open(f"KOKKOS_INLINE_FUNCTION void operator()({', '.join(arguments)}) const")
        if signature.team and self.target is not ExecutionSpace.Cuda:
            # Copies stay in registers; the compiler would load members again after each store of a
            # vector, which may alias them.
            for parameter in signature.parameters:
                out.put(f"const auto {parameter.name} = this->{parameter.name};")
        self.statements.block(self.kernel.body)
        out.close()
        out.in_generated_file()
        put_scratch_sizes(out, self.scratch)
        out.close("};")
        out.put()

    def _type(self, parameter: Parameter) -> str:
        """The C++ type of a member of the functor."""
        type_ = parameter.type
        if isinstance(type_, View):
            return f"View{type_.rank}D<{self._const(parameter)}{type_.element.cpp}>"
        return type_.cpp

    def _const(self, parameter: Parameter) -> str:
        return "" if parameter.name in self.kernel.written else "const "

    # ---- a launch -----------------------------------------------------------------------------

    def _packed_arguments(self) -> None:
        """The arguments of one launch, in the layout of Python's `struct`."""
        out = self.out
        out.open("struct _packed")
        for name in policy_fields(self.kernel.signature):
            out.put(f"int64_t _policy_{name};")
        out.put("void* _policy_result;")
        for parameter in self.kernel.signature.parameters:
            type_ = parameter.type
            if isinstance(type_, View):
                out.put(f"{self._const(parameter)}{type_.element.cpp}* {parameter.name};")
                for dimension in range(type_.rank):
                    out.put(f"int64_t _extent{dimension}_{parameter.name};")
            else:
                out.put(f"{type_.cpp} {parameter.name};")
        out.close("};")

    def _launcher(self) -> None:
        """The C function that launches the functor."""
        out, signature = self.out, self.kernel.signature
        out.open('extern "C" int kkspdnn_launch(const char* label, const void* arguments)')
        out.open("try")
        out.put("const _packed& p = *static_cast<const _packed*>(arguments);")
        members = ", ".join(self._unpacked(parameter) for parameter in signature.parameters)
        out.put(f"const {self.kernel.name}_functor functor{{{members}}};")
        for line in self._policy():
            out.put(line)
        for view, dimension in sorted(self.kernel.short_extents):
            self._return_error(
                f"p._extent{dimension}_{view} > INT32_MAX",
                f'"range({view}.extent({dimension})): the extent is larger than 2147483647"',
            )
        if self.debug:
            out.put(f"{CHECKS}::begin();")
        if self.scratch:
            out.put("functor._check_scratch(policy.team_size() < 1 ? 1 : policy.team_size());")
        for memory, level in scratch_levels(self.scratch):
            per = "PerTeam" if memory == "team_scratch" else "PerThread"
            size = f"Kokkos::{per}(functor._{memory}_{level}())"
            out.put(f"policy.set_scratch_size({level}, {size});")
        if signature.result is None:
            self._run("label, policy, functor")
        else:
            out.put(f"{signature.result.cpp} result = 0;")
            self._run("label, policy, functor, result")
            out.put(f"*static_cast<{signature.result.cpp}*>(p._policy_result) = result;")
        if self.target is ExecutionSpace.Cuda:
            # Kokkos checks for errors of the launch itself in debug builds only.
            out.put("const cudaError_t status = cudaGetLastError();")
            self._return_error("status != cudaSuccess", "cudaGetErrorString(status)")
            if self.debug:
                out.put("const cudaError_t end = cudaDeviceSynchronize();")
                self._return_error("end != cudaSuccess", "cudaGetErrorString(end)")
        elif self.debug:
            out.put("Kokkos::fence();")
            out.put(f"const char* const failed = {CHECKS}::failed();")
            self._return_error("failed != nullptr", "failed")
        if self.prints:
            if self.target is ExecutionSpace.Cuda:
                out.put("Kokkos::fence();")
            out.put("fflush(stdout);")
        out.put("return 0;")
        out.reopen("} catch (const std::exception& error) {")
        out.put("kkspdnn_set_error(error.what());")
        out.put("return 1;")
        out.close()
        out.close()

    def _run(self, arguments: str) -> None:
        """The call of Kokkos; for several indices one for each order of them."""
        out, signature = self.out, self.kernel.signature
        call = f"Kokkos::parallel_{signature.pattern}({arguments});"
        rank = len(signature.items)
        if rank == 1:
            out.put(call)
            return
        limits = (
            ", ".join(f"p._policy_{name}{number}" for number in range(rank))
            for name in ("begin", "end", "tile")
        )
        out.open("const auto launch = [&](auto rank)")
        out.put("using Index = Kokkos::IndexType<int64_t>;")
        out.put(
            "const Kokkos::MDRangePolicy<_space, decltype(rank), Index> policy("
            f"{', '.join(f'{{{each}}}' for each in limits)});"
        )
        out.put(call)
        out.close("};")
        out.put("using Kokkos::Iterate;")
        out.open("switch (p._policy_order)")
        for number, (outer, inner) in enumerate(_ORDERS):
            order = f"Kokkos::Rank<{rank}, Iterate::{outer}, Iterate::{inner}>()"
            out.put(f"case {number}: launch({order}); break;")
        out.close()

    def _return_error(self, condition: str, message: str) -> None:
        self.out.open(f"if ({condition})")
        self.out.put(f"kkspdnn_set_error({message});")
        self.out.put("return 1;")
        self.out.close()

    def _registers(self) -> None:
        """The C function that returns the number of registers of a thread."""
        out, functor = self.out, f"{self.kernel.name}_functor"
        out.put()
        out.open('extern "C" int kkspdnn_registers()')
        out.put(self._team_policy_type())
        out.put("using Bounds = typename Policy::traits::launch_bounds;")
        out.put(f"using Closure = Kokkos::Impl::ParallelFor<{functor}, Policy>;")
        out.put("using Launch = Kokkos::Impl::CudaParallelLaunch<Closure, Bounds>;")
        out.put("return lanes::registers<Launch>(0);")
        out.close()

    def _unpacked(self, parameter: Parameter) -> str:
        """A member of the functor from the packed arguments."""
        name = parameter.name
        if not isinstance(parameter.type, View):
            return f"p.{name}"
        extents = ", ".join(f"p._extent{d}_{name}" for d in range(parameter.type.rank))
        return f"{self._type(parameter)}(p.{name}, {extents})"

    def _team_policy_type(self) -> str:
        """The type of a team policy; with LaunchBounds if the kernel needs many registers."""
        bounds = "" if self.max_block == _BLOCK else f", Kokkos::LaunchBounds<{self.max_block}, 1>"
        return f"using Policy = Kokkos::TeamPolicy<_space{bounds}>;"

    def _policy(self) -> list[str]:
        """The policy of the launch."""
        signature = self.kernel.signature
        if signature.team:
            return [
                self._team_policy_type(),
                "const int league = static_cast<int>(p._policy_end);",
                "const int vector = static_cast<int>(p._policy_vector_length);",
                f"{'' if self.scratch else 'const '}Policy policy = p._policy_team_size == 0"
                " ? Policy(league, Kokkos::AUTO, vector)"
                " : Policy(league, static_cast<int>(p._policy_team_size), vector);",
            ]
        if len(signature.items) > 1:
            return []  # see `_run`
        # Kokkos computes the blocks of a scan, and of a reduction on a GPU, in the index type, and
        # the last blocks end past the range: near 2^31 an int32_t would wrap.
        gpu = self.target is ExecutionSpace.Cuda
        wide = signature.pattern == "scan" or (gpu and signature.pattern == "reduce")
        index = "int64_t" if wide else "int32_t"
        return [
            f"const Kokkos::RangePolicy<_space, Kokkos::IndexType<{index}>> policy("
            f"static_cast<{index}>(p._policy_begin), static_cast<{index}>(p._policy_end));"
        ]

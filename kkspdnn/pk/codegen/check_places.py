"""Debug mode: the C++ function that names the file and the line of a failed check."""

from __future__ import annotations

from kkspdnn.pk import ir
from kkspdnn.pk.codegen.cpp_expressions import CHECKS
from kkspdnn.pk.codegen.cpp_statements import string_literal
from kkspdnn.pk.codegen.writer import Writer

_PARAMETERS = "const int line, const char* array"


def put_place(out: Writer, path: str, workunit: str) -> None:
    """Define the function `kkspdnn_place` of a workunit, which takes a line and an array.

    path: the name of its file in the C++ code
    """
    head = f"KOKKOS_INLINE_FUNCTION {CHECKS}::Place kkspdnn_place({_PARAMETERS})"
    out.put(f"{head} {{ return {_place(path, workunit)}; }}")
    out.put()


def put_place_of_function(out: Writer, function: ir.DeviceFunction, workunit: str) -> None:
    """Define another `kkspdnn_place` inside a function that is in a cell of its own."""
    if function.path is not None:
        place = _place(_cell_name(function), workunit)
        out.put(f"const auto kkspdnn_place = []({_PARAMETERS}) {{ return {place}; }};")


def cells_of_functions(kernel: ir.Kernel) -> tuple[tuple[str, str], ...]:
    """Return the names in the C++ code of the cells of functions, and their names in IPython."""
    return tuple((_cell_name(each), each.path) for each in kernel.functions if each.path)


def _cell_name(function: ir.DeviceFunction) -> str:
    return f"cell of {function.name}"


def _place(path: str, workunit: str) -> str:
    return f"{CHECKS}::Place{{{string_literal(path)}, {string_literal(workunit)}, line, array}}"

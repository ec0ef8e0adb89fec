"""The compiler: from a workunit to C++, or to source for the real PyKokkos."""

from __future__ import annotations

from kkspdnn.pk.codegen.emit import Generated, emit
from kkspdnn.pk.codegen.pykokkos_source import PyKokkosSource, emit_pykokkos
from kkspdnn.pk.frontend.analyse import analyse
from kkspdnn.pk.frontend.parse import parse
from kkspdnn.pk.frontend.workunit import Workunit
from kkspdnn.pk.passes.add_checks import add_checks
from kkspdnn.pk.passes.vectorize import vectorize
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.signature import Types


def generate(
    workunit: Workunit, target: ExecutionSpace, types: Types = (), *, debug: bool = False
) -> Generated:
    """Return the C++ of a workunit for an execution space.

    types: of the parameters without annotation
    debug: check indices and divisors, and vectorize nothing

    Raises WorkunitError if the workunit uses a construct that is not in the language.
    """
    kernel = analyse(parse(workunit), types)
    kernel = add_checks(kernel) if debug else vectorize(kernel, target)
    return emit(kernel, target, debug)


def generate_pykokkos(
    workunit: Workunit, target: ExecutionSpace, types: Types = ()
) -> PyKokkosSource:
    """Return the source of a workunit for the real PyKokkos, in an execution space.

    On a GPU the lanes of a ThreadVectorRange are threads, on a CPU they are in blocks. Otherwise as
    `generate`.
    """
    kernel = analyse(parse(workunit), types)
    if target is not ExecutionSpace.Cuda:
        kernel = vectorize(kernel, target)
    return emit_pykokkos(kernel, target)

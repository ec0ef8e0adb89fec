"""PyKokkos source of a workunit for the real PyKokkos, written from the IR.

The workunit that it defines has the types of one launch, and blocks of lanes instead of vectors.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from kkspdnn.pk import ir
from kkspdnn.pk.codegen.python_expressions import annotation
from kkspdnn.pk.codegen.python_statements import PythonStatements
from kkspdnn.pk.codegen.python_writer import PythonWriter
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.signature import Parameter, Signature
from kkspdnn.pk.system.paths import package_path
from kkspdnn.pk.types import View

_FUNCTION: Final = "_workunit"
"""The function's name until its digest is known."""


@dataclass(frozen=True)
class PyKokkosSource:
    """The PyKokkos source of one workunit for one execution space and one choice of types.

    name: of the workunit
    function: the name that it has in the text, which is the module's name too. It contains a digest
    of the text, because a process must not load two modules, or two functors, of the same name;
    the execution space is in the text
    text: a Python module; it contains no absolute path
    written: the views that the workunit stores to
    """

    name: str
    function: str
    text: str
    signature: Signature
    written: frozenset[str]


def emit_pykokkos(kernel: ir.Kernel, target: ExecutionSpace) -> PyKokkosSource:
    """Return the PyKokkos source of a kernel.

    kernel: for a CPU, prepared by `vectorize`; for a GPU, without vectors
    """
    out = PythonWriter()
    statements = PythonStatements(out, lanes_are_threads=target is ExecutionSpace.Cuda)
    place = f"line {kernel.line} of {package_path(kernel.path)}"
    out.put(f'"""{kernel.name} for {target.value}, from {place}."""')
    out.put()
    out.put("import math")
    out.put("from typing import List")
    out.put()
    out.put("import pykokkos as pk")
    for function in kernel.functions:
        out.put()
        out.put()
        out.put("@pk.function")
        parameters = ", ".join(f"{p.name}: {_function_annotation(p)}" for p in function.parameters)
        result = "None" if function.result is None else annotation(function.result)
        with out.block(f"def {function.name}({parameters}) -> {result}:"):
            statements.block(function.body)
    out.put()
    out.put()
    _decorator(out, kernel.signature)
    with out.block(f"def {_FUNCTION}({', '.join(_parameters(kernel.signature))}):"):
        statements.block(kernel.body)
    text = out.text()
    unique = f"{kernel.name}_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    text = text.replace(f"def {_FUNCTION}(", f"def {unique}(")
    return PyKokkosSource(kernel.name, unique, text, kernel.signature, kernel.written)


def _decorator(out: PythonWriter, signature: Signature) -> None:
    """The layout of all views, which on a GPU is not PyKokkos's default."""
    layout = "pk.ViewTypeInfo(layout=pk.Layout.LayoutRight, trait=pk.Trait.Unmanaged)"
    views = [p.name for p in signature.parameters if isinstance(p.type, View)]
    out.put(f"@pk.workunit({', '.join(f'{name}={layout}' for name in views)})")


def _parameters(signature: Signature) -> list[str]:
    """The parameters with their annotations, in PyKokkos's order."""
    item_type = "pk.TeamMember" if signature.team else "int"
    parameters = [f"{item}: {item_type}" for item in signature.items]
    if signature.accumulator is not None and signature.result is not None:
        parameters.append(f"{signature.accumulator}: pk.Acc[pk.{signature.result.name}]")
    if signature.last is not None:
        parameters.append(f"{signature.last}: bool")
    return parameters + [f"{p.name}: {_annotation(p)}" for p in signature.parameters]


def _annotation(parameter: Parameter) -> str:
    type_ = parameter.type
    return _view_annotation(type_) if isinstance(type_, View) else annotation(type_)


def _function_annotation(parameter: ir.Name | ir.ViewParameter) -> str:
    if isinstance(parameter, ir.ViewParameter):
        return _view_annotation(parameter.view)
    return annotation(parameter.type)


def _view_annotation(view: View) -> str:
    return f"pk.View{view.rank}D[pk.{view.element.name}]"

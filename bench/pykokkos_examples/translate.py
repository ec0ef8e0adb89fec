"""Translates free workunits to C++ and compiles it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.pykokkos_examples.free_workunits import FreeWorkunit
from bench.pykokkos_examples.guesses import guess_form, guess_types
from kkspdnn.errors import KkspdnnError, ToolchainError, first_line
from kkspdnn.pk import language_as_pykokkos
from kkspdnn.pk.build.find_runtime import find_runtime_library
from kkspdnn.pk.build.toolchain import usable_cores
from kkspdnn.pk.codegen.emit import Generated
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.frontend.diagnostics import WorkunitWarning
from kkspdnn.pk.frontend.workunit import Workunit
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.signature import Pattern, Types
from kkspdnn.pk.system.import_file import import_file
from kkspdnn.pk.system.termination import map_in_threads
from kkspdnn.pk.types import Scalar, View


@dataclass(frozen=True)
class WorkunitResult:
    """Whether a workunit compiles as it is written.

    pattern, team, types: how it was translated; types: of the parameters without annotation
    warnings: the number of WorkunitWarnings
    problem, hint: why it does not compile, and what to write instead; None if it does
    """

    file: str
    line: int
    name: str
    pattern: Pattern
    team: bool
    types: dict[str, str]
    warnings: int
    problem: str | None
    hint: str | None


@dataclass(frozen=True)
class _Translation:
    result: WorkunitResult
    generated: Generated | None


def translate_workunits(
    workunits: Sequence[FreeWorkunit], progress: Callable[[int], None]
) -> Iterator[WorkunitResult]:
    """Yield the result of each workunit, compiled for OpenMP on all cores.

    progress: called with the number of workunits that are done

    Raises ToolchainError if this machine has no compiler, and CacheError.
    """
    library = find_runtime_library(ExecutionSpace.OpenMP)

    def compiled(translation: _Translation) -> WorkunitResult:
        if translation.generated is not None:
            try:
                library.compile_workunit(translation.generated)
            except ToolchainError as error:
                return replace(translation.result, problem=first_line(error))
        return translation.result

    with TemporaryDirectory(prefix="kkspdnn-bench-") as folder:
        translations = [
            _translate(workunit, Path(folder) / str(number))
            for number, workunit in enumerate(workunits)
        ]
        with closing(map_in_threads(compiled, translations, usable_cores())) as results:
            for number, result in enumerate(results):
                progress(number)
                yield result


def _translate(workunit: FreeWorkunit, folder: Path) -> _Translation:
    """Translate a workunit with the first guess of its types that the compiler accepts."""
    form = guess_form(workunit.node)
    result = WorkunitResult(
        file=workunit.file,
        line=workunit.line,
        name=workunit.name,
        pattern=form.pattern,
        team=form.rank == 0,
        types={},
        warnings=0,
        problem=None,
        hint=None,
    )
    try:
        loaded = _load(workunit, folder).in_form(form)
    except Exception as error:  # what the file of PyKokkos raises
        return _Translation(replace(result, problem=first_line(error)), None)
    failed: WorkunitResult | None = None
    for types in guess_types(workunit.node, loaded.generic):
        named = dict(zip(loaded.generic, map(_text, types), strict=True))
        try:
            generated, count = _generate(loaded, types)
        except KkspdnnError as error:
            problem, hint = _problem(error)
            failed = failed or replace(result, types=named, problem=problem, hint=hint)
        else:
            return _Translation(replace(result, types=named, warnings=count), generated)
    assert failed is not None
    return _Translation(failed, None)


def _load(workunit: FreeWorkunit, folder: Path) -> Workunit:
    """Import a workunit from a file of its own; with `pykokkos` as the built-in compiler."""
    folder.mkdir()
    path = folder / Path(workunit.file).name
    path.write_text(workunit.text, "utf-8")
    with language_as_pykokkos():
        module = import_file(f"_workunit_{folder.name}", path)
    loaded = getattr(module, workunit.name)
    assert isinstance(loaded, Workunit)
    return loaded


def _generate(workunit: Workunit, types: Types) -> tuple[Generated, int]:
    """Return the C++ and the number of warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", WorkunitWarning)
        generated = generate(workunit, ExecutionSpace.OpenMP, types)
    return generated, sum(issubclass(each.category, WorkunitWarning) for each in caught)


def _problem(error: KkspdnnError) -> tuple[str, str | None]:
    """The problem, without the file before it, and the hint of a WorkunitError."""
    first, *others = str(error).splitlines()
    if not others:
        return first, None
    return first.split(": ", 1)[1], others[-1].strip()


def _text(type_: Scalar | View) -> str:
    return f"{type_.element.name}[{type_.rank}]" if isinstance(type_, View) else type_.name

"""Which part of the package may import which."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import kkspdnn

ROOT = Path(kkspdnn.__file__).parent

ROOMS = [
    *("errors", "choices", "units", "version", "notebook_html", "pykokkos_finder"),
    *("pk", "progress", "workunits", "device", "model", "io"),
    *("engines", "pruning", "serial_reference"),
    *(
        "parallel",
        "records",
        "verify",
        "tuning",
        "inference",
        "fitted_estimator",
        "predictor",
        "torch",
        "figures",
        "cli",
        "__main__",
    ),
]
"""The modules and subpackages of kkspdnn: each imports only those before it."""

PK_ROOMS = [
    *("system", "arrays", "types", "signature", "spaces", "policy", "ir"),
    *("frontend", "argument_names", "passes", "codegen", "compiler", "build", "runtime"),
    *("launch_form", "dispatch", "launch_sequence", "prepared_launch", "api", "language"),
    *("locate", "installed"),
]
"""Those of kkspdnn.pk, likewise."""


def modules() -> dict[str, Path]:
    """The files of the package, by module name."""
    found = {}
    for path in sorted([*ROOT.rglob("*.py"), *(ROOT / "workunits").glob("*.py")]):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(module: str) -> set[str]:
    """The modules of the package that a module imports: at its top, in its functions, and for type
    checkers only."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: write out the package of a relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES else str(node.module))
    return (found & MODULES.keys()) - {module}


def misplaced(package: str, rooms: list[str]) -> list[str]:
    """Imports within a package from a room that is not before their own."""

    def room(module: str) -> int:
        below = module.removeprefix(f"{package}.")
        return rooms.index(below.split(".")[0])

    inside = [module for module in MODULES if module.startswith(f"{package}.")]
    return [
        f"{module} imports {other}"
        for module in inside
        for other in sorted(imports(module))
        if other in inside and room(other) > room(module)
    ]


@pytest.mark.parametrize(("package", "rooms"), [("kkspdnn", ROOMS), ("kkspdnn.pk", PK_ROOMS)])
def test_rooms_import_those_before_them(package: str, rooms: list[str]) -> None:
    assert misplaced(package, rooms) == []


def test_an_import_against_the_order_is_found() -> None:
    """The order of the rooms the other way round has many."""
    assert "kkspdnn.verify imports kkspdnn.serial_reference" in misplaced("kkspdnn", ROOMS[::-1])


def test_no_files_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter({module: imports(module) for module in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize(
    "package", [name for name, path in MODULES.items() if path.name == "__init__.py"]
)
def test_no_module_has_the_name_of_a_function(package: str) -> None:
    """`package.name` would be the one or the other, depending on what was imported first."""
    loaded = importlib.import_module(package)
    below = {name.rpartition(".")[2] for name in MODULES if name.rpartition(".")[0] == package}
    for name in below & {*getattr(loaded, "__all__", ()), *vars(loaded)}:
        assert getattr(loaded, name).__name__ == f"{package}.{name}"


def sources() -> list[Path]:
    """Return the files of the package, except workunits, and of the benchmarks."""
    package = [path for path in MODULES.values() if path.parent.name != "workunits"]
    return [*package, *sorted((ROOT.parent / "bench").rglob("*.py"))]


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {str(path): len(path.read_text().splitlines()) for path in sources()}
    assert {path: lines for path, lines in lengths.items() if lines > 400} == {}


def function_lengths(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the name of each function and its number of lines, without its docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if ast.get_docstring(node) is not None:
                lines -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
            yield node.name, lines


def test_no_function_is_longer_than_60_lines() -> None:
    found = [
        f"{path}: {name} has {lines} lines"
        for path in sources()
        for name, lines in function_lengths(ast.parse(path.read_text()))
        if lines > 60
    ]
    assert found == []


def test_a_docstring_does_not_count() -> None:
    tree = ast.parse('def f():\n    """One line.\n\n    Another one.\n    """\n    return 1\n')
    assert list(function_lengths(tree)) == [("f", 2)]


def test_methods_of_the_same_name_are_measured_separately() -> None:
    tree = ast.parse("class A:\n  def f():\n    1\n    2\nclass B:\n  def f():\n    1\n")
    assert sorted(function_lengths(tree)) == [("f", 2), ("f", 3)]

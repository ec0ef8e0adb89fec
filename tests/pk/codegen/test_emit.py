"""The generated C++: its `#line` directives, its names, and errors of the C++ compiler."""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import kernels
import numpy as np
import pykokkos as pk
import pytest

from kkspdnn.errors import ToolchainError
from kkspdnn.pk import ir
from kkspdnn.pk.build.find_runtime import find_runtime_library
from kkspdnn.pk.codegen.emit import emit
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.frontend.analyse import analyse
from kkspdnn.pk.frontend.parse import parse
from kkspdnn.pk.frontend.workunit import Workunit
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.types import INT32

Load = Callable[..., ModuleType]
WORKUNITS = [w for w in vars(kernels).values() if isinstance(w, Workunit) and not w.generic]


def locate_lines(text: str) -> list[tuple[str, int, str]]:
    """Return (file, line, C++ line) of each line, as the C++ compiler counts them."""
    file, number, lines = "workunit.cpp", 1, []
    for line in text.splitlines():
        directive = re.fullmatch(r'#line (\d+) (".*")', line)
        if directive:
            number, file = int(directive[1]), json.loads(directive[2])
        else:
            lines.append((file, number, line))
            number += 1
    return lines


@pytest.mark.parametrize("workunit", WORKUNITS, ids=lambda w: w.__name__)
def test_line_directives_name_the_line_of_the_workunit(workunit: Workunit) -> None:
    generated = generate(workunit, pk.OpenMP)
    text, path = generated.text, generated.file
    python = Path(generated.path).read_text(encoding="utf-8").splitlines()
    physical = text.splitlines()
    own = [line for file, _, line in locate_lines(text) if file == path]
    assert own
    for file, number, line in locate_lines(text):
        if file == "workunit.cpp":
            assert physical[number - 1] == line
        elif assigned := re.match(r"\s*(?!using)(?:\w+ )?(\w+)\S* \S*= .*;$", line):
            assert assigned[1] in python[number - 1]
        elif "parallel_" in line:
            assert "parallel_" in python[number - 1]


def test_an_error_in_cpp_names_the_line_of_the_workunit(load: Load) -> None:
    module = load(
        "import pykokkos as pk\n\n\n"
        "@pk.workunit\ndef w(i: int, n: int):\n    k: int = n\n    k += 1\n"
    )
    kernel = analyse(parse(module.w), ())
    declaration, increment = kernel.body
    assert isinstance(increment, ir.Assign)
    broken = ir.Assign(increment.line, ir.Name("nowhere", INT32), "+=", increment.value)
    text = emit(
        ir.Kernel(
            kernel.name,
            kernel.path,
            kernel.line,
            kernel.signature,
            (),
            (declaration, broken),
            kernel.written,
        ),
        ExecutionSpace.Serial,
    )
    with pytest.raises(ToolchainError) as caught:
        find_runtime_library(ExecutionSpace.Serial).compile_workunit(text)
    message = str(caught.value)
    assert message.startswith(f"compiling workunit w failed: {module.__file__}:7:")
    assert "nowhere" in message
    assert "\n" not in message


def test_the_text_does_not_depend_on_the_folder(load: Load, tmp_path: Path) -> None:
    """So that another installation finds the compiled workunits in the cache."""
    source = "import pykokkos as pk\n\n\n@pk.workunit\ndef w(i: int, n: int):\n    k: int = n\n"
    for folder in ("a", "b", "c/package"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "c" / "package" / "__init__.py").touch()
    paths = ("a/own.py", "b/own.py", "b/other.py", "c/package/own.py")
    modules = [load(source, path) for path in paths]
    generated = [generate(module.w, pk.OpenMP) for module in modules]
    assert [each.file for each in generated] == ["own.py", "own.py", "other.py", "package/own.py"]
    assert [each.path for each in generated] == [module.__file__ for module in modules]
    assert generated[0].text == generated[1].text
    assert len({each.text for each in generated}) == 3
    for each in generated:
        assert f'#line 5 "{each.file}"' in each.text
        assert f"from line 5 of {each.file}\n" in each.text
        assert str(tmp_path) not in each.text


def test_views_that_are_only_read_are_const() -> None:
    text = generate(kernels.running_sum, pk.Serial).text
    assert "View1D<const int64_t> x;" in text
    assert "View1D<int64_t> before;" in text


def test_the_same_workunit_gives_the_same_text() -> None:
    first = generate(kernels.operators, pk.OpenMP)
    assert generate(kernels.operators, pk.OpenMP) == first
    assert generate(kernels.operators, pk.Serial).text != first.text


@pytest.mark.parametrize("folder", ["größe und Maß", 'a "quoted" back\\slash'])
def test_odd_file_names(tmp_path: Path, load: Load, folder: str) -> None:
    (tmp_path / folder).mkdir()
    module = load(
        "import pykokkos as pk\n\n\n"
        "@pk.workunit\ndef w(i: int, x: pk.View1D[pk.int32]):\n    x[i] = i\n",
        f"{folder}/kernels.py",
    )
    x = np.zeros(3, np.int32)
    pk.parallel_for("w", pk.RangePolicy(pk.Serial, 0, 3), module.w, x=x)
    assert x.tolist() == [0, 1, 2]


def test_python_threads_generate_in_parallel() -> None:
    """Also with a garbage collector callback, which lets other threads run: hypothesis has such a
    callback, and Python 3.11 then miscounts the depth of syntax trees."""

    def callback(*_: object) -> None:
        sum(range(50))

    gc.callbacks.append(callback)
    try:
        with ThreadPoolExecutor(4) as pool:
            generated = list(pool.map(lambda _: generate(kernels.dot, pk.Serial), range(100)))
    finally:
        gc.callbacks.remove(callback)
    assert {each.text for each in generated} == {generate(kernels.dot, pk.Serial).text}

"""Workunits in cells: what they use may be in other cells, and cells may run again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from notebook_cells import run_cells

pytestmark = pytest.mark.slow

Run = Callable[..., list[str]]

IMPORTS = "import numpy as np\nfrom kkspdnn import pk"
LAUNCH = "x = np.zeros(2); pk.parallel_for(2, w, x=x); x.tolist()"
SHOW = """
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.policy import ExecutionSpace
text = generate(w, ExecutionSpace.Serial, ()).text.partition("operator()")[2]
lines = text.partition("}")[0].splitlines()[1:]
"".join(each.strip() for each in lines if "#line" not in each)
"""
"""Shows the C++ of the statements."""


def workunit(value: str, pk: str = "pk") -> str:
    return f"@{pk}.workunit\ndef w(i: int, x: {pk}.View1D[{pk}.double]):\n    x[i] = {value}\n"


def helper(value: str) -> str:
    return f"@pk.function\ndef f(z: float) -> float:\n    return {value}\n"


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A function that runs cells in an IPython of its own, and returns their results."""
    pytest.importorskip("IPython", reason="needs IPython to run cells")
    tests = Path(__file__).parents[2]
    environment = {
        **os.environ,
        "IPYTHONDIR": str(tmp_path_factory.mktemp("ipython")),
        "PYTHONPATH": str(tests.parent),
        "KKSPDNN_PK": "builtin",
    }
    process = subprocess.Popen(
        [sys.executable, tests / "pk" / "ipython_server.py"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def run(*sources: str) -> list[str]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(sources) + "\n")
        process.stdin.flush()
        results: list[str] = json.loads(process.stdout.readline())
        return results

    yield run
    process.communicate()


def test_a_cell_need_not_repeat_the_import(cells: Run) -> None:
    assert cells(IMPORTS, workunit("i + 1"), LAUNCH)[2] == "[1.0, 2.0]"


@pytest.mark.parametrize(
    ("imports", "definition", "expected"),
    [
        ("import kkspdnn\nimport pykokkos as pk2", workunit("i + 1", "pk2"), "x(i) = i + 1;"),
        ("import kkspdnn as kk", workunit("i + 1", "kk.pk"), "x(i) = i + 1;"),
        (
            "from kkspdnn.pk import workunit",
            "@workunit\ndef w(i):\n    x: int = i + 1\n",
            "int32_t x = i + 1;",
        ),
        (
            "from kkspdnn.pk import workunit, View1D as Vector, double, atomic_add",
            "@workunit\ndef w(i: int, x: Vector[double]):\n    atomic_add(x, [i], 1.0)\n",
            "Kokkos::atomic_add(&x(i), static_cast<double>(1.0));",
        ),
        (
            f"{IMPORTS}\nreal = pk.double",
            "@pk.workunit\ndef w(i: int, x: pk.View1D[real]):\n    x[i] = i + 1\n",
            "x(i) = i + 1;",
        ),
        (
            f"{IMPORTS}\nVector = pk.View1D[pk.double]",
            "@pk.workunit\ndef w(i: int, x: Vector):\n    x[i] = i + 1\n",
            "x(i) = i + 1;",
        ),
        (
            f"{IMPORTS}\nVector, Sum = pk.View1D[float], pk.Acc[pk.double]",
            "@pk.workunit\ndef w(i: int, total: Sum, x: Vector):\n    total += x[i]\n",
            "total += x(i);",
        ),
    ],
    ids=["alias", "module", "workunit", "names", "scalar type", "view type", "other types"],
)
def test_names_of_other_cells(imports: str, definition: str, expected: str, cells: Run) -> None:
    results = cells(imports, definition, SHOW)
    assert results == ["None", "None", repr(expected)]


def test_math_of_another_cell(cells: Run) -> None:
    definition = workunit("math.sqrt(i)")
    assert "std::sqrt" in cells(IMPORTS, "import math", definition, SHOW)[3]
    error = cells(IMPORTS, definition, SHOW)[2]
    assert error.endswith(
        "write `import math` at the top of the file, or in a cell of the notebook"
    )


def test_a_cell_that_runs_again(cells: Run) -> None:
    """The new text is compiled, also while the old workunit is still referenced."""
    old = LAUNCH.replace("w,", "old,")
    results = cells(
        IMPORTS, workunit("i + 1"), LAUNCH, f"old = w\n{workunit('i + 2')}", LAUNCH, old, LAUNCH
    )
    assert results[2::2] == ["[1.0, 2.0]", "[2.0, 3.0]", "[2.0, 3.0]"]
    assert results[5] == "[1.0, 2.0]"
    results = cells(IMPORTS, workunit("i + 1"), f"old = w\n{workunit('i + 2')}", LAUNCH, old)
    assert results[3:] == ["[2.0, 3.0]", "[1.0, 2.0]"]


def test_functions_of_other_cells(cells: Run) -> None:
    """Also one that is defined again after the launch of a workunit that calls it."""
    results = cells(
        IMPORTS, workunit("f(i)"), helper("z + 1"), LAUNCH, helper("z + 2"), LAUNCH, LAUNCH
    )
    assert results[3:] == ["[1.0, 2.0]", "None", "[2.0, 3.0]", "[2.0, 3.0]"]
    # A launch in another form than the annotations name.
    generic = "@pk.workunit\ndef w(i, total, x):\n    total += f(x[i])\n"
    total = "pk.parallel_reduce(2, w, x=np.ones(2))"
    results = cells(IMPORTS, helper("z + 1"), generic, total, helper("z + 2"), total)
    assert results[3:] == ["4.0", "None", "6.0"]


def test_a_function_of_a_file_is_refused(cells: Run, tmp_path: Path) -> None:
    (tmp_path / "other_file.py").write_text(f"{IMPORTS}\n{helper('z')}")
    imports = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from other_file import f"
    assert "or in a cell of its notebook" in cells(IMPORTS, imports, workunit("f(i)"), SHOW)[3]


@pytest.mark.parametrize(
    ("magic", "line"),
    [("%%time", 4), ("%%time\n\n# text", 6), ("%%capture\n%%time", 5), ("%%capture", 3)],
)
def test_magics(magic: str, line: int, cells: Run) -> None:
    """line: that of an error; IPython counts the lines after `%%capture`."""
    results = cells(IMPORTS, f"{magic}\n{workunit('i + 5')}", "1", SHOW)
    assert results[3] == "'x(i) = i + 5;'"
    error = cells(IMPORTS, f"{magic}\n{workunit('y')}", "1", SHOW)[3]
    assert f"]:{line}: `y` is not defined here" in error


def test_a_launch_in_the_same_timed_cell(cells: Run) -> None:
    assert cells(IMPORTS, f"%%time\n{workunit('i + 1')}\n{LAUNCH}")[1] == "[1.0, 2.0]"


def test_code_without_source_is_one_line(cells: Run) -> None:
    error = cells(IMPORTS, f"exec({workunit('i')!r})", SHOW)[2]
    assert error.startswith("KkspdnnError: workunit w: no source: <string> is code of exec, or of ")
    assert error.endswith("define workunits in a .py file or in a notebook")
    assert "\n" not in error


def test_errors_name_the_cell(cells: Run) -> None:
    error = cells(IMPORTS, "n = 3", workunit("n"), SHOW)[3].splitlines()
    assert error[0].startswith("WorkunitError: Cell In[")
    assert error[0].endswith("]:3: `n` is a global of Python")
    assert error[-1] == "  pass its value as an argument"


def test_a_name_that_is_not_pykokkos(cells: Run) -> None:
    error = cells(IMPORTS, workunit("i + 1"), "pk = 3", SHOW)[3].splitlines()
    assert error[0].endswith(":1: `pk` is not PyKokkos here")
    assert error[-1].startswith("  write `import pykokkos as pk` or `from kkspdnn import pk`")


def test_run_and_autoreload(cells: Run, tmp_path: Path) -> None:
    script = tmp_path / "workunits_to_reload.py"
    launch_of_module = LAUNCH.replace("w,", "workunits_to_reload.w,")
    script.write_text(f"{IMPORTS}\n{workunit('i + 1')}")
    # Of another length, because a file that changes within a second may seem to be the same.
    changed = f"{IMPORTS}\n\n{workunit('i + 2')}"
    results = cells(
        f"%run {script}",
        LAUNCH,
        "%load_ext autoreload\n%autoreload 2",
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import workunits_to_reload",
        launch_of_module,
        f"with open({str(script)!r}, 'w') as file: file.write({changed!r})",
        launch_of_module,
        f"%run {script}",
        LAUNCH,
        "%autoreload 0",
    )
    assert results[1] == "[1.0, 2.0]"
    assert results[4] == "[1.0, 2.0]"
    assert results[6] == "[2.0, 3.0]"
    assert results[8] == "[2.0, 3.0]"


def test_workunits_in_a_class(cells: Run) -> None:
    body = workunit("i + 1").replace("\n", "\n    ")
    for head in (
        "@staticmethod\n    " + body,
        body.replace("workunit\n", "workunit\n    @staticmethod\n"),
    ):
        results = cells(IMPORTS, f"class A:\n    {head}", LAUNCH.replace("w,", "A.w,"))
        assert results[2] == "[1.0, 2.0]"
        results = cells(IMPORTS, f"class A:\n    {head}", LAUNCH.replace("w,", "A().w,"))
        assert results[2] == "[1.0, 2.0]"
    method = body.replace("i: int", "self, i: int")
    error = cells(IMPORTS, f"class A:\n    {method}", LAUNCH.replace("w,", "A().w,"))[2]
    assert "a workunit is no method" in error
    assert error.endswith(
        "write @staticmethod above @pk.workunit, and pass the attributes as arguments"
    )


def test_debug_mode_names_the_cell_of_a_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the kernel of a notebook."""
    monkeypatch.setenv("KKSPDNN_DEBUG", "1")
    function = "@pk.function\ndef f(x: pk.View1D[pk.double], i: int) -> float:\n    return x[i]\n"
    ran = run_cells(
        IMPORTS,
        function,
        workunit("f(x, i + 1)"),
        LAUNCH,
        workunit("x[i + 1]"),
        LAUNCH,
        workunit("y[i]"),
        LAUNCH,
    )
    assert [ran.texts(n) for n in (0, 1, 2, 4, 6)] == [[]] * 5
    assert ran.texts(3)[0].startswith("OutOfBoundsError: Cell In[2]:3: w: index 2 is out of bounds")
    assert ran.texts(5)[0].startswith("OutOfBoundsError: Cell In[5]:3: w: index 2 is out of bounds")
    assert ran.texts(7)[0].startswith("WorkunitError: Cell In[7]:3: `y` is not defined here")

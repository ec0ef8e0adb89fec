"""Compile errors: the whole text of some, the source location and the key words of all."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest
from ir_of_source import HEAD, Load, source_of

from kkspdnn.pk.frontend.analyse import analyse
from kkspdnn.pk.frontend.diagnostics import WorkunitError, WorkunitWarning
from kkspdnn.pk.frontend.parse import parse
from kkspdnn.pk.frontend.unsupported import UNSUPPORTED
from kkspdnn.pk.types import DOUBLE, FLOAT, INT32, INT64, View

PARAMETERS = (
    "i: int, x: pk.View1D[pk.double], a: pk.View2D[pk.int32], u: pk.View1D[pk.uint32], "
    "w: pk.View1D[pk.int64], n: int, big: pk.int64, y: float, flag: bool"
)
TEAM = "m: pk.TeamMember, x: pk.View1D[pk.double], n: int, big: pk.int64"


def workunit(body: str, parameters: str = PARAMETERS, before: str = "") -> str:
    """A file with the workunit `w`, whose body is `body`."""
    return source_of(body, parameters, before)


def error_of(load: Load, text: str, **inferred: Any) -> str:
    """The compile error of the workunit `w`, without the folder of the file."""
    module = load(text)
    with pytest.raises(WorkunitError) as caught:
        analyse(parse(module.w), tuple(inferred.values()))
    path = module.__file__
    assert path is not None
    message = str(caught.value)
    assert message.startswith(f"{path}:")
    return message.removeprefix(path[: -len("kernels.py")])


# ---- whole texts ------------------------------------------------------------------------------


def test_text_of_an_unsupported_construct(load: Load) -> None:
    message = error_of(load, workunit("x[i] = 1.0 if y > 0.0 else 2.0"))
    assert message == (
        "kernels.py:7: a conditional expression is not in the workunit language\n"
        "        x[i] = 1.0 if y > 0.0 else 2.0\n"
        "               ^^^^^^^^^^^^^^^^^^^^^^^\n"
        "  write an if statement that assigns in both branches"
    )


def test_text_of_an_unknown_name(load: Load) -> None:
    assert error_of(load, workunit("if flag:\n    z: float = 1.0\nx[i] = z")) == (
        "kernels.py:9: `z` is not defined here\n"
        "        x[i] = z\n"
        "               ^\n"
        "  pass it as an argument, or declare it above, in this block or one around it"
    )


def test_text_of_a_missing_annotation(load: Load) -> None:
    assert error_of(load, workunit("z = 0.0")) == (
        "kernels.py:7: `z` is not declared in this block\n"
        "        z = 0.0\n"
        "        ^\n"
        "  declare it where every use sees it: `z: float = …`"
    )


def test_text_of_a_narrowing(load: Load) -> None:
    assert error_of(load, workunit("k: int = w[i] + 1")) == (
        "kernels.py:7: int64 into int32 may lose its upper bits\n"
        "        k: int = w[i] + 1\n"
        "                 ^^^^^^^^\n"
        "  write int(…)"
    )


def test_text_of_an_unsupported_operator(load: Load) -> None:
    assert error_of(load, workunit("x[i] = y @ y")) == (
        "kernels.py:7: the @ operator is not in the workunit language\n"
        "        x[i] = y @ y\n"
        "               ^^^^^\n"
        "  write the loops"
    )


def test_text_of_an_unsupported_parameter(load: Load) -> None:
    assert error_of(load, workunit("pass", "i: int, a: pk.View2D[str]")) == (
        "kernels.py:6: parameter `a` has no supported type\n"
        "    def w(i: int, a: pk.View2D[str]):\n"
        "                  ^^^^^^^^^^^^^^^^^\n"
        "  write pk.View1D[pk.double] (1D to 3D; int8 … uint64, float, double), int, float, "
        "bool or a pk scalar, or omit the annotation, so that the launch sets the type"
    )


def test_text_in_a_function(load: Load) -> None:
    before = "@pk.function\ndef f(z: float) -> float:\n    return z + q\n"
    assert error_of(load, workunit("x[i] = f(y)", before=before)) == (
        "kernels.py:6: `q` is not defined here\n"
        "        return z + q\n"
        "                   ^\n"
        "  pass it as an argument, or declare it above, in this block or one around it"
    )


def test_text_of_a_captured_local(load: Load) -> None:
    body = """
        total: float = 0.0

        def inner(j: int):
            total += x[j]

        pk.parallel_for(pk.TeamThreadRange(m, n), inner)
    """
    assert error_of(load, workunit(body, TEAM)) == (
        "kernels.py:10: `total` is a local of the enclosing workunit\n"
        "            total += x[j]\n"
        "            ^^^^^\n"
        "  use a nested pk.parallel_reduce with a pk.Acc, or a view"
    )


def test_the_caret_counts_characters_not_bytes(load: Load) -> None:
    message = error_of(load, workunit("x[i] = 'größe' + z"))
    line, caret = message.splitlines()[1:3]
    assert line[caret.index("^") : caret.rindex("^") + 1] == "'größe'"
    message = error_of(load, workunit('"größe"; x[i] = q').replace("    ", "\t"))
    line, caret = message.splitlines()[1:3]
    assert line[: caret.index("^")].count("\t") == caret.count("\t") == 1
    assert line[caret.index("^")] == "q"


def test_an_error_over_several_lines_shows_the_first(load: Load) -> None:
    message = error_of(load, workunit("x[i] = [\n    v for v in range(3)\n]"))
    assert message.splitlines()[1:3] == ["        x[i] = [", "               ^"]


# ---- constructs that are not in the language --------------------------------------------------

EXAMPLES = {
    "IfExp": "x[i] = y if flag else 0.0",
    "Tuple": "x[i] = (1, 2)",
    "List": "x[i] = [1.0]",
    "Attribute": "x[i] = x.shape",
    "Assert": "assert flag",
    "ListComp": "x[i] = [j for j in range(3)]",
    "SetComp": "x[i] = {j for j in range(3)}",
    "DictComp": "x[i] = {j: j for j in range(3)}",
    "GeneratorExp": "x[i] = (j for j in range(3))",
    "NamedExpr": "x[i] = (z := 1.0)",
    "Global": "global q",
    "Nonlocal": "def inner(j: int):\n    nonlocal n\nq: int = 1",
    "Lambda": "x[i] = lambda: 1",
    "Dict": "x[i] = {}",
    "Set": "x[i] = {1}",
    "JoinedStr": "x[i] = f'{i}'",
    "Try": "try:\n    pass\nfinally:\n    pass",
    "Raise": "raise ValueError",
    "With": "with y:\n    pass",
    "Import": "import math",
    "ImportFrom": "from math import sqrt",
    "Delete": "del i",
    "Yield": "yield i",
    "YieldFrom": "yield from i",
    "AsyncFunctionDef": "async def inner():\n    pass",
    "ClassDef": "class C:\n    pass",
    "Match": "match i:\n    case 1:\n        pass",
    "Starred": "x[i] = int(*u)",
    "MatMult": "x[i] = y @ y",
    "Is": "flag2: bool = n is n",
    "IsNot": "flag2: bool = n is not n",
    "In": "flag2: bool = n in x",
    "NotIn": "flag2: bool = n not in x",
}
ONLY_IN_ASYNC = {"Await", "AsyncFor", "AsyncWith"}


@pytest.mark.parametrize("construct", sorted(UNSUPPORTED, key=lambda c: c.__name__))
def test_unsupported_constructs(load: Load, construct: type) -> None:
    name = construct.__name__
    if name in ONLY_IN_ASYNC:
        assert name not in EXAMPLES
        return
    body = EXAMPLES[name]
    parameters = PARAMETERS
    if name == "Nonlocal":
        body = (
            "def inner(j: int):\n    nonlocal n\npk.parallel_for(pk.TeamThreadRange(m, n), inner)"
        )
        parameters = TEAM
    message = error_of(load, workunit(body, parameters))
    construct_name, hint = UNSUPPORTED[construct]
    first, line, caret, last = message.splitlines()
    assert first.partition(": ")[2] == f"{construct_name} is not in the workunit language"
    assert last.strip() == hint
    assert caret.strip().strip("^") == ""
    assert line.strip() in text_lines(body)


def text_lines(body: str) -> list[str]:
    return [line.strip() for line in body.splitlines()]


# ---- all other errors: the marked source, the problem, the hint -------------------------------

Case = tuple[str, str, str, str]

STATEMENTS: list[Case] = [
    ("z = n", "z", "`z` is not declared in this block", "`z: int = …`"),
    ("z = big", "z", "`z` is not declared in this block", "`z: pk.int64 = …`"),
    ("z = x[i]", "z", "`z` is not declared in this block", "`z: float = …`"),
    ("z = [1.0]", "z", "`z` is not declared in this block", "`z: List[float] = …`"),
    ("z = x", "x", "`x` is a view, which has one name", "row = a[i, :]"),
    ("xx[i] = 1.0", "xx", "`xx` is not defined here", "did you mean x? Else"),
    ("x[i] = bigg", "bigg", "`bigg` is not defined here", "did you mean big? Else"),
    ("x[i] = x.shape[0]", "x.shape", "this is not a view or a local array", "write x.extent(0)"),
    ("z: float", "z: float", "a declaration without a value", "x: pk.float = 0.0"),
    ("x[i]: float = 1.0", "x[i]: float = 1.0", "a declaration without a value", "pk.float"),
    ("z: str = 1", "str", "`str` is not a type that locals can have", "pk.NAME"),
    ("z: pk.View1D[pk.float] = x", "pk.View1D[pk.float]", "is not a type that locals", "List"),
    ("z: List[str] = [0.0]", "List[str]", "is not a type", "List[pk.NAME]"),
    ("z: List[pk.float] = [0.0] * 4", "[0.0] * 4", "needs a literal", "one value an element"),
    ("z: List[pk.float] = []", "[]", "needs a literal", "one value an element"),
    ("z: List[pk.int32] = [0, 1.5]", "1.5", "double into int32 drops the fraction", "int("),
    ("n: float = 1.0", "n", "`n` is already declared", "rename"),
    ("z: float = 1.0\nz: float = 2.0", "z", "`z` is already declared", "rename"),
    ("for j in range(n):\n    j: int = 1", "j", "`j` is already declared", "rename"),
    ("double: float = 1.0", "double", "`double` is a reserved name in C++", "another name"),
    ("_z: float = 1.0", "_z", "`_z` is a reserved name in C++", "another name"),
    ("größe: float = 1.0", "größe", "`größe` is a reserved name in C++", "another name"),
    ("z: int = 1\nq: int = 1\nz = q = 2", "z = q = 2", "a = b = c", "one assignment a line"),
    ("n = 1", "n", "`n` cannot be assigned", "copy it into a local"),
    ("x = 1.0", "x", "`x` cannot be assigned", "copy it into a local"),
    ("for j in range(n):\n    j += 1", "j", "`j` cannot be assigned", "copy"),
    ("x.y = 1.0", "x.y", "an attribute is not in the workunit language", "extent"),
    ("n, i = 1, 2", "n, i", "a tuple is not in the workunit language", "one statement"),
    ("k: int = n\nk /= 2", "k /= 2", "double into int32 drops the fraction", "int("),
    ("x[i] **= 2", "x[i] **= 2", "**= is not in the workunit language", "x = x ** y"),
    ("k: int = n\nk += y", "k += y", "double into int32 drops the fraction", "int("),
    ("u[i] += n", "u[i] += n", "int32 with uint32", "pk.int64"),
    ("a[i][0] += big", "a[i][0] += big", "int64 into int32 may lose", "int("),
    ("for j in range(n):\n    pass\nelse:\n    pass", "pass", "else after a loop", "flag"),
    ("while flag:\n    pass\nelse:\n    pass", "pass", "else after a loop", "flag"),
    ("for j in x:\n    pass", "x", "needs range(…)", "range(a, b)"),
    ("for j in range(n, step=2):\n    pass", "range(n, step=2)", "needs range(…)", "range(a, b)"),
    ("for j in range():\n    pass", "range()", "needs range(…)", "range(a, b)"),
    ("for j, k in range(n):\n    pass", "j, k", "a for loop has one variable", "range(a, b)"),
    ("for x[0] in range(n):\n    pass", "x[0]", "a for loop has one variable", "range(a, b)"),
    ("for j in range(big):\n    pass", "big", "int32, not int64", "while loop with a pk.int64"),
    ("for j in range(y):\n    pass", "y", "int32, not double", "int("),
    (
        "for j in range(x.extent(0) - 1):\n    pass",
        "x.extent(0) - 1",
        "int32, not int64",
        "int(",
    ),
    ("for j in range(0, n, n):\n    pass", "n", "the step must be a literal", "2 or -1"),
    ("for j in range(0, n, 0):\n    pass", "0", "the step must be a literal", "2 or -1"),
    ("for j in range(n, 0, -0):\n    pass", "-0", "the step must be a literal", "2 or -1"),
    ("for j in range(0, n, +2):\n    pass", "+2", "the step must be a literal", "2 or -1"),
    ("for j in range(0, n, ~2):\n    pass", "~2", "the step must be a literal", "2 or -1"),
    ("k: int = n\nfor j in range(k):\n    k += 1", "k", "`k` is a bound", "before the loop"),
    ("for j in range(a[i][0]):\n    a[i][0] = 3", "a[i][0]", "`a` is a bound", "before"),
    (
        "k: int = n\nfor j in range(k, 9):\n    if flag:\n        k = 1",
        "k",
        "`k` is a bound",
        "copy",
    ),
    ("return 1", "return 1", "a workunit returns nothing", "view"),
    ("n + 1", "n + 1", "an expression without effect", "assign it"),
    ("...", "...", "an expression without effect", "assign it"),
    ("int(n)", "int(n)", "a call without effect", "assign its value"),
]

EXPRESSIONS: list[Case] = [
    ("x[i] = x", "x", "`x` is not a number", "index the array"),
    ("x[i] = pk.float", "pk.float", "an attribute is not in the workunit language", "extent"),
    ("x[i] = math.phi", "math.phi", "an attribute is not in", "as an argument"),
    ("math: float = 1.0\nx[i] = math.pi", "math.pi", "an attribute is not in", "as an argument"),
    ("k: int = 1 << 40", "1 << 40", "a shift of a 32-bit number by 40 loses bits", "pk.int64"),
    ("k: int = 1 << 31", "1 << 31", "a shift of a 32-bit number by 31 loses bits", "pk.int64"),
    ("k: int = n >> 32", "n >> 32", "a shift of a 32-bit number by 32 loses bits", "pk.int64"),
    ("w[i] = big << 64", "big << 64", "a shift of a 64-bit number by 64 loses", "pk.int64"),
    ("w[i] = n << -1", "n << -1", "a shift of a 32-bit number by -1 loses", "pk.int64"),
    ("w[i] = 65536 * 65536", "65536 * 65536", "4294967296 does not fit int32", "one literal"),
    (
        "w[i] = -3 * 1024 * 1024 * 1024",
        "-3 * 1024 * 1024 * 1024",
        "-3221225472 does not",
        "literal",
    ),
    ("x[i] = 'a'", "'a'", "a str is not in the workunit language", "numbers only"),
    ("x[i] = None", "None", "a NoneType is not in the workunit language", "numbers only"),
    ("x[i] = 1j", "1j", "a complex is not in the workunit language", "numbers only"),
    ("x[i] = 1e999", "1e999", "this literal is infinite", "argument"),
    ("w[i] = 9223372036854775808", "9223372036854775808", "does not fit int64", "pk.uint64"),
    ("x[i] = y[0]", "y", "this is not a view or a local array", "View1D"),
    ("x[i] = int(y)[0]", "int(y)", "this is not a view or a local array", "View1D"),
    ("x[i] = a[i]", "a[i]", "`a` has 2 dimension(s), not 1", "every dimension"),
    ("x[i] = x[i][0]", "x[i][0]", "`x` has 1 dimension(s), not 2", "every dimension"),
    ("x[i] = a[i, 0]", "i, 0", "a[i, j] are not in", "a[i][j]"),
    ("row = a[i, 0]", "i, 0", "a[i, j] are not in", "row = a[i, :]"),
    ("row = a[i, 0, :]", "a[i, 0, :]", "`a` has 2 dimension(s), not 3", "a[i, begin:end]"),
    ("row = a[i, 1:]", "1:", "a slice has both bounds or none", "a[i, begin:end]"),
    ("row = a[i, 0:4:2]", "0:4:2", "a slice has both bounds or none", "a[i, begin:end]"),
    ("row = n[i, :]", "n", "this is not a view", "row = a[i, :]"),
    ("row = a[y, :]", "y", "double is not an integer", "pk integer"),
    ("row = a[i, :]\nx[i] = row[0][0]", "row[0][0]", "`row` has 1 dimension(s), not 2", "every"),
    ("row = a[i, :]\nx[i] = row", "row", "`row` is not a number", "index"),
    ("row = a[i, :]\nw[i] = row.extent(1)", "row.extent(1)", "`row` has 1 dim", "row.extent(0)"),
    ("row = a[i, :]\nrow = a[0, :]", "row", "`row` is already declared", "rename"),
    ("x[i] = x[0:2]", "0:2", "slices and a[i, j]", "a[i][j]"),
    ("x[i] = x[-1]", "-1", "index -1 is before the first element", "a[a.extent(0) - 1]"),
    ("x[i] = x[2 - 3]", "2 - 3", "index -1 is before the first element", "a[a.extent(0) - 1]"),
    ("row = a[i, :]\nx[i] = row[-2]", "-2", "index -2 is before the first", "a[a.extent(0) - 1]"),
    ("c: List[int] = [1, 2]\nc[2] = 0", "2", "index 2 is behind the last of 2", "longer"),
    ("x[i] = x[y]", "y", "double is not an integer", "pk integer"),
    ("x[i] = x[flag]", "flag", "bool is not an integer", "pk integer"),
    ("n2: int = y", "y", "double into int32 drops the fraction", "int("),
    ("b2: bool = y", "y", "double into bool drops the fraction", "int("),
    ("n2: int = big", "big", "int64 into int32 may lose its upper bits", "int("),
    ("u[i] = big", "big", "int64 into uint32 may lose", "int("),
    ("x[i] = y % 2.0", "y % 2.0", "% needs integers", "math"),
    ("x[i] = y // 2", "y // 2", "// needs integers", "math"),
    ("x[i] = y & 1", "y & 1", "& needs integers", "int("),
    ("x[i] = y << 1", "y << 1", "<< needs integers", "int("),
    ("w[i] = big // 2", "big // 2", "PyKokkos narrows // to 32 bits", "power of two"),
    ("w[i] = u[i] + n", "u[i] + n", "int32 with uint32", "pk.int64"),
    ("flag2: bool = n < u[i]", "n < u[i]", "int32 with uint32", "pk.int64"),
    ("w[i] = -u[i]", "-u[i]", "minus a uint32", "pk.int64"),
    ("x[i] = ~y", "~y", "~ needs an integer", "not"),
    ("flag2: bool = 0 < n < 5", "0 < n < 5", "a chained comparison", "a < b and b < c"),
]

CALLS: list[Case] = [
    ("x[i] = math.sqr(y)", "math.sqr(y)", "this function cannot be called", "mean math.sqrt?"),
    ("x[i] = pk.sqrt(y)", "pk.sqrt(y)", "pk.sqrt cannot be called here", "write math.sqrt"),
    ("pk.atomic_max(x, [i], y)", "pk.atomic_max(x, [i], y)", "cannot be", "pk.atomic_fetch_max?"),
    ("x[i] = pk.parallel_scan(n, n)", "pk.parallel_scan(n, n)", "cannot be", "no nested scan"),
    ("x[i] = plain(y)", "plain(y)", "this function cannot be called", "@pk.function above def pl"),
    ("x[i] = first(x[0])", "x[0]", "this is not a view", "pass a view for `z`"),
    ("x[i] = first(w)", "w", "`w` has 1 dimension(s) of int64", "`z` is a pk.View1D[pk.double]"),
    ("row = a[i, :]\nx[i] = first(row)", "row", "a subview cannot be an argument", "the indices"),
    ("x[i] = print(n)", "print(n)", "this function cannot be called", "pk.printf"),
    ("x[i] = max(n, 2)", "max(n, 2)", "this function cannot be called", "math.fmax"),
    ("x[i] = math.cbrt(y)", "math.cbrt(y)", "cannot be called", "math.fabs(x) ** (1 / 3)"),
    ("x[i] = math.exp2(y)", "math.exp2(y)", "this function cannot be called", "2.0 ** x"),
    ("x[i] = math.gamma(y)", "math.gamma(y)", "this function cannot be called", "math.tgamma(x)"),
    ("x[i] = len(x)", "len(x)", "this function cannot be called", "a.extent(0)"),
    ("x[i] = int(n, 2)", "int(n, 2)", "this function cannot be called", "int(…)"),
    ("x[i] = w2(n)", "w2(n)", "this function cannot be called", "@pk.function"),
    ("x[i] = math.dist(y)", "math.dist(y)", "this function cannot be called", "math.sqrt"),
    ("x[i] = abs(y, y)", "abs(y, y)", "abs takes 1 argument(s)", "abs(x)"),
    ("x[i] = math.sqrt(y, y)", "math.sqrt(y, y)", "math.sqrt takes 1 argument(s)", "position"),
    ("x[i] = math.fmin(y)", "math.fmin(y)", "math.fmin takes 2 argument(s)", "position"),
    ("x[i] = math.sqrt(x=y)", "x=y", "a keyword argument is not in", "position"),
    ("x[i] = half(y, y)", "half(y, y)", "`half` takes 1 argument(s)", "position"),
    ("x[i] = half(z=y)", "z=y", "a keyword argument is not in", "position"),
    ("x[i] = floored(y)", "y", "double into int32 drops the fraction", "int("),
    ("x[i] = pk.parallel_for(n, n)", "pk.parallel_for(n, n)", "cannot be called here", "nested"),
    ("x[i] = pk.int64(n)", "pk.int64(n)", "pk.int64 cannot be called here", "nested"),
    ("w[i] = y.extent(0)", "y.extent(0)", "this has no extent", "a.extent(0)"),
    ("w[i] = x.extent(1)", "x.extent(1)", "`x` has 1 dimension(s)", "x.extent(0)"),
    ("w[i] = x.extent(n)", "x.extent(n)", "`x` has 1 dimension(s)", "as a literal"),
    ("w[i] = x.extent(False)", "x.extent(False)", "`x` has 1 dimension(s)", "as a literal"),
    ("w[i] = x.extent()", "x.extent()", "`x` has 1 dimension(s)", "x.extent(0)"),
    ("pk.atomic_fetch_add(x, i, 1)", "pk.atomic_fetch_add(x, i, 1)", "takes a view", "[i]"),
    ("pk.atomic_fetch_add(x, [i])", "pk.atomic_fetch_add(x, [i])", "takes a view", "[i]"),
    ("pk.atomic_fetch_add(y, [i], 1)", "y", "the target of an atomic is a view", "[i]"),
    ("pk.atomic_fetch_add(x, [i, 0], 1)", "[i, 0]", "`x` has 1 dimension(s)", "[i]"),
    ("pk.atomic_fetch_and(x, [i], 1)", "pk.atomic_fetch_and(x, [i], 1)", "needs integers", "view"),
    ("pk.atomic_add(x, [-1], y)", "-1", "index -1 is before the first element", "a.extent(0) - 1"),
    ("pk.atomic_increment(x, [i], 1)", "pk.atomic_increment(x, [i], 1)", "a view and its", "[i])"),
    ("n2: int = pk.atomic_add(u, [i], 1)", "pk.atomic_add(u, [i], 1)", "has no value", "fetch_add"),
    (
        "pk.atomic_compare_exchange(u, [i], 1)",
        "pk.atomic_compare_exchange(u, [i], 1)",
        "the value to compare with and the new value",
        "[i], compare, value)",
    ),
    ("pk.atomic_add(u, [i], value=1)", "value=1", "a keyword argument is not in", "position"),
    ("pk.printf(n)", "pk.printf(n)", "takes a string literal and values", "pk.printf("),
    ("pk.printf('%d')", "pk.printf('%d')", "1 directive(s) for 0 value(s)", "pk.printf("),
    ("pk.printf('%d', y)", "y", "%d does not print double", "write %f"),
    ("pk.printf('%5.1f', n)", "n", "%f does not print int32", "write %d"),
    ("pk.printf('%s', n)", "'%s'", "`%s` prints no number", "pk.printf("),
    ("pk.printf('100%')", "'100%'", "the format ends inside a directive", "%%"),
    ("pk.atomic_fetch_add(u, [i], y)", "y", "double into uint32 drops", "int("),
    ("pk.parallel_for(pk.TeamThreadRange(i, n), n)", "i", "this is not a team handle", "TeamM"),
]

FUNCTIONS = """
def plain(z):
    return z

@pk.function
def first(z: pk.View1D[pk.double]) -> float:
    return z[0]

@pk.workunit
def w2(i: int): ...

@pk.function
def half(z: float) -> float:
    return z / 2

@pk.function
def floored(z: int) -> int:
    return z
"""

ONCE = "def once():\n    nonlocal z\n    z = 1.0\n"
SINGLE = "pk.single(pk.PerTeam(m), once)"
SCRATCH = "s: pk.ScratchView1D[pk.float] = "
INNER = "def inner(j: int):\n    x[j] = 1.0\n"
SUM = "def inner(j: int, acc: pk.Acc[pk.double]):\n    acc += x[j]\n"
THREADS = "pk.parallel_for(pk.TeamThreadRange(m, n), inner)"
REDUCE = "pk.parallel_reduce(pk.TeamThreadRange(m, n), inner)"

TEAMS: list[Case] = [
    (f"pk.parallel_for(inner)\n{INNER}", "pk.parallel_for(inner)", "takes a range", "pk.par"),
    (f"{INNER}pk.parallel_for(n, inner)", "n", "this is not a TeamThreadRange", "TeamThread"),
    (f"{INNER}pk.parallel_for(pk.TeamThreadRange(m), inner)", "pk.TeamThreadRange(m)", "count", ""),
    (f"{INNER}pk.parallel_for(pk.TeamThreadRange(n, n), inner)", "n", "not a team handle", "pk."),
    (f"{INNER}pk.parallel_for(pk.TeamThreadRange(m, big), inner)", "big", "upper bits", "int("),
    (f"{INNER}pk.parallel_for(pk.TeamThreadRange(m, 1.5), inner)", "1.5", "not an integer", "int"),
    ("pk.parallel_for(pk.TeamThreadRange(m, n), n)", "n", "not a nested function", "above"),
    (f"{THREADS}\n{INNER}", "inner", "this is not a nested function", "above"),
    (f"{INNER}{REDUCE}", REDUCE, "a nested reduction without a result", "s: float"),
    (f"{INNER}s: float = {REDUCE}", "def inner(j: int):", "takes 2 parameter(s)", "pk.Acc"),
    (f"{SUM}{THREADS}", "def inner(j: int, acc: pk.Acc[pk.double]):", "takes 1 parameter", "def"),
    (f"{SUM}s: int = {REDUCE}", "int", "`s` and the accumulator differ in type", "same"),
    (f"{SUM.replace('pk.double', 'str')}s: float = {REDUCE}", "acc: pk.Acc[str]", "not an acc", ""),
    (INNER.replace("int", "float") + THREADS, "j: float", "the work item is an int", "def inner"),
    (INNER.replace("int", "int = 1") + THREADS, "def inner(j: int = 1):", "takes 1 par", "def"),
    (INNER.replace("j", "n") + THREADS, "n: int", "`n` is already declared", "rename"),
    (
        INNER.replace("= 1.0", "= late") + f"late: float = 1.0\n{THREADS}",
        "late",
        "not defined",
        "above",
    ),
    (f"def inner(j: int):\n    {THREADS}\n{THREADS}", "inner", "not a nested function", "above"),
    (
        f"z: List[pk.float] = [0.0]\n{INNER.replace('x[j]', 'z[0]')}{THREADS}",
        "z[0]",
        "enclosing",
        "Acc",
    ),
    ("pk.single(m, n)", "pk.single(m, n)", "takes pk.PerTeam or pk.PerThread", "with def once()"),
    ("pk.single(pk.PerTeam(n), n)", "n", "this is not a team handle", "pk.TeamMember"),
    ("pk.single(pk.PerTeam(m), n)", "n", "this is not a nested function", "with def once()"),
    (f"{INNER}pk.single(pk.PerTeam(m), inner)", "def inner(j: int):", "takes no", "def once():"),
    (
        f"z: float = 0.0\n{ONCE.replace('nonlocal z', 'pass')}{SINGLE}",
        "z",
        "`z` is a local of the enclosing workunit",
        "Acc",
    ),
    (
        f"z: List[pk.float] = [0.0]\n{ONCE}{SINGLE}",
        "nonlocal z",
        "each thread has a `z` of its own",
        "m.team_barrier()",
    ),
    (f"{SCRATCH}0", f"{SCRATCH}0", "a scratch view of rank 1 takes 1 extent(s)", "team_scratch"),
    (
        f"{SCRATCH}pk.ScratchView1D(m.team_scratch(0), n, n)",
        f"{SCRATCH}pk.ScratchView1D(m.team_scratch(0), n, n)",
        "takes 1 extent(s)",
        "team_scratch(0), n)",
    ),
    (
        f"{SCRATCH}pk.ScratchView1D(m.team_scratch(2), n)",
        "m.team_scratch(2)",
        "this is not scratch memory",
        "team_scratch(0)",
    ),
    (
        f"{SCRATCH}pk.ScratchView1D(m.team_rank(0), n)",
        "m.team_rank(0)",
        "this is not scratch memory",
        "team_scratch(0)",
    ),
    (
        f"k: int = n\n{SCRATCH}pk.ScratchView1D(m.team_scratch(0), k)",
        "k",
        "must be known at the launch",
        "arguments",
    ),
    (
        f"if n > 3:\n    {SCRATCH}pk.ScratchView1D(m.team_scratch(0), n)",
        f"{SCRATCH}pk.ScratchView1D(m.team_scratch(0), n)",
        "declared in a loop, a branch or a nested function",
        "the beginning",
    ),
    (
        f"{SCRATCH.replace('float', 'bool')}pk.ScratchView1D(m.team_scratch(0), n)",
        "pk.ScratchView1D[pk.bool]",
        "not a type of scratch views",
        "pk.float",
    ),
    (
        f"{INNER}pk.parallel_for(pk.TeamThreadMDRange(m, n), inner)",
        "pk.TeamThreadMDRange(m, n)",
        "2 or 3 counts",
        "n0, n1",
    ),
    (
        f"{INNER}pk.parallel_for(pk.TeamThreadMDRange(m, n, n), inner)",
        "def inner(j: int):",
        "takes 2 parameter(s)",
        "i0: int, i1: int",
    ),
    ("m.team_barrier(1)", "m.team_barrier(1)", "`m.team_barrier(1)` is not in", "team_rank"),
    ("k: int = m.league_size()", "m.league_size()", "`m.league_size()` is not", "m.league_rank()"),
    ("k: int = m.team_rank(1)", "m.team_rank(1)", "`m.team_rank(1)` is not", "m.team_rank()"),
    ("k: int = m", "m", "`m` is not a number", "method"),
    ("m.team_rank()", "m.team_rank()", "a call without effect", "assign"),
]


@pytest.mark.parametrize(
    ("body", "marked", "problem", "hint"),
    [
        pytest.param(*each, id=f"{name}-{each[0][:40]}")
        for name, table in (("statement", STATEMENTS), ("expression", EXPRESSIONS), ("call", CALLS))
        for each in table
    ],
)
def test_errors(load: Load, body: str, marked: str, problem: str, hint: str) -> None:
    check(error_of(load, workunit(body, before=FUNCTIONS)), marked, problem, hint)


@pytest.mark.parametrize(("body", "marked", "problem", "hint"), TEAMS)
def test_errors_in_teams(load: Load, body: str, marked: str, problem: str, hint: str) -> None:
    check(error_of(load, workunit(body, TEAM)), marked, problem, hint)


ACCUMULATIONS: list[Case] = [
    (
        "acc = x[i]",
        "acc = x[i]",
        "an accumulator: reductions and scans compute sums",
        "acc += x",
    ),
    ("acc *= x[i]", "acc *= x[i]", "compute sums", "pk.atomic_fetch_max on a view"),
    ("acc = math.fmax(acc, x[i])", "acc = math.fmax(acc, x[i])", "compute sums", "atomic_fetch"),
    ("acc = x[i] - acc", "acc = x[i] - acc", "compute sums", "acc += x"),
    ("acc = acc + acc", "acc = acc + acc", "compute sums", "acc += x"),
    ("acc += acc", "acc", "`acc` holds a part of the sum", "use the result of the reduction"),
    ("if x[i] > acc:\n    pass", "acc", "`acc` holds a part of the sum", "use the result"),
]


@pytest.mark.parametrize(("body", "marked", "problem", "hint"), ACCUMULATIONS)
def test_errors_in_reductions(load: Load, body: str, marked: str, problem: str, hint: str) -> None:
    parameters = "i: int, acc: pk.Acc[pk.double], x: pk.View1D[pk.double]"
    check(error_of(load, workunit(body, parameters)), marked, problem, hint)


def test_a_product_in_a_scan(load: Load) -> None:
    """A scan may read its accumulator, and only add to it."""
    parameters = "i: int, acc: pk.Acc[pk.double], last: bool, x: pk.View1D[pk.double]"
    text = workunit("acc *= x[i]\nif last:\n    x[i] = acc", parameters)
    check(error_of(load, text), "acc *= x[i]", "compute sums", "acc += x")


SIGNATURES: list[Case] = [
    ("", "def w():", "a workunit needs a work item", "i: int"),
    ("i: bool", "i: bool", "the first parameter is the work item", "pk.TeamMember"),
    ("i: pk.Acc[int]", "i: pk.Acc[int]", "the first parameter is the work item", "i: int"),
    ("i: int, *rest", "rest", "**kwargs are not in the workunit language", "name each"),
    ("i: int, **rest", "rest", "**kwargs are not in the workunit language", "name each"),
    ("i: int, *, n: int", "n: int", "**kwargs are not in the workunit language", "name each"),
    ("i: int, n: int, /", "i: int", "**kwargs are not in the workunit language", "name each"),
    ("i: int, n: int = 3", "3", "default values are not in", "pass the argument"),
    ("i: int, register: int", "register: int", "`register` is a reserved name", "another name"),
    ("i: int, n: str", "n: str", "parameter `n` has no supported type", "pk.View1D"),
    ("i: int, n: pk.View1D", "n: pk.View1D", "parameter `n` has no supported type", "pk.View1D"),
    ("i: int, n: pk.View1D[pk.bool]", "n: pk.View1D[pk.bool]", "no supported type", "pk.View1D"),
    ("i: int, acc: pk.Acc[str]", "acc: pk.Acc[str]", "accumulator", "pk.Acc[pk.double]"),
    ("i: int, acc: pk.Acc[pk.bool]", "acc: pk.Acc[pk.bool]", "accumulator", "pk.Acc"),
    (
        "i: int, n: int, acc: pk.Acc[pk.double]",
        "acc: pk.Acc[pk.double]",
        "no supported type",
        "pk.",
    ),
    ("m: pk.TeamMember, acc: pk.Acc[pk.double], last: bool", "m: pk.TeamMember", "scan", "Range"),
]


@pytest.mark.parametrize(("parameters", "marked", "problem", "hint"), SIGNATURES)
def test_errors_in_signatures(
    load: Load, parameters: str, marked: str, problem: str, hint: str
) -> None:
    check(error_of(load, workunit("pass", parameters)), marked, problem, hint)


def test_a_workunit_with_a_result(load: Load) -> None:
    text = workunit("pass", "i: int").replace("):", ") -> float:")
    check(error_of(load, text), "float", "a workunit returns nothing", "pk.Acc")
    module = load(text.replace("float", "None"))
    assert analyse(parse(module.w), ()).name == "w"


DEVICE_FUNCTIONS: list[Case] = [
    ("f(z: float):\n    return z", "def f(z: float):", "needs a result type", "-> float"),
    ("f(z) -> float:\n    return z", "z", "a parameter of a pk.function is a number", "x: float"),
    ("f(z: float) -> None:\n    pass", "f(y)", "`f` has no result", "as a statement"),
    ("f(z: float) -> None:\n    return z", "return z", "returns nothing", "into a view"),
    ("f(z: pk.View1D[int]) -> int:\n    return z[0]", "y", "this is not a view", "for `z`"),
    ("f(z: float) -> float:\n    return", "return", "a pk.function returns a value", "return x"),
    ("f(z: float) -> float:\n    pass", "pass", "must end with return", "at the end"),
    ("f(z: float) -> int:\n    return z", "z", "double into int32 drops", "int("),
    (
        "f(z: float = 1.0) -> float:\n    return z",
        "def f(z: float = 1.0) -> float:",
        "positional",
        "(",
    ),
    ("f(*z) -> float:\n    return 1.0", "def f(*z) -> float:", "positional parameters", "("),
    ("f(z: float) -> float:\n    z = 1.0\n    return z", "z", "cannot be assigned", "copy"),
    ("f(z: float) -> float:\n    return f(z)", "f(z)", "recursion", "loop"),
    ("f(int_: float) -> float:\n    return x[0]", "x", "`x` is not defined here", "View1D"),
    ("f(short: float) -> float:\n    return 1.0", "short: float", "reserved", "another name"),
]


@pytest.mark.parametrize(("function", "marked", "problem", "hint"), DEVICE_FUNCTIONS)
def test_errors_in_functions(
    load: Load, function: str, marked: str, problem: str, hint: str
) -> None:
    text = workunit("x[i] = f(y)", before=f"@pk.function\ndef {function}\n")
    check(error_of(load, text), marked, problem, hint)


def test_mutual_recursion(load: Load) -> None:
    before = """
        @pk.function
        def f(z: float) -> float:
            return g(z)

        @pk.function
        def g(z: float) -> float:
            return f(z)
    """
    message = error_of(load, workunit("x[i] = f(y)", before=before))
    check(message, "f(z)", "`f` calls itself", "loop")


def test_a_function_with_a_reserved_name(load: Load) -> None:
    before = "@pk.function\ndef union(z: float) -> float:\n    return z\n"
    message = error_of(load, workunit("x[i] = union(y)", before=before))
    assert "`union` is a reserved name in C++" in message


def test_a_function_of_another_file(load: Load) -> None:
    other = load(HEAD + "@pk.function\ndef f(z: float) -> float:\n    return z\n", "other.py")
    module = load(workunit("x[i] = f(y)"))
    module.f = other.f
    with pytest.raises(WorkunitError, match=r"`f` is a pk\.function of another file"):
        analyse(parse(module.w), ())


def test_a_local_hides_a_function(load: Load) -> None:
    before = "@pk.function\ndef f(z: float) -> float:\n    return z\n"
    message = error_of(load, workunit("f: float = 1.0\nx[i] = f(y)", before=before))
    check(message, "f(y)", "this function cannot be called", "@pk.function")


def check(message: str, marked: str, problem: str, hint: str) -> None:
    first, line, caret, last = message.splitlines()
    assert problem in first
    assert hint in last
    assert (
        line[caret.index("^") : caret.rindex("^") + 1]
        == marked[: 1 if marked.startswith("def ") else None]
    )


# ---- parameters without annotation ------------------------------------------------------------


def test_types_of_the_launch(load: Load) -> None:
    text = workunit("a[i] = b", "i: int, a, b")
    kernel = analyse(parse(load(text).w), (View(FLOAT, 1), DOUBLE))
    assert [p.type for p in kernel.signature.parameters] == [View(FLOAT, 1), DOUBLE]
    message = error_of(load, text, a=View(INT32, 1), b=INT64)
    check(message, "b", "int64 into int32 may lose its upper bits", "int(")


def test_python_never_runs_a_workunit(load: Load) -> None:
    with pytest.raises(TypeError, match=r"w is PyKokkos code: launch it with pk\.parallel_for"):
        load(workunit("pass")).w(1)


@pytest.mark.parametrize("name", ["View1D", "Acc", "TeamMember", "int64", "TeamThreadRange"])
def test_names_of_the_language_do_nothing_outside(name: str) -> None:
    import pykokkos as pk

    word = getattr(pk, name)
    with pytest.raises(TypeError, match=rf"pk\.{name} has a meaning only inside a workunit"):
        word(1, 2)
    with pytest.raises(TypeError, match="only inside a workunit"):
        pk.atomic_fetch_add(1, [0], 2)


# ---- warnings ---------------------------------------------------------------------------------

WARNINGS: list[tuple[str, str]] = [
    ("a[i][0] = y", "double stored to `a` of int32 loses its fraction: write int(…)"),
    ("a[i][0] += y", "double stored to `a` of int32 loses its fraction: write int(…)"),
    ("a[i][0] /= 2", "double stored to `a` of int32 loses its fraction: write int(…)"),
    (
        "k: int = (i - 1) % n",
        "for a negative number, C++'s % differs from Python's: add a",
    ),
    ("k: int = -n // 2", "for a negative number, C++'s // differs from Python's: add a multiple"),
]


@pytest.mark.parametrize(("body", "message"), WARNINGS)
def test_warnings_name_the_line(load: Load, body: str, message: str) -> None:
    module = load(workunit(body))
    with pytest.warns(WorkunitWarning, match=re.escape(message)) as caught:
        analyse(parse(module.w), ())
    (warning,) = caught
    assert (warning.filename, warning.lineno) == (module.__file__, 7)


NO_WARNINGS = [
    "a[i][0] = int(y)",
    "k: int = (n + i - 1) // n",
    "k: int = int(i - 1) % n",
    "k: int = i // n + n % 3",
    "w[i] = u[i] % 7",
]


@pytest.mark.parametrize("body", NO_WARNINGS)
def test_no_warning(load: Load, body: str) -> None:
    """Warnings are errors in all tests."""
    analyse(parse(load(workunit(body)).w), ())


def test_a_line_is_warned_of_once(load: Load) -> None:
    """Although a nested function is analysed for each pattern that runs it."""
    body = f"def inner(j: int):\n    x[j] = (j - 1) % n\n{THREADS}\n{THREADS}"
    module = load(workunit(body, TEAM))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        analyse(parse(module.w), ())
    assert len(caught) == 1

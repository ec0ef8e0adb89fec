"""Printing: from IR to C++."""

from __future__ import annotations

from textwrap import dedent

import pytest

from kkspdnn.pk import ir
from kkspdnn.pk.codegen.cpp_expressions import bare, expression
from kkspdnn.pk.codegen.cpp_statements import StatementPrinter
from kkspdnn.pk.codegen.writer import Writer
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.types import BOOL, DOUBLE, FLOAT, INT32, INT64, UINT8

ZERO, ONE = (ir.Constant(k, INT32) for k in (0, 1))
N, K, V, J = (ir.Name(name, INT32) for name in ("n", "k", "v", "j"))
E, F = ir.Name("e", INT64), ir.Name("f", FLOAT)
X = ir.Element("x", (ZERO, K, V), FLOAT, local=False)
SUM = ir.Binary("+", N, ONE, INT32)

EXPRESSIONS: dict[str, tuple[ir.Expr, str, str]] = {
    "int": (ONE, "1", "1"),
    "long int": (ir.Constant(2**40, INT64), f"INT64_C({2**40})", f"INT64_C({2**40})"),
    "float": (ir.Constant(1e-3, DOUBLE), "0.001", "0.001"),
    "bool": (ir.Constant(True, BOOL), "true", "true"),
    "binary": (SUM, "(n + 1)", "n + 1"),
    "nested binary": (ir.Binary("*", SUM, K, INT32), "((n + 1) * k)", "(n + 1) * k"),
    "unary": (ir.Unary("-", N, INT32), "(-n)", "-n"),
    "cast": (ir.Cast(N, DOUBLE), "static_cast<double>(n)", "static_cast<double>(n)"),
    "call": (ir.Call("fmin", (F, F), FLOAT), "std::fmin(f, f)", "std::fmin(f, f)"),
    "mixed call": (
        ir.Call("fmin", (F, N), DOUBLE),
        *["std::fmin(static_cast<double>(f), static_cast<double>(n))"] * 2,
    ),
    "test of a number": (ir.Call("isnan", (F,), BOOL), "std::isnan(f)", "std::isnan(f)"),
    "absolute value": (ir.Call("abs", (E,), INT64), "std::abs(e)", "std::abs(e)"),
    "own function": (ir.Call("half", (F, N), FLOAT), "half(f, n)", "half(f, n)"),
    "infinity": (ir.Constant(float("inf"), DOUBLE), "double(INFINITY)", "double(INFINITY)"),
    "not a number": (ir.Constant(float("nan"), DOUBLE), "double(NAN)", "double(NAN)"),
    "local array": (ir.Element("c", (SUM,), FLOAT, True), "c[(n + 1)]", "c[(n + 1)]"),
    "view": (ir.Element("x", (SUM, K), FLOAT, False), "x((n + 1), k)", "x((n + 1), k)"),
    "middle index of three": (X, "x(0, int64_t(k), v)", "x(0, int64_t(k), v)"),
    "wide middle index": (ir.Element("x", (ZERO, E, V), FLOAT, False), "x(0, e, v)", "x(0, e, v)"),
    "extent": (
        ir.Extent("x", 1, INT64),
        "static_cast<int64_t>(x.extent(1))",
        "static_cast<int64_t>(x.extent(1))",
    ),
    "team": (ir.TeamCall("m", "team_rank", INT32), "m.team_rank()", "m.team_rank()"),
    "atomic": (
        ir.Atomic("atomic_fetch_add", ir.Element("x", (K,), FLOAT, False), (ONE,), FLOAT),
        "Kokkos::atomic_fetch_add(&x(k), static_cast<float>(1))",
        "Kokkos::atomic_fetch_add(&x(k), static_cast<float>(1))",
    ),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions(name: str) -> None:
    e, text, without = EXPRESSIONS[name]
    assert (expression(e), bare(e)) == (text, without)


def printed(s: ir.Stmt, target: ExecutionSpace = ExecutionSpace.OpenMP) -> str:
    """The C++ of a statement, without #line."""
    writer = Writer()
    StatementPrinter(writer, target, "w.py").block([s])
    return "\n".join(line for line in writer.lines if not line.startswith("#line")) + "\n"


SET = ir.Assign(1, ir.Name("n", INT32), "+=", ONE)
INNER = ir.NestedFunction("set", "j", None, None, (SET,))
SUMS = ir.NestedFunction("sums", "j", "acc", DOUBLE, (SET,))

STATEMENTS: dict[str, tuple[ir.Stmt, str]] = {
    "declare": (ir.Declare(1, "k", INT32, SUM), "int32_t k = n + 1;\n"),
    "array": (
        ir.DeclareArray(1, "c", FLOAT, (ZERO, SUM)),
        "float c[2] = {static_cast<float>(0), static_cast<float>(n + 1)};\n",
    ),
    "assign": (ir.Assign(1, X, "=", SUM), "x(0, int64_t(k), v) = n + 1;\n"),
    "single": (
        ir.Single(1, "PerTeam", "m", (SET,)),
        "Kokkos::single(Kokkos::PerTeam(m), [&]() {\n  n += 1;\n});\n",
    ),
    "print": (
        ir.Print(1, '"%lld"\n?é %f\\', (N, F)),
        'printf("\\042%lld\\042\\012\\077\\303\\251 %f\\134", '
        "static_cast<long long>(n), static_cast<double>(f));\n",
    ),
    "scratch": (
        ir.DeclareScratch(1, "s", FLOAT, "m", "team_scratch", 0, (N, ONE)),
        "const Kokkos::View<float**, Kokkos::LayoutRight, _space::scratch_memory_space, "
        "Kokkos::MemoryTraits<Kokkos::Unmanaged>> s(m.team_scratch(0), n, 1);\n",
    ),
    "atomic without a value": (
        ir.Evaluate(1, ir.Atomic("atomic_increment", X, (), FLOAT)),
        "Kokkos::atomic_increment(&x(0, int64_t(k), v));\n",
    ),
    "atomic shift": (
        ir.Evaluate(1, ir.Atomic("atomic_fetch_lshift", X, (N,), INT32)),
        "Kokkos::atomic_fetch_lshift(&x(0, int64_t(k), v), static_cast<unsigned>(n));\n",
    ),
    "barrier": (ir.Barrier(1, "m"), "m.team_barrier();\n"),
    "jump": (ir.Jump(1, "continue"), "continue;\n"),
    "return": (ir.ReturnValue(1, SUM), "return n + 1;\n"),
    "if": (ir.If(1, ir.Binary("<", N, K, BOOL), (SET,), ()), "if (n < k) {\n  n += 1;\n}\n"),
    "else": (
        ir.If(1, ir.Name("flag", BOOL), (SET,), (ir.Jump(1, "return"),)),
        "if (flag) {\n  n += 1;\n} else {\n  return;\n}\n",
    ),
    "while": (
        ir.While(1, ir.Binary("<", N, K, BOOL), (SET,)),
        "while (n < k) {\n  n += 1;\n}\n",
    ),
    "for": (
        ir.For(1, "k", ZERO, SUM, ONE, False, (SET,)),
        "for (int32_t k = 0, _end_k = n + 1; k < _end_k; k += 1) {\n  n += 1;\n}\n",
    ),
    "descending and unrolled": (
        ir.For(1, "k", N, ZERO, ir.Unary("-", ONE, INT32), True, (SET,), unroll=4),
        "#pragma GCC unroll 4\n"
        "for (int32_t k = n, _end_k = 0; k > _end_k; k += -1) {\n  n += 1;\n}\n",
    ),
    "nested for": (
        ir.NestedPattern(1, "TeamThreadRange", "m", (ONE, SUM), INNER, None),
        "Kokkos::parallel_for(Kokkos::TeamThreadRange(m, 1, n + 1), [&](const int32_t j) {\n"
        "  n += 1;\n});\n",
    ),
    "nested reduce": (
        ir.NestedPattern(1, "ThreadVectorRange", "m", (N,), SUMS, "s"),
        "double s = 0;\n"
        "Kokkos::parallel_reduce(Kokkos::ThreadVectorRange(m, n), "
        "[&](const int32_t j, double& acc) {\n  n += 1;\n}, s);\n",
    ),
    "without gather": (
        ir.NestedPattern(
            1, "ThreadVectorRange", "m", (N,), INNER, None, "a gather", no_gather=True
        ),
        "Kokkos::parallel_for(Kokkos::ThreadVectorRange(m, n), [&](const int32_t j) {\n"
        "  lanes::one_by_one();\n  n += 1;\n});\n",
    ),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_statements(name: str) -> None:
    s, text = STATEMENTS[name]
    assert printed(s) == text


Z, Q = ir.VectorName("z", FLOAT), ir.VectorName("q", UINT8)
LOAD = ir.VectorLoad(X, FLOAT)
BASE = ir.Element("x", (ZERO, SUM, V), FLOAT, local=False)
STRIDED = ir.VectorLoad(ir.StridedElement(BASE, 1, SUM), FLOAT)
ADDED = ir.VectorBinary("+", Z, ir.Widen(Q, FLOAT), FLOAT)
MASK = ir.VectorCompare("<", Z, ir.Broadcast(F, FLOAT))
BYTE = ir.VectorLoad(ir.Element("b", (K, V), UINT8, False), UINT8)

VECTORS: dict[str, tuple[ir.Stmt, str]] = {
    "load": (ir.DeclareVector(1, "z", FLOAT, LOAD), "_pack z = _pack::load(&x(0, int64_t(k), v));"),
    "strided load": (
        ir.DeclareVector(1, "z", FLOAT, STRIDED),
        "_pack z = _pack::load(lanes::step<1, (_pack::width > 1)>"
        "(x, lanes::at(x, 0, n + 1, v), n + 1));",
    ),
    "broadcast": (
        ir.DeclareVector(1, "z", FLOAT, ir.Broadcast(SUM, FLOAT)),
        "_pack z = _pack::all((n + 1));",
    ),
    "bytes": (
        ir.DeclareVector(1, "q", UINT8, BYTE),
        "lanes::bytes_of<_pack> q = lanes::bytes_of<_pack>::load(&b(k, v));",
    ),
    "assign": (ir.AssignVector(1, Z, "=", ADDED), "z = (z + _pack::of(q));"),
    "update": (ir.AssignVector(1, Z, "*=", ir.Broadcast(F, FLOAT)), "z *= _pack::all(f);"),
    "masked assign": (
        ir.AssignVector(1, Z, "=", ADDED, MASK),
        "z = lanes::if_less(z, _pack::all(f), (z + _pack::of(q)), z);",
    ),
    "masked update": (
        ir.AssignVector(1, Z, "-=", ir.Broadcast(F, FLOAT), MASK),
        "z = lanes::if_less(z, _pack::all(f), z - _pack::all(f), z);",
    ),
    "store": (ir.StoreVector(1, X, Z), "z.store(&x(0, int64_t(k), v));"),
}


@pytest.mark.parametrize("name", VECTORS)
@pytest.mark.parametrize(
    ("target", "team"), [(ExecutionSpace.Serial, ""), (ExecutionSpace.Cuda, "m, ")]
)
def test_vectors(name: str, target: ExecutionSpace, team: str) -> None:
    s, text = VECTORS[name]
    aligned = ""
    if target is ExecutionSpace.Cuda:
        views = [view for view in "xby" if f"&{view}(" in text or f"at({view}," in text]
        aligned = " && ".join(f"lanes::aligned<float>({view})" for view in views) or "true"
        aligned = f", {aligned}"
    expected = f"""
        lanes::for_each<float>({team}n + 1{aligned}, [&](auto _lanes, const int32_t v) {{
          using _pack = decltype(_lanes);
          {text}
        }});
    """
    outer = ir.VectorRange(1, "m", SUM, "lane", "v", FLOAT, (s,))
    assert printed(outer, target) == dedent(expected).lstrip()


@pytest.mark.parametrize(
    ("op", "function"),
    [("==", "equal"), ("!=", "not_equal"), ("<=", "less_equal"), (">", "greater")]
    + [(">=", "greater_equal")],
)
def test_masks(op: str, function: str) -> None:
    s = ir.AssignVector(1, Z, "=", Z, ir.VectorCompare(op, Z, Z))
    text = printed(ir.VectorRange(1, "m", N, "lane", "v", FLOAT, (s,)))
    assert f"z = lanes::if_{function}(z, z, z, z);" in text


def test_vectors_of_bytes_alone() -> None:
    s = ir.DeclareVector(1, "q", UINT8, BYTE)
    text = printed(ir.VectorRange(1, "m", N, "lane", "v", UINT8, (s,)))
    assert "lanes::for_each<uint8_t>(n," in text
    assert "_pack q = _pack::load(&b(k, v));" in text


def test_line_directives() -> None:
    """Before each C++ line that does not come from the next Python line."""
    writer = Writer()
    writer.at("w.py", 3)
    writer.put("a;")
    writer.at("w.py", 4)
    writer.put("b;")
    writer.at("w.py", 4)
    writer.put("c;")
    writer.in_generated_file()
    writer.put("d;")
    expected = '#line 3 "w.py"\na;\nb;\n#line 4 "w.py"\nc;\n#line 7 "workunit.cpp"\nd;\n'
    assert writer.text() == expected


def test_a_batched_loop() -> None:
    row = ir.LoadRow(1, "_row0", ir.Element("index", (K,), INT32, local=False), 8)
    vector = ir.VectorElement("_vector0", ir.Name("_j", INT32), FLOAT)
    loop = ir.BatchedLoop(
        line=1,
        loop=ir.For(1, "k", ZERO, N, ONE, False, (ir.AssignVector(1, Z, "+=", LOAD),)),
        width=8,
        rows=(row,),
        ahead=(row,),
        inner_rows=(),
        vectors=(("_vector0", FLOAT),),
        number="_j",
        loads=(ir.AssignVector(1, vector, "=", LOAD),),
        body=(ir.AssignVector(1, Z, "+=", vector),),
    )
    text = printed(ir.VectorRange(1, "m", N, "lane", "v", FLOAT, (loop,)), ExecutionSpace.Cuda)
    for line in (
        "if (_end_k >= 8 && k <= _end_k - 8 && lanes::aligned_row<8>(&index(k))) {",
        "auto _row0 = lanes::row<int32_t, 8>::load(&index(k));",
        "for (; k <= _end_k - 8; k += 8) {",
        "_pack _vector0[8];",
        "for (int32_t _j = 0; _j < 8; ++_j) {",
        "_vector0[_j] = _pack::load(&x(0, int64_t(k), v));",
        "const int32_t _next = k <= _end_k - 16 ? k + 8 : k;",
        "_row0 = lanes::row<int32_t, 8>::load(&index(_next));",
        "z += _vector0[_j];",
        "for (; k < _end_k; ++k) {",
    ):
        assert f" {line}\n" in text

"""What the workunit language leaves out: the construct, its name and what to write instead.

The list is PyKokkos's own: a workunit must mean the same to the real PyKokkos and to the
built-in compiler, so what only one of them takes is refused here.
"""

from __future__ import annotations

import ast
from typing import Final

REFUSED: Final[dict[type[ast.AST], tuple[str, str]]] = {
    ast.IfExp: ("a conditional expression", "write an if statement that assigns in both branches"),
    ast.Tuple: ("a tuple", "write one statement for each value"),
    ast.List: ("a list", "only `x: List[pk.float] = [0.0, 0.0]` makes a local array"),
    ast.Attribute: ("an attribute", "use a.extent(0), or pass the value as an argument"),
    ast.Assert: ("assert", "check the arguments before the launch"),
    ast.ListComp: ("a comprehension", "write a for loop over range(...)"),
    ast.SetComp: ("a comprehension", "write a for loop over range(...)"),
    ast.DictComp: ("a comprehension", "write a for loop over range(...)"),
    ast.GeneratorExp: ("a generator expression", "write a for loop over range(...)"),
    ast.NamedExpr: ("an assignment expression (:=)", "assign in a statement of its own"),
    ast.Global: ("global", "pass the value as an argument of the workunit"),
    ast.Nonlocal: ("nonlocal", "use a nested pk.parallel_reduce with a pk.Acc"),
    ast.Lambda: ("lambda", "define a nested function with def"),
    ast.Dict: ("a dictionary", "pass the values as arguments of the workunit"),
    ast.Set: ("a set", "use a local array or a view"),
    ast.JoinedStr: ("a string", "workunits have numbers only"),
    ast.Try: ("try", "workunits cannot raise; check the arguments before the launch"),
    ast.Raise: ("raise", "write a flag into a view and look at it after the launch"),
    ast.With: ("with", "use plain statements"),
    ast.Import: ("import", "import at the top of the file"),
    ast.ImportFrom: ("import", "import at the top of the file"),
    ast.Delete: ("del", "locals end with their block"),
    ast.Yield: ("yield", "write results into a view"),
    ast.YieldFrom: ("yield from", "write results into a view"),
    ast.Await: ("await", "workunits are not coroutines"),
    ast.AsyncFunctionDef: ("async def", "use def"),
    ast.AsyncFor: ("async for", "use for"),
    ast.AsyncWith: ("async with", "use plain statements"),
    ast.ClassDef: ("a class", "use views and locals"),
    ast.Match: ("match", "write if/elif/else"),
    ast.Starred: ("a starred expression", "name every value"),
    ast.MatMult: ("the @ operator", "write the loops"),
    ast.Is: ("is", "compare with =="),
    ast.IsNot: ("is not", "compare with !="),
    ast.In: ("in", "write the comparisons or a loop"),
    ast.NotIn: ("not in", "write the comparisons or a loop"),
}

ATOMICS: Final = frozenset(
    {"atomic_fetch_add", "atomic_fetch_sub", "atomic_fetch_max", "atomic_fetch_min"}
    | {"atomic_fetch_and", "atomic_fetch_or", "atomic_fetch_xor"}
)

MATH: Final = {
    **dict.fromkeys(("sqrt", "fabs", "exp", "log", "floor", "ceil", "tanh"), 1),
    **dict.fromkeys(("fmin", "fmax", "pow"), 2),
}
"""`math.NAME` and its number of arguments."""

CPP_WORDS: Final = frozenset(
    """alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl
    concept const consteval constexpr constinit const_cast continue co_await co_return co_yield
    decltype default delete do double dynamic_cast else enum explicit export extern false float
    for friend goto if inline int long mutable namespace new noexcept not not_eq nullptr operator
    or or_eq private protected public register reinterpret_cast requires return short signed
    sizeof static static_assert static_cast struct switch template this thread_local throw true
    try typedef typeid typename union unsigned using virtual void volatile wchar_t while xor
    xor_eq

    int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t size_t std main
    NULL NAN INFINITY EOF assert errno linux unix stdin stdout stderr

    Kokkos P Packed execution_space pack team_member""".split()
) | frozenset(MATH)
"""Names that C++, its headers' macros or the generated functor have taken: no local, argument or
`@pk.function` may have one."""

"""Python constructs that are not in the workunit language.

The list is PyKokkos's: a workunit must mean the same to the real PyKokkos and to the built-in
compiler, so a construct that only one of them compiles is refused.
"""

from __future__ import annotations

import ast
from typing import Final, NoReturn

from kkspdnn.pk.frontend.diagnostics import SourceFile

UNSUPPORTED: Final[dict[type[ast.AST], tuple[str, str]]] = {
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
    ast.Raise: ("raise", "write a flag into a view and check it after the launch"),
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
    ast.Starred: ("a starred expression", "write the values one by one"),
    ast.MatMult: ("the @ operator", "write the loops"),
    ast.Is: ("is", "compare with =="),
    ast.IsNot: ("is not", "compare with !="),
    ast.In: ("in", "write the comparisons or a loop"),
    ast.NotIn: ("not in", "write the comparisons or a loop"),
}
"""Node of the syntax tree to the name of the construct and what to write instead."""


def refuse_construct(file: SourceFile, node: ast.AST, construct: ast.AST | None = None) -> NoReturn:
    """Raise the WorkunitError for a node that is not in the language.

    construct: an operator of `node`, which has no source location of its own
    """
    type_ = type(construct or node)
    name, hint = UNSUPPORTED.get(
        type_, (type_.__name__, "use the statements of the workunit language")
    )
    file.refuse(node, f"{name} is not in the workunit language", hint)

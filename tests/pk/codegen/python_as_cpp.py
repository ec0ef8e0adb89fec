"""Python that computes what PyKokkos's C++ computes: the syntax tree of a workunit, changed.

- A declared local converts each value that it gets, and a `@pk.function` its arguments and result.
- // rounds towards zero, and % has the sign of the left operand.
- `and` and `or` lose the parentheses around them, and a range descends only if its step is written
  with a minus sign, as in PyKokkos's translation.
- A name is visible in its block only, and can be declared once there.

Signed numbers that do not fit into their type are errors. Unsigned locals of 32 and 64 bits are
NumPy scalars, with sums modulo 2^32 and 2^64. All other numbers are Python's.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from kkspdnn.pk.types import SCALARS, Scalar

Convert = Callable[[Any], Any]


class NotCppError(Exception):
    """PyKokkos or a C++ compiler would refuse the source."""


def change(tree: ast.Module) -> ast.Module:
    """Return the changed tree; its code needs the names in `HELPERS`."""
    changed: ast.Module = ast.fix_missing_locations(_Cpp().visit(tree))
    return changed


def evaluate(text: str, names: dict[str, Any]) -> Any:
    """Return the value of an expression."""
    cpp = _Cpp()
    cpp.blocks.append(dict.fromkeys(names, ""))
    tree = ast.fix_missing_locations(cpp.visit(ast.parse(text, mode="eval")))
    return eval(compile(tree, "<printed>", "eval"), {**HELPERS, **names})


# ---- numbers ----------------------------------------------------------------------------------


def _conversion(type_: Scalar) -> Convert:
    """Return the conversion of C++ to a type."""
    if type_.name == "bool":
        return bool
    number = type_.numpy.type
    if type_.is_float:
        return lambda value: float(number(value))
    if type_.is_signed:
        return lambda value: _signed(int(value), type_)
    if type_.bits < 32:
        return lambda value: int(value) % 2**type_.bits
    return lambda value: number(int(value) % 2**type_.bits)


def _signed(value: int, type_: Scalar) -> int:
    if value.bit_length() >= type_.bits and value != -(2 ** (type_.bits - 1)):
        raise OverflowError(f"{value} is not an {type_.cpp}")
    return value


CONVERSIONS: Final = {type_: _conversion(type_) for type_ in SCALARS.values()}


def _quotient(left: Any, right: Any) -> int:
    left, right = operator.index(left), operator.index(right)
    absolute = abs(left) // abs(right)
    return absolute if (left < 0) == (right < 0) else -absolute


def _remainder(left: Any, right: Any) -> int:
    return operator.index(left) - operator.index(right) * _quotient(left, right)


def _range(begin: int, end: int, step: int, descending: bool) -> Iterator[int]:
    value = begin
    while value > end if descending else value < end:
        yield value
        value += step


def _array(type_: Scalar, values: list[Any]) -> View:
    return View(np.array([CONVERSIONS[type_](each) for each in values], type_.numpy))


class View:
    """A view, or a local array. An index outside it is an error."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.convert = CONVERSIONS[_TYPES[array.dtype]]

    def _checked(self, index: Any) -> int:
        number = operator.index(index)
        if not 0 <= number < len(self.array):
            raise IndexError(f"{number} of {len(self.array)}")
        return number

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, tuple):  # x[:, :]
            assert index == (slice(None),) * self.array.ndim
            return self
        if self.array.ndim > 1:
            return View(self.array[self._checked(index)])
        return self.array.item(self._checked(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        assert self.array.ndim == 1
        self.array[self._checked(index)] = self.convert(value)

    def extent(self, dimension: int) -> int:
        return int(self.array.shape[dimension])


_TYPES: Final = {type_.numpy: type_ for type_ in SCALARS.values()}

HELPERS: Final[dict[str, Any]] = {
    **{f"__{type_.name}": convert for type_, convert in CONVERSIONS.items()},
    **{f"__{each.__name__.strip('_')}": each for each in (_quotient, _remainder, _range)},
    "__array": lambda name, values: _array(SCALARS[name], values),
}
"""Names that no printed text has: those begin with one underscore at most."""


# ---- the tree -----------------------------------------------------------------------------------

_GLOBALS: Final = ("int", "range", "pk", "math", "List")


class _Cpp(ast.NodeTransformer):
    """Changes a module.

    blocks: the names that each block around a node declares, with the types of scalars
    result: the type that the `@pk.function` around a node returns
    """

    def __init__(self) -> None:
        self.blocks: list[dict[str, str]] = [dict.fromkeys(_GLOBALS, "")]
        self.result = ""

    def declare(self, name: str, type_: str = "") -> None:
        if name in self.blocks[-1]:
            raise NotCppError(f"{name} is declared twice in a block")
        self.blocks[-1][name] = type_

    def type_of(self, name: str) -> str:
        for block in reversed(self.blocks):
            if name in block:
                return block[name]
        raise NotCppError(f"{name} is not visible")

    def block(self, statements: list[ast.stmt], declared: dict[str, str]) -> list[ast.stmt]:
        self.blocks.append(declared)
        changed = [self.visit(each) for each in statements]
        self.blocks.pop()
        return changed

    # ---- statements ---------------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.declare(node.name)
        types = {each.arg: _scalar(each.annotation) for each in node.args.args}
        outside, self.result = self.result, _scalar(node.returns)
        node.body = self.block(node.body, dict(types))
        if self.result:
            conversions = "\n".join(f"{name} = __{type_}({name})" for name, type_ in types.items())
            node.body = ast.parse(conversions).body + node.body
        self.result = outside
        return node

    def visit_For(self, node: ast.For) -> ast.AST:
        call = node.iter
        assert isinstance(call, ast.Call)
        assert isinstance(node.target, ast.Name)
        assert ast.unparse(call.func) == "range"
        descending = len(call.args) == 3 and ast.unparse(call.args[2]).startswith("-")
        bounds = [self.visit(each) for each in call.args]
        if len(bounds) == 1:
            bounds.insert(0, ast.Constant(0))
        if len(bounds) == 2:
            bounds.append(ast.Constant(1))
        node.iter = _call("range", *bounds, ast.Constant(descending))
        node.body = self.block(node.body, {node.target.id: ""})
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        node.test = self.visit(node.test)
        node.body, node.orelse = self.block(node.body, {}), self.block(node.orelse, {})
        return node

    def visit_While(self, node: ast.While) -> ast.AST:
        node.test = self.visit(node.test)
        node.body = self.block(node.body, {})
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        assert isinstance(node.target, ast.Name)
        assert node.value is not None
        value = self.visit(node.value)
        type_ = _scalar(node.annotation)
        if type_:
            new = _call(type_, value)
        else:
            element = ast.unparse(node.annotation).removeprefix("List[pk.").removesuffix("]")
            new = _call("array", ast.Constant(element), value)
        self.declare(node.target.id, type_)
        return ast.Assign([node.target], new)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        (target,) = node.targets
        if isinstance(target, ast.Name) and ":" in ast.unparse(node.value):
            self.declare(target.id)  # a subview
            return ast.Assign([target], self.visit(node.value))
        return self._assign(target, self.visit(node.value))

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        if isinstance(node.target, ast.Name) and not self.type_of(node.target.id):
            node.value = self.visit(node.value)  # of an accumulator
            return node
        old: Any = ast.parse(ast.unparse(node.target), mode="eval").body
        return self._assign(node.target, self.visit(ast.BinOp(old, node.op, node.value)))

    def _assign(self, target: ast.expr, value: ast.expr) -> ast.AST:
        if isinstance(target, ast.Name):
            type_ = self.type_of(target.id)
            assert type_, f"{target.id} cannot be assigned"
            return ast.Assign([target], _call(type_, value))
        return ast.Assign([self.visit(target)], value)

    def visit_Return(self, node: ast.Return) -> ast.AST:
        if node.value is not None:
            node.value = _call(self.result, self.visit(node.value))
        return node

    # ---- expressions --------------------------------------------------------------------------

    def visit_Name(self, node: ast.Name) -> ast.AST:
        self.type_of(node.id)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if ast.unparse(node.func) == "int":
            return _call("int32", *map(self.visit, node.args))
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        left, right = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ast.FloorDiv):
            return _call("quotient", left, right)
        if isinstance(node.op, ast.Mod):
            return _call("remainder", left, right)
        return ast.BinOp(left, node.op, right)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        return _call("bool", _parse(self._translated(node)))

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        (op,) = node.ops
        left, right = self._translated(node.left), self._translated(node.comparators[0])
        symbol = ast.unparse(ast.Compare(ast.Name("a"), [op], [ast.Name("b")]))[1:-1]
        return _call("bool", _parse(f"{left} {symbol} {right}"))

    def _translated(self, node: ast.expr) -> str:
        """An operand as PyKokkos writes it: only logic has no parentheses."""
        if isinstance(node, ast.BoolOp):
            word = " and " if isinstance(node.op, ast.And) else " or "
            return word.join(map(self._translated, node.values))
        return f"({ast.unparse(ast.fix_missing_locations(self.visit(node)))})"


def _scalar(annotation: ast.expr | None) -> str:
    """The type of a scalar's annotation, else an empty string."""
    text = "" if annotation is None else ast.unparse(annotation)
    name = {"int": "int32", "bool": "bool"}.get(text, text.removeprefix("pk."))
    return name if name in SCALARS else ""


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(f"__{name}", ast.Load()), list(arguments), [])


def _parse(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body

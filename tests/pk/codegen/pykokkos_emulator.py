"""Runs the PyKokkos source of a workunit in Python, with a stand-in for the package.

A team has one thread, and work items run one after the other.
"""

from __future__ import annotations

import ast
import builtins
import math
import operator
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from python_as_cpp import CONVERSIONS, HELPERS, View, change

from kkspdnn.pk import language
from kkspdnn.pk.codegen.pykokkos_source import PyKokkosSource
from kkspdnn.pk.compiler import generate_pykokkos
from kkspdnn.pk.dispatch import Specialization, infer_types
from kkspdnn.pk.frontend.intrinsics import MATH
from kkspdnn.pk.policy import ExecutionSpace, Policy, RangePolicy, TeamPolicy
from kkspdnn.pk.types import BOOL, INT32, SCALARS, Scalar, infer_type
from kkspdnn.pk.types import View as ViewType


def assert_same(
    launched: Specialization, items: int, given: Mapping[str, Any], rtol: float = 0
) -> None:
    """Assert that a launch from the printed source changes the arguments as one with the built-in
    compiler on a CPU does, and returns the same."""
    workunit, _, types = launched
    assert infer_types(workunit, given) == types
    source = generate_pykokkos(*launched)
    policy: Policy = RangePolicy(ExecutionSpace.Serial, 0, items)
    if source.signature.team:
        policy = TeamPolicy(ExecutionSpace.Serial, items, 1)
    found, expected = deepcopy(dict(given)), deepcopy(dict(given))
    launch = getattr(language, f"parallel_{source.signature.pattern}")
    assert run(source, policy, found) == launch("w", policy, workunit, **expected)
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol, atol=0, err_msg=name)
        if name not in source.written:
            np.testing.assert_array_equal(value, given[name], err_msg=name)


def run(source: PyKokkosSource, policy: Policy, arguments: Mapping[str, Any]) -> Any:
    """Run a workunit once for each work item; return the result of a reduction or scan."""
    function = load(source.text)[source.function]
    index, *annotations = function.__annotations__.items()
    accumulators = [Accumulator(each.type) for _, each in annotations if _is(each, "Acc")]
    given = accumulators + [True] * (source.signature.last is not None)
    given += [_argument(type_, arguments[name]) for name, type_ in annotations[len(given) :]]
    if isinstance(policy, RangePolicy):
        assert index == (source.signature.items[0], int)
        items: list[Any] = list(range(policy.begin, policy.end))
    else:
        assert index == (source.signature.items[0], TeamMember)
        items = [TeamMember(rank) for rank in range(policy.league_size)]
    with np.errstate(over="ignore"):
        for item in items:
            function(item, *given)
    return accumulators[0].value if accumulators else None


def load(text: str) -> dict[str, Any]:
    """Return the names that the module of a workunit defines."""
    code = compile(change(ast.parse(text)), "<printed>", "exec", dont_inherit=True)
    names = {**HELPERS, "__builtins__": {**vars(builtins), "__import__": _import}}
    exec(code, names)
    return names


def _import(name: str, *more: Any) -> Any:
    known = {"pykokkos": PYKOKKOS, "math": MATHEMATICS}
    return known[name] if name in known else __import__(name, *more)


def _argument(annotation: Any, value: Any) -> Any:
    """The value of a parameter; an array must have the element type and the rank of its view."""
    if isinstance(annotation, Annotation):
        assert isinstance(infer_type(value), ViewType)
        assert annotation == Annotation(f"View{value.ndim}D", infer_type(value).element)
        return View(value)
    return CONVERSIONS[{int: INT32, bool: BOOL}.get(annotation, annotation)](value)


# ---- what the text uses of pykokkos and math ---------------------------------------------------


@dataclass(frozen=True)
class Annotation:
    """`name[type]`."""

    name: str
    type: Any = None

    def __getitem__(self, type_: Any) -> Annotation:
        return Annotation(self.name, type_)


def _is(annotation: Any, name: str) -> bool:
    return isinstance(annotation, Annotation) and annotation.name.startswith(name)


class Accumulator:
    def __init__(self, type_: Scalar) -> None:
        self.convert = CONVERSIONS[type_]
        self.value = self.convert(0)

    def __iadd__(self, value: Any) -> Accumulator:
        self.value = self.convert(self.value + value)
        return self

    def __index__(self) -> int:
        return operator.index(self.value)


class TeamMember:
    def __init__(self, rank: int) -> None:
        self.rank = rank

    def league_rank(self) -> int:
        return self.rank

    def team_rank(self) -> int:
        return 0

    def team_size(self) -> int:
        return 1

    def team_barrier(self) -> None:
        pass


def _nested_range(member: TeamMember, *bounds: int) -> range:
    assert isinstance(member, TeamMember)
    assert len(bounds) in (1, 2)
    return range(*bounds)


def _nested_for(items: range, function: Callable[[int], None]) -> None:
    for item in items:
        function(item)


def _nested_reduce(items: range, function: Callable[[int, Accumulator], None]) -> Any:
    total = Accumulator(list(function.__annotations__.values())[1].type)
    for item in items:
        function(item, total)
    return total.value


def _workunit(**views: Any) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        assert list(views) == [n for n, a in function.__annotations__.items() if _is(a, "View")]
        return function

    return decorate


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "and": operator.and_, "or": operator.or_, "xor": operator.xor,
    "add": operator.add, "sub": operator.sub, "max": max, "min": min,
}  # fmt: skip


def _atomic(name: str) -> Callable[[View, list[int], Any], Any]:
    compute = _OPERATORS[name]

    def apply(view: Any, indices: list[int], value: Any) -> Any:
        for index in indices[:-1]:
            view = view[index]
        old = view[indices[-1]]
        view[indices[-1]] = compute(old, value)
        return old

    return apply


PYKOKKOS = SimpleNamespace(
    **SCALARS,
    **{f"View{rank}D": Annotation(f"View{rank}D") for rank in (1, 2, 3)},
    **{f"atomic_fetch_{name}": _atomic(name) for name in _OPERATORS},
    Acc=Annotation("Acc"),
    Layout=SimpleNamespace(LayoutRight="right"),
    TeamMember=TeamMember,
    TeamThreadRange=_nested_range,
    ThreadVectorRange=_nested_range,
    Trait=SimpleNamespace(Unmanaged="unmanaged"),
    ViewTypeInfo=lambda layout, trait: (layout, trait),
    function=lambda function: function,
    parallel_for=_nested_for,
    parallel_reduce=_nested_reduce,
    workunit=_workunit,
)

_ONLY_CPP = {"tgamma": math.gamma}
MATHEMATICS = SimpleNamespace(
    **{n: getattr(math, n, None) or _ONLY_CPP.get(n) or getattr(np, n) for n in MATH}
)

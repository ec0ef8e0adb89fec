"""`@pk.workunit` with and without arguments."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pykokkos as pk
import pytest

from kkspdnn.errors import InputError
from kkspdnn.pk.frontend.diagnostics import WorkunitError
from kkspdnn.pk.frontend.workunit import Workunit

SOURCE = """
import pykokkos as pk

@pk.workunit
def plain(i: int, y: pk.View1D[pk.double]):
    y[i] = i

@pk.workunit()
def empty(i: int, y: pk.View1D[pk.double]):
    y[i] = 2 * i

@pk.workunit(
    y=pk.ViewTypeInfo(space=pk.HostSpace, layout=pk.Layout.LayoutRight, trait=pk.Trait.Restrict),
    n=pk.ViewTypeInfo(layout=pk.LayoutLeft),
)
def described(i: int, y: pk.View2D[pk.double], n):
    y[0][i] = 3 * i + n[i]
"""


def test_all_forms_are_launched(load: Callable[..., ModuleType]) -> None:
    module = load(SOURCE)
    policy = pk.RangePolicy(pk.Serial, 0, 3)
    y = np.zeros(3)
    pk.parallel_for("w", policy, module.plain, y=y)
    assert y.tolist() == [0, 1, 2]
    pk.parallel_for("w", policy, module.empty, y=y)
    assert y.tolist() == [0, 2, 4]
    pk.parallel_for("w", policy, module.described, y=y[None], n=np.ones(3))
    assert y.tolist() == [1, 4, 7]


def function(i: int, x: pk.View1D[pk.double], y: pk.View2D[pk.double], z):
    """Not compiled."""


def text(i: "int", y: "pk.View3D[pk.double]"):
    """With annotations as text; from __future__ makes all of them such."""


def test_layouts_and_traits_that_change_nothing() -> None:
    info = pk.ViewTypeInfo(layout=pk.LayoutLeft, trait=pk.RandomAccess)
    assert isinstance(pk.workunit(x=info, z=info)(function), Workunit)
    right = pk.ViewTypeInfo(layout=pk.LayoutRight, trait=pk.Unmanaged)
    assert isinstance(pk.workunit(y=right)(function), Workunit)


@pytest.mark.parametrize("which", [function, text])
def test_layout_left_of_several_dimensions_is_refused(which: Callable[..., None]) -> None:
    words = rf"^@pk.workunit of {which.__name__}: `y`: pk.LayoutLeft of [23] dimensions is not"
    with pytest.raises(InputError, match=words):
        pk.workunit(y=pk.ViewTypeInfo(layout=pk.LayoutLeft))(which)


def test_annotations_that_are_objects() -> None:
    def evaluated(i, y):
        """With annotations as objects."""

    evaluated.__annotations__ = {"y": pk.View2D[pk.double]}
    with pytest.raises(InputError, match="pk.LayoutLeft of 2 dimensions"):
        pk.workunit(y=pk.ViewTypeInfo(layout=pk.LayoutLeft))(evaluated)


def test_atomic_views_are_refused() -> None:
    with pytest.raises(InputError, match=r"`x`: pk.Atomic is not supported; .*atomic_fetch_add"):
        pk.workunit(x=pk.ViewTypeInfo(trait=pk.Trait.Atomic))(function)


def test_an_unknown_parameter_and_another_value() -> None:
    with pytest.raises(TypeError, match="`w` is no parameter; its parameters are i, x, y, z"):
        pk.workunit(w=pk.ViewTypeInfo())(function)
    with pytest.raises(TypeError, match="`x` takes a pk.ViewTypeInfo, not 3"):
        pk.workunit(x=3)(function)


def test_a_static_method(load: Callable[..., ModuleType]) -> None:
    """`@staticmethod` above or below the decorator."""
    head = "import pykokkos as pk\n\nclass A:\n    @{}\n    @{}\n"
    for order in (("staticmethod", "pk.workunit"), ("pk.workunit", "staticmethod")):
        module = load(head.format(*order) + "    def w(i: int, y):\n        y[i] = i\n")
        assert module.A.w is module.A().w
        assert module.A.w.generic == ("y",)


def test_a_method_is_refused(load: Callable[..., ModuleType]) -> None:
    module = load(
        "import pykokkos as pk\n\nclass A:\n    @pk.workunit\n    def w(self, i: int, y):\n"
        "        y[i] = i\n"
    )
    with pytest.raises(WorkunitError, match=r":5: a workunit is no method") as caught:
        pk.parallel_for(3, module.A().w, y=np.zeros(3))
    assert str(caught.value).endswith(
        "write @staticmethod above @pk.workunit, and pass the attributes as arguments"
    )


@pytest.mark.parametrize("decorator", ["workunit", "function"])
@pytest.mark.parametrize("value", [len, 3, classmethod(text), pk.workunit(text)])
def test_only_functions_are_decorated(decorator: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"^@pk.{decorator} takes a function defined with def, not"):
        getattr(pk, decorator)(value)

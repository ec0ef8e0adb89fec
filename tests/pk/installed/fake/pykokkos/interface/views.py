from types import SimpleNamespace

from pykokkos.interface import Layout


def from_numpy(array, space, layout):
    assert layout is Layout.LayoutRight
    view = SimpleNamespace(of=array, space=space.value)
    return SimpleNamespace(array=view)

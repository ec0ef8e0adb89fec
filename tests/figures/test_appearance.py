"""Colours and markers: the same thing has the same ones in every figure."""

from __future__ import annotations

from itertools import combinations

from matplotlib.colors import to_rgb

from kkspdnn.choices import METHODS
from kkspdnn.figures.appearance import GREY, looks, machine_looks, published_look
from kkspdnn.figures.hardware import Machine

OWN = ("all", "fold", "dead", "none", "spgemm")
LIBRARIES = ("scipy", "mkl", "graphblas", "kokkos-kernels", "torch", "numba", "tvm", "octave")
ENGINES = ("kkspdnn", "DeepSparse", "MKL CSR", "SciPy CSR", "OpenVINO", "ONNX Runtime", "PyTorch")


def test_a_look_does_not_depend_on_the_others() -> None:
    for name in (*OWN, *LIBRARIES, *ENGINES, *METHODS):
        assert looks([name])[name] == looks([*LIBRARIES, *ENGINES, "x", name])[name]


def test_implementations_of_one_figure_differ_in_colour_and_marker() -> None:
    for names in ((*OWN, *LIBRARIES), (*ENGINES, "NumPy", "SciPy BSR"), METHODS):
        found = looks(names)
        for one, other in combinations(names, 2):
            assert found[one].colour != found[other].colour or (
                found[one].marker != found[other].marker
            )
            assert (found[one].marker, found[one].is_hollow) != (
                found[other].marker,
                found[other].is_hollow,
            )


def test_variants_look_like_their_family_and_kkspdnn_is_one_colour() -> None:
    found = looks(["tvm", "tvm-drop", "all", "kkspdnn", "mkl", "MKL CSR"])
    assert found["tvm"] == found["tvm-drop"]
    assert found["all"] == found["kkspdnn"]
    assert found["mkl"] == found["MKL CSR"]


def test_unknown_names_have_looks_of_their_own() -> None:
    unknown = [f"library {number}" for number in range(12)]
    found = looks([*unknown, *OWN, *LIBRARIES, *ENGINES])
    assert (
        len({(look.colour, look.marker) for name, look in found.items() if name in unknown}) == 12
    )
    known = {(look.colour, look.marker) for name, look in found.items() if name not in unknown}
    assert not known & {(found[name].colour, found[name].marker) for name in unknown}


def test_machines_differ_in_colour_and_marker() -> None:
    machines = [Machine(False, name) for name in "abcdefgh"]
    found = list(machine_looks(machines).values())
    assert len({look.colour for look in found}) == len({look.marker for look in found}) == 8


def test_published_results_are_grey_and_hollow() -> None:
    found = [published_look(index) for index in range(8)]
    assert {look.colour for look in found} == {GREY}
    assert all(look.is_hollow for look in found)
    assert len({look.marker for look in found}) == 8
    red, green, blue = to_rgb(GREY)
    assert red == green == blue

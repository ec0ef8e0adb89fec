"""Colours and markers: the same thing has the same ones in every figure."""

from __future__ import annotations

from itertools import combinations

from matplotlib.colors import to_rgb

from kkspdnn.choices import METHODS
from kkspdnn.figures.appearance import GREY, implementation_styles, machine_styles, published_style
from kkspdnn.figures.hardware import Machine

OWN = ("all", "fold", "dead", "none", "spgemm")
LIBRARIES = ("scipy", "mkl", "graphblas", "kokkos-kernels", "torch", "numba", "tvm", "octave")
ENGINES = ("kkspdnn", "DeepSparse", "MKL CSR", "SciPy CSR", "OpenVINO", "ONNX Runtime", "PyTorch")


def test_a_look_does_not_depend_on_the_others() -> None:
    for name in (*OWN, *LIBRARIES, *ENGINES, *METHODS):
        assert (
            implementation_styles([name])[name]
            == implementation_styles([*LIBRARIES, *ENGINES, "x", name])[name]
        )


def test_implementations_of_one_figure_differ_in_colour_and_marker() -> None:
    for names in ((*OWN, *LIBRARIES), (*ENGINES, "NumPy", "SciPy BSR"), METHODS):
        found = implementation_styles(names)
        for one, other in combinations(names, 2):
            assert found[one].colour != found[other].colour or (
                found[one].marker != found[other].marker
            )
            assert (found[one].marker, found[one].is_hollow) != (
                found[other].marker,
                found[other].is_hollow,
            )


def test_variants_look_like_their_family_and_kkspdnn_is_one_colour() -> None:
    found = implementation_styles(["tvm", "tvm-drop", "all", "kkspdnn", "mkl", "MKL CSR"])
    assert found["tvm"] == found["tvm-drop"]
    assert found["all"] == found["kkspdnn"]
    assert found["mkl"] == found["MKL CSR"]


def test_unknown_names_have_looks_of_their_own() -> None:
    unknown = [f"library {number}" for number in range(12)]
    found = implementation_styles([*unknown, *OWN, *LIBRARIES, *ENGINES])
    assert (
        len({(style.colour, style.marker) for name, style in found.items() if name in unknown})
        == 12
    )
    known = {(style.colour, style.marker) for name, style in found.items() if name not in unknown}
    assert not known & {(found[name].colour, found[name].marker) for name in unknown}


def test_machines_differ_in_colour_and_marker() -> None:
    machines = [Machine(False, name) for name in "abcdefgh"]
    found = list(machine_styles(machines).values())
    assert len({style.colour for style in found}) == len({style.marker for style in found}) == 8


def test_published_results_are_grey_and_hollow() -> None:
    found = [published_style(index) for index in range(8)]
    assert {style.colour for style in found} == {GREY}
    assert all(style.is_hollow for style in found)
    assert len({style.marker for style in found}) == 8
    red, green, blue = to_rgb(GREY)
    assert red == green == blue


def test_no_implementation_is_grey() -> None:
    for name in (*OWN, *LIBRARIES, *ENGINES, "NumPy", "SciPy BSR", "cuBLAS"):
        red, green, blue = to_rgb(implementation_styles([name])[name].colour)
        assert not red == green == blue or red == 0

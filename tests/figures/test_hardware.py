"""Names of machines."""

from __future__ import annotations

import pytest

from kkspdnn.figures.hardware import (
    Hardware,
    Machine,
    make_hardware,
    most_threads,
    single_threaded,
)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        (
            "Intel(R) Xeon(R) Platinum 8480C CPU @ 2.00GHz, 56 cores",
            "Intel Xeon Platinum 8480C, 56 cores",
        ),
        ("Intel(R) Xeon(R) Processor, 2 cores", "Intel Xeon, 2 cores"),
        ("AMD EPYC 7763 64-Core Processor, 64 cores", "AMD EPYC 7763 64-Core, 64 cores"),
        ("AMD EPYC, 2 cores", "AMD EPYC, 2 cores"),
    ],
)
def test_short_names_have_no_trademarks(name: str, short: str) -> None:
    assert Machine(False, name).short_name == short


def test_a_gpu_has_no_threads() -> None:
    one = make_hardware("a, 2 cores", 2, "NVIDIA H100 PCIe, 535.1; NVIDIA H100 PCIe, 535.1")
    assert one == Hardware(Machine(True, "NVIDIA H100 PCIe"), 0)
    assert one.title == "NVIDIA H100 PCIe"
    assert make_hardware("", 0, "NVIDIA H100", 4).title == "4 x NVIDIA H100"
    assert make_hardware("AMD EPYC, 2 cores", 1).title == "AMD EPYC, 2 cores, 1 thread"


def test_cpus_come_before_gpus_with_their_most_threads() -> None:
    gpu = make_hardware("", 0, "A")
    found = [gpu, make_hardware("b", 4), make_hardware("a", 2), make_hardware("b", 8)]
    assert most_threads(found) == [make_hardware("a", 2), make_hardware("b", 8), gpu]


def test_implementations_of_one_thread_are_named_if_others_have_more() -> None:
    some = [("SciPy, CSR x CSR", 1), ("SciPy, CSR x dense", 1), ("GNU Octave, float64", 1)]
    assert single_threaded(some) == ""
    assert single_threaded([*some, ("MKL", 2)]) == "; 1 thread: GNU Octave, SciPy"
    assert single_threaded([("MKL", 2)]) == ""

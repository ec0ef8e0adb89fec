"""Names that the built-in compiler does not have say what to write instead."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kkspdnn
from kkspdnn.pk import language, language_as_pykokkos
from kkspdnn.pk.api.missing_names import remedies

# The public names of github.com/kokkos/pykokkos at b42c805, without its submodules.
PYKOKKOS = """
    Acc AUTO Atomic BinOp BinOp1D BinOp3D BinSort Cuda CudaSpace CudaUVMSpace DataType DataTypeClass
    Debug Decorator Default ExecutionPolicy ExecutionSpace ExecutionSpaceInstance HIP
    HIPManagedSpace HIPSpace HostSpace Iterate Layout LayoutDefault LayoutLeft LayoutRight
    MDRangePolicy MemorySpace MemorySpaceDefault OpenMP OpenMPTargetSpace PerTeam PerThread
    RandomAccess RandomPool Random_XorShift1024_Pool Random_XorShift64_Pool RangePolicy Rank
    Restrict Runtime ScratchView ScratchView1D ScratchView2D ScratchView3D ScratchView4D
    ScratchView5D ScratchView6D ScratchView7D ScratchView8D Serial Subview TeamMember TeamPolicy
    TeamThreadMDRange TeamThreadRange ThreadVectorRange Threads Timer Trait TraitDefault Unmanaged
    View View1D View2D View3D View4D View5D View6D View7D View8D ViewType ViewTypeInfo add all any
    argmax array asarray astype atomic_add atomic_compare_exchange atomic_fetch_add
    atomic_fetch_and atomic_fetch_div atomic_fetch_lshift atomic_fetch_max atomic_fetch_min
    atomic_fetch_mod atomic_fetch_mul atomic_fetch_or atomic_fetch_rshift atomic_fetch_sub
    atomic_fetch_xor atomic_increment bool broadcast_view callback ceil classtype cleanup col
    compile_into_module complex128 complex64 copyto cos cyl_bessel_j0 cyl_bessel_j1 disable_uvm
    divide dot double e enable_uvm equal execute exp exp2 expand_dims fence finalize find_max finfo
    float float32 float64 floor floor_divide flush fmax fmin fmod full full_like function functor
    generic_error get_default_layout get_default_memory_space get_default_precision
    get_default_space greater hstack iinfo in1d index inf initialize int16 int32 int64 int8
    is_host_execution_space is_uvm_enabled isfinite isinf isnan linspace log log10 log1p log2
    logaddexp logaddexp2 logical_and logical_not logical_or logical_xor logspace main matmul mean
    multiply nan negative np_matmul ones ones_like parallel_for parallel_reduce parallel_scan pi
    positive power printf rand ravel real reciprocal reshape result_type round runtime_singleton
    searchsorted set_default_precision set_default_space set_device_id sign sin single sqrt square
    subtract sum tan tanh transpose true_divide trunc uint16 uint32 uint64 uint8 unique var workload
    workunit zeros zeros_like
""".split()


@pytest.mark.parametrize("name", PYKOKKOS)
def test_every_name_of_pykokkos_exists_or_has_a_remedy(name: str) -> None:
    if not hasattr(language, name):
        assert name in remedies()


# Of Kokkos in C++, and of earlier versions of PyKokkos.
OTHER = """
    create_mirror create_mirror_view deep_copy from_array from_cupy from_numpy subview
""".split()


@pytest.mark.parametrize("name", OTHER)
def test_other_names_of_views_have_a_remedy(name: str) -> None:
    assert name in remedies()


def test_the_remedies_of_copies_and_subviews() -> None:
    a, b = language.View([3, 4]), language.View([3, 4])
    b.fill(2.0)
    a.data[...] = b.data
    assert (a.data == 2).all()
    assert a.data[1].shape == (4,)
    assert np.shares_memory(language.array(a, language.HostSpace).data, a.data)
    x = np.zeros(3)
    assert np.shares_memory(language.array(x).data, x)


@pytest.mark.parametrize("name", remedies())
def test_a_remedy_is_one_line_about_names_that_exist(name: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(language, name)
    message = str(caught.value)
    assert message == f"pk.{name} is not in the built-in compiler: {remedies()[name]}"
    assert "\n" not in message
    for other in re.findall(r"\bpk\.(\w+)", remedies()[name]):
        assert hasattr(language, other), other
    for other in re.findall(r"\bnumpy\.(\w+)", remedies()[name]):
        assert hasattr(np, other), other


def test_python_adds_no_other_name() -> None:
    program = "from kkspdnn.pk import language as pk\n@pk.functor\nclass F: pass\n"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(Path(kkspdnn.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.endswith(
        f"pk.functor is not in the built-in compiler: {remedies()['functor']}\n"
    )


def test_class_decorators_say_what_to_write() -> None:
    with pytest.raises(AttributeError, match=r"@pk.workunit def name\(i: int, ...\)"):

        @language.workload
        class _Workload:
            pass


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("parralel_for", "did you mean pk.parallel_for?"),
        ("View1d", "did you mean pk.View1D?"),
        ("rangepolicy", "did you mean pk.RangePolicy?"),
        ("workunits", "did you mean pk.workunit?"),
        ("quaternion", "dir(pk) lists its names"),
    ],
)
def test_misspelt_names(name: str, remedy: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(language, name)
    assert str(caught.value) == f"PyKokkos has no name pk.{name}: {remedy}"
    assert getattr(language, name, 7) == 7


def test_names_that_are_imported_say_what_to_write() -> None:
    with (
        language_as_pykokkos(),
        pytest.raises(ImportError, match=r"^pk.zeros is not in .*: use numpy.zeros, whose arrays"),
    ):
        from pykokkos import zeros  # noqa: F401


@pytest.mark.parametrize("name", ["interface", "interface.views", "lib", "kokkos_manager"])
def test_submodules_say_what_to_write(name: str) -> None:
    first = name.partition(".")[0]
    with language_as_pykokkos(), pytest.raises(ImportError) as caught:
        importlib.import_module(f"pykokkos.{name}")
    assert str(caught.value) == (
        f"pk.{first} is not in the built-in compiler: it is internal to PyKokkos; write import "
        "pykokkos as pk and use the names of pk"
    )


def test_dir_lists_the_names() -> None:
    assert dir(language) == sorted(language.__all__)

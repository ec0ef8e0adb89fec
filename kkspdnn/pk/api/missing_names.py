"""What to write instead of names of PyKokkos and Kokkos that are not in the built-in compiler."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_SAME_NAME: Final = """
    add all any argmax ceil copyto cos divide dot equal exp exp2 expand_dims finfo floor
    floor_divide fmax fmin fmod full full_like greater hstack iinfo isfinite isinf isnan linspace
    log log10 log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor
    logspace matmul mean multiply negative ones ones_like positive power ravel reciprocal
    result_type round searchsorted sign sin sqrt square subtract sum tan tanh transpose true_divide
    trunc unique var zeros zeros_like reshape
""".split()
"""Array functions that NumPy has under the same name."""

_OTHER_NAME: Final = {
    "broadcast_view": "broadcast_to",
    "col": "take",
    "find_max": "max",
    "in1d": "isin",
    "index": "take",
    "np_matmul": "matmul",
}

_FREE_FUNCTION: Final = (
    "write a free function, @pk.workunit def name(i: int, ...), with the members of the class as "
    "parameters, and launch it with pk.parallel_for"
)
_DIMENSIONS: Final = "a view has 1 to 3 dimensions; merge some of them into one"
_COMPLEX: Final = "keep the real and the imaginary parts in two views"
_SORT: Final = "sort with numpy.argsort, or cupy.argsort on a GPU, and pass the result"
_RANDOM: Final = "draw the numbers with numpy.random, or cupy.random on a GPU, and pass the array"
_UVM: Final = "leave it out, and pass arrays of CuPy or views of pk.CudaSpace with pk.Cuda"
_PRECISION: Final = "write pk.double or pk.float instead of pk.real"
_MIRROR: Final = "write pk.array(a, pk.HostSpace), which copies only what lies elsewhere"
_FROM_ARRAY: Final = "write pk.array(x), which shares its memory, or pass the array itself"
_AUTOMATIC: Final = "leave it out; Kokkos starts with the first launch and ends with the program"
_INTERNAL: Final = "it is internal to PyKokkos; write import pykokkos as pk and use the names of pk"

_REMEDIES: Final = {
    **{name: f"use numpy.{name}, whose arrays a launch takes" for name in _SAME_NAME},
    **{name: f"use numpy.{other}" for name, other in _OTHER_NAME.items()},
    **{name: f"use math.{name}" for name in ("e", "inf", "nan", "pi")},
    **dict.fromkeys(("functor", "workload"), _FREE_FUNCTION),
    **dict.fromkeys([f"View{rank}D" for rank in range(4, 9)], _DIMENSIONS),
    **dict.fromkeys([f"ScratchView{rank}D" for rank in range(4, 9)], _DIMENSIONS),
    **dict.fromkeys(("complex", "complex64", "complex128"), _COMPLEX),
    **dict.fromkeys(("BinOp", "BinOp1D", "BinOp3D", "BinSort"), _SORT),
    **dict.fromkeys(("Random_XorShift64_Pool", "Random_XorShift1024_Pool"), _RANDOM),
    **dict.fromkeys(("RandomPool", "rand"), _RANDOM),
    **dict.fromkeys(("disable_uvm", "enable_uvm", "is_uvm_enabled"), _UVM),
    **dict.fromkeys(("get_default_precision", "set_default_precision"), _PRECISION),
    **dict.fromkeys(("cleanup", "finalize", "initialize"), _AUTOMATIC),
    **dict.fromkeys(("Decorator", "Runtime", "generic_error", "runtime_singleton"), _INTERNAL),
    **dict.fromkeys(("bindings", "core", "interface", "kokkos_manager", "lib"), _INTERNAL),
    **dict.fromkeys(("runtime",), _INTERNAL),
    "ExecutionPolicy": "write pk.RangePolicy or pk.TeamPolicy",
    "ScratchView": "write pk.ScratchView1D, pk.ScratchView2D or pk.ScratchView3D",
    "astype": "write pk.array(view.data.astype(dtype))",
    "callback": "call the function after the launch",
    "classtype": "pass the fields as parameters of the workunit, or one view for each field",
    "compile_into_module": "write the code as a @pk.workunit, or compile it with pybind11 itself",
    "cyl_bessel_j0": "compute the values with scipy.special.j0 and pass the array",
    "cyl_bessel_j1": "compute the values with scipy.special.j1 and pass the array",
    "create_mirror": _MIRROR,
    "create_mirror_view": _MIRROR,
    "deep_copy": "write a.data[...] = b.data",
    "execute": (
        "launch each workunit with pk.parallel_for, pk.parallel_reduce or pk.parallel_scan; "
        f"instead of a class, {_FREE_FUNCTION}"
    ),
    "flush": "leave it out; no launch is delayed",
    "from_array": _FROM_ARRAY,
    "from_cupy": _FROM_ARRAY,
    "from_numpy": _FROM_ARRAY,
    "int": "write int or pk.int32",
    "linalg": "use numpy.linalg",
    "main": "write an ordinary function that calls pk.parallel_for",
    "set_device_id": "set the environment variable KOKKOS_DEVICE_ID before the first launch",
    "subview": "write row = a[i, :] in a workunit, or a.data[i] outside",
}


def remedies() -> dict[str, str]:
    """Return what to write instead, by the name that is missing."""
    return dict(_REMEDIES)


def describe_missing(name: str, known: Iterable[str]) -> str:
    """Return on one line why `pk.NAME` does not exist, and what to write.

    known: the names that exist
    """
    if name in _REMEDIES:
        return f"pk.{name} is not in the built-in compiler: {_REMEDIES[name]}"
    by_text = {each.lower(): each for each in known}
    similar = get_close_matches(name.lower(), by_text, 1, 0.75)
    remedy = f"did you mean pk.{by_text[similar[0]]}?" if similar else "dir(pk) lists its names"
    return f"PyKokkos has no name pk.{name}: {remedy}"

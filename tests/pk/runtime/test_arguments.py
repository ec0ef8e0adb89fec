"""Arguments of a launch: those that are passed without a copy, and those that are refused."""

from __future__ import annotations

from typing import Any

import kernels
import numpy as np
import pykokkos as pk
import pytest

from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.types import infer_type

POLICY = pk.RangePolicy(pk.Serial, 0, 1)


def arguments(**changed: Any) -> dict[str, Any]:
    """The arguments of the workunit every_number, some of them changed."""
    defaults: dict[str, Any] = dict.fromkeys("abcdefghrsnx", 1)
    defaults |= {"flag": True, "wide": np.zeros(9, np.int64)}
    defaults |= {"last": np.zeros(1, np.uint64), "real": np.zeros(3)}
    return defaults | changed


def launch(**changed: Any) -> None:
    pk.parallel_for("w", POLICY, kernels.every_number, **arguments(**changed))


def extents_of(a: Any, out: Any) -> None:
    pk.parallel_for("w", POLICY, kernels.extents, a=a, out=out)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("wide", [0] * 9, "must be a NumPy array, not list"),
        ("wide", None, "must be a NumPy array, not NoneType"),
        ("wide", 3, "must be a NumPy array, not int"),
        ("wide", np.ma.zeros(9, np.int64), "must be a NumPy array, not MaskedArray"),
        ("wide", np.zeros(9, np.int32), "must be 1-dimensional int64, not 1-dimensional int32"),
        ("wide", np.zeros(9, np.uint64), "must be 1-dimensional int64, not 1-dimensional uint64"),
        ("wide", np.zeros(9, ">i8"), "must be 1-dimensional int64, not 1-dimensional >i8"),
        ("wide", np.zeros(9, object), "must be 1-dimensional int64, not 1-dimensional object"),
        ("wide", np.zeros((3, 3), np.int64), "must be 1-dimensional int64, not 2-dimensional"),
        ("wide", np.zeros((), np.int64), "must be 1-dimensional int64, not 0-dimensional"),
        ("wide", np.zeros(18, np.int64)[::2], "is not C-contiguous: pass numpy.ascontiguousarray"),
        ("wide", np.zeros(9, np.int64)[::-1], "is not C-contiguous"),
        (
            "real",
            np.zeros(3, np.float32),
            "must be 1-dimensional float64, not 1-dimensional float32",
        ),
        ("real", np.zeros(25, np.uint8)[1:].view(np.float64), "is not aligned to its dtype"),
        ("n", 2**31, "= 2147483648 does not fit int32 (-2147483648 to 2147483647)"),
        ("n", -(2**31) - 1, "does not fit int32"),
        ("n", 1.0, "must be a whole number, not float"),
        ("n", np.float32(1), "must be a whole number, not float32"),
        ("n", True, "must be a whole number, not bool"),
        ("n", np.bool_(True), "must be a whole number, not bool"),
        ("n", "1", "must be a whole number, not str"),
        ("n", np.ones(1, np.int32), "must be a whole number, not ndarray"),
        ("a", 128, "= 128 does not fit int8 (-128 to 127)"),
        ("e", -1, "= -1 does not fit uint8 (0 to 255)"),
        ("h", 2**64, "does not fit uint64"),
        ("h", np.int64(-1), "= -1 does not fit uint64"),
        ("x", "1", "must be a number, not str"),
        ("x", 1j, "must be a number, not complex"),
        ("x", False, "must be a number, not bool"),
        ("x", 10**400, "is too large for double"),
        ("r", 1e39, "= 1e+39 does not fit float"),
        ("r", np.float64(-1e39), "= -1e+39 does not fit float"),
        ("flag", 1, "must be a bool, not int"),
    ],
)
def test_an_argument_of_a_wrong_type(name: str, value: Any, reason: str) -> None:
    with pytest.raises(TypeError) as caught:
        launch(**{name: value})
    assert str(caught.value).startswith(f"every_number: argument `{name}`")
    assert reason in str(caught.value)


def test_an_array_of_another_dtype_says_how_to_convert_it() -> None:
    a, out = np.zeros((2, 3, 4)), np.zeros(3, np.int64)
    begin = "extents: argument `a` must be 3-dimensional float32, not"
    with pytest.raises(TypeError) as caught:
        extents_of(a, out)
    assert str(caught.value) == f"{begin} 3-dimensional float64: pass a.astype(numpy.float32)"
    with pytest.raises(TypeError) as caught:
        extents_of(a[0], out)
    assert str(caught.value) == f"{begin} 2-dimensional float64"
    # A copy would get the results, and not the array.
    with pytest.raises(TypeError, match="1-dimensional int32: create it with the dtype int64$"):
        extents_of(a.astype(np.float32), out.astype(np.int32))


def test_a_missing_and_an_unknown_argument() -> None:
    incomplete = arguments()
    del incomplete["real"]
    with pytest.raises(TypeError, match="every_number: argument `real` is missing"):
        pk.parallel_for("w", POLICY, kernels.every_number, **incomplete)
    with pytest.raises(TypeError, match="every_number: argument `real` is missing"):
        pk.parallel_for("w", POLICY, kernels.every_number, **incomplete, rael=np.zeros(3))
    with pytest.raises(TypeError, match="every_number has no argument `rael`"):
        launch(rael=np.zeros(3))


def test_a_column_major_array_is_refused() -> None:
    with pytest.raises(TypeError, match="`a` is not C-contiguous"):
        extents_of(np.zeros((2, 3, 4), np.float32, order="F"), np.zeros(3, np.int64))


def test_read_only_arrays_may_be_read_but_not_written() -> None:
    a, out = np.zeros((2, 3, 4), np.float32), np.zeros(3, np.int64)
    a.flags.writeable = False
    extents_of(a, out)
    assert out.tolist() == [2, 3, 4]
    out.flags.writeable = False
    with pytest.raises(TypeError, match="`out` is written by the workunit but is read-only"):
        extents_of(a, out)


def test_arrays_are_passed_without_a_copy(space: ExecutionSpace) -> None:
    array = np.zeros(20, np.int64)
    section = array[5:14]
    policy = pk.RangePolicy(space, 0, 1)
    pk.parallel_for("w", policy, kernels.every_number, **arguments(wide=section, c=42))
    assert array[7] == 42
    assert section.base is array


def test_memory_that_numpy_does_not_own() -> None:
    memory = bytearray(72)
    launch(wide=np.frombuffer(memory, np.int64), c=7)
    assert int.from_bytes(memory[16:24], "little") == 7


def test_empty_arrays_and_empty_ranges(space: ExecutionSpace) -> None:
    empty = np.zeros(0)
    policy = pk.RangePolicy(space, 0, 0)
    assert pk.parallel_reduce("w", policy, kernels.dot, x=empty, y=empty) == 0.0
    backwards = pk.RangePolicy(space, 5, 2)
    assert pk.parallel_reduce("w", backwards, kernels.dot, x=empty, y=empty) == 0.0
    longs = np.zeros(0, np.int64)
    views = {"x": longs, "before": longs, "after": longs}
    assert pk.parallel_scan("w", policy, kernels.running_sum, **views) == 0
    teams = pk.TeamPolicy(space, 0, pk.AUTO)
    assert pk.parallel_reduce("w", teams, kernels.team_reduction, x=np.zeros((0, 3))) == 0.0


def test_a_wrong_pattern_or_policy() -> None:
    x = np.zeros(3)
    with pytest.raises(
        TypeError, match=r"dot is a pk\.parallel_reduce workunit, not a pk\.parallel_for"
    ):
        pk.parallel_for("w", POLICY, kernels.dot, x=x, y=x)
    with pytest.raises(TypeError, match="dot takes an index: launch it with a RangePolicy"):
        pk.parallel_reduce("w", pk.TeamPolicy(pk.Serial, 1, 1), kernels.dot, x=x, y=x)
    with pytest.raises(TypeError, match="team_reduction takes a team: launch it with a TeamPolicy"):
        pk.parallel_reduce("w", POLICY, kernels.team_reduction, x=np.zeros((1, 1)))


def test_a_team_that_is_too_large_does_not_end_the_process(space: ExecutionSpace) -> None:
    with pytest.raises(
        ValueError, match=rf"team_size = 4096, but {space.value} supports teams of at most"
    ):
        pk.parallel_reduce(
            "w", pk.TeamPolicy(space, 1, 4096), kernels.team_reduction, x=np.zeros((1, 1))
        )


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: pk.RangePolicy(0, 0, 1), "needs an execution space, such as pk.OpenMP, not 0"),
        (
            lambda: pk.TeamPolicy("Serial", 1, 1),
            "needs an execution space, such as pk.Serial, not 'Serial'",
        ),
        (lambda: pk.RangePolicy(pk.Serial, 0, 1.0), "RangePolicy end must be a whole number"),
        (lambda: pk.RangePolicy(pk.Serial, False, 1), "begin must be a whole number, not bool"),
        (
            lambda: pk.RangePolicy(pk.Serial, 0, 2**31),
            "end = 2147483648 is outside 0 to 2147483647",
        ),
        (lambda: pk.RangePolicy(pk.Serial, -1, 2), "begin = -1 is outside"),
        (lambda: pk.TeamPolicy(pk.Serial, -1, 2), "league_size = -1 is outside"),
        (lambda: pk.TeamPolicy(pk.Serial, 1, 0), "team_size = 0 is outside 1 to"),
        (lambda: pk.TeamPolicy(pk.Serial, 1, 1, 0), "vector_length = 0 is outside 1 to"),
    ],
)
def test_invalid_policies_are_refused(make: Any, reason: str) -> None:
    with pytest.raises((TypeError, ValueError), match=reason):
        make()


def test_policies_accept_numpy_integers() -> None:
    policy = pk.RangePolicy(pk.Serial, np.int32(2), np.int64(7))
    assert (policy.begin, policy.end) == (2, 7)


# ---- parameters without annotation ------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.zeros(2, np.float32), "float32 1"),
        (np.zeros((2, 2, 2), np.uint16), "uint16 3"),
        (np.zeros((1,) * 4), None),
        (np.zeros(()), None),
        (np.zeros(2, bool), None),
        (np.zeros(2, ">f4"), None),
        (np.zeros(2, np.float16), None),
        (np.float32(1), "float32"),
        (np.float64(1), "float64"),
        (np.int8(1), "int8"),
        (1.5, "float64"),
        (2**31 - 1, "int32"),
        (2**31, "int64"),
        (True, "bool"),
        ([1], None),
        (None, None),
    ],
)
def test_the_type_that_is_inferred_from_an_argument(value: Any, expected: str | None) -> None:
    inferred = infer_type(value)
    if inferred is None:
        assert expected is None
    elif hasattr(inferred, "rank"):
        assert f"{inferred.element.dtype} {inferred.rank}" == expected
    else:
        assert inferred.dtype == expected


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"x": [1.0]}, "generic: argument `x` must be a number or an array .* not list"),
        ({"x": np.zeros(2, ">f8")}, "argument `x` must be .* not ndarray of >f8"),
        ({"x": np.zeros(2, bool)}, "not ndarray of bool: pass .view.numpy.uint8. of it"),
        ({"z": 1}, "generic has no argument `z`"),
    ],
)
def test_generic_arguments_of_a_wrong_type(changed: dict[str, Any], reason: str) -> None:
    generic = {"x": np.zeros(2), "y": np.zeros(2), "scale": 1.0} | changed
    with pytest.raises(TypeError, match=reason):
        pk.parallel_for("w", POLICY, kernels.generic, **generic)


def test_a_missing_generic_argument() -> None:
    with pytest.raises(TypeError, match="generic: argument `scale` is missing"):
        pk.parallel_for("w", POLICY, kernels.generic, x=np.zeros(2), y=np.zeros(2))

"""SpGEMM, bias and ReLU with a team for each row, against SciPy and NumPy.

On a GPU a team is a warp. On a CPU it has one thread, and in OpenMP also two that run concurrently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from exact_numbers import DENSITIES, SEEDS, csr_arguments, matrix, offsets
from hypothesis import given, settings
from hypothesis import strategies as st

from kkspdnn.device.space import Space
from kkspdnn.workunits import spgemm_counts, spgemm_team

TEAM_ROWS = 3


@pytest.fixture(scope="module", params=["team of one thread", "team of two threads"])
def threads(request: pytest.FixtureRequest, space: Space) -> int:
    if space.gpu:
        return 32 if "one" in request.param else 64
    if "one" in request.param:
        return 1
    if space.name != "openmp" or space.threads < 2:
        pytest.skip("the teams of this space have one thread")
    return 2


def teams(space: Space, league: int, threads: int) -> Any:
    return space.pk.TeamPolicy(space.execution_space, league, threads, 1)


def active_rows(space: Space, y: sp.csr_array) -> tuple[Any, int]:
    active = np.full(y.shape[0], -1, np.int32)
    count = space.pk.parallel_scan(
        "active",
        space.range(y.shape[0]),
        spgemm_counts.list_active_rows,
        start=y.indptr.astype(np.int64),
        active=active,
    )
    return active, int(count)


@dataclass(frozen=True)
class Epilogue:
    """Bias and ReLU of a product."""

    bias: Any
    low: float
    ymax: float

    def apply(self, z: Any) -> Any:
        """Return min(max(z + bias, low), ymax); the bias is added to nonzeros only."""
        return np.clip(np.where(z != 0, z + self.bias, z), self.low, self.ymax).astype(z.dtype)


def multiply_in_teams(
    space: Space,
    y: sp.csr_array,
    w: sp.csr_array,
    workers: int,
    threads: int,
    epilogue: Epilogue | None = None,
) -> sp.csr_array:
    """Both passes and the scans, with the columns of W in random places."""
    rows, columns = y.shape[0], w.shape[1]
    position = np.random.default_rng(columns).permutation(columns).astype(np.int32)
    active, count = active_rows(space, y)
    common = {
        **csr_arguments("y", y),
        "active": active,
        "wstart": w.indptr.astype(np.int32),
        "windex": position[w.indices],
        "rows": count,
        "workers": workers,
        "columns": columns,
    }
    size = np.zeros(rows, np.int64)
    policy = teams(space, workers, threads)
    space.pk.parallel_for(
        "symbolic",
        policy,
        spgemm_team.spgemm_symbolic_team,
        size=size,
        stamp=np.zeros(workers * columns, np.int32),
        **common,
    )
    start, total = offsets(space, size)
    index = np.full(total, 2**32 - 1, np.uint32)
    value = np.full(total, np.nan, y.dtype)
    accumulator = np.zeros(workers * columns, y.dtype)
    applied = epilogue or Epilogue(np.full(columns, np.nan), np.nan, np.nan)
    nonzeros = np.zeros(rows, np.int64)
    space.pk.parallel_for(
        "numeric",
        policy,
        spgemm_team.spgemm_numeric_team,
        yvalue=y.data,
        wvalue=w.data,
        position=position,
        zstart=start,
        zindex=index,
        zvalue=value,
        stamp=np.zeros(workers * columns, np.int32),
        accumulator=accumulator,
        zero=y.dtype.type(0),
        longest=int(np.diff(w.indptr).max(initial=0)),
        bias=applied.bias.astype(y.dtype),
        low=y.dtype.type(applied.low),
        ymax=y.dtype.type(applied.ymax),
        size=nonzeros,
        fused=epilogue is not None,
        **common,
    )
    assert not accumulator.any()
    if epilogue is not None:
        start, index, value = copy_rows(space, start, index, value, nonzeros)
    return sp.csr_array((value, index.astype(np.int64), start), shape=(rows, columns))


def copy_rows(space: Space, start: Any, index: Any, value: Any, size: Any) -> tuple[Any, Any, Any]:
    """Return CSR arrays with the first `size` entries of each row."""
    policy, team_rows = row_teams(space, size.size)
    found, total = offsets(space, size)
    kept_index, kept_value = (
        np.full(total, 2**32 - 1, np.uint32),
        np.full(total, np.nan, value.dtype),
    )
    space.pk.parallel_for(
        "copy",
        policy,
        spgemm_team.copy_rows_team,
        zstart=start,
        zindex=index,
        zvalue=value,
        ystart=found,
        yindex=kept_index,
        yvalue=kept_value,
        **team_rows,
    )
    return found, kept_index, kept_value


def row_teams(space: Space, rows: int) -> tuple[Any, dict[str, int]]:
    """Return the policy of bias and ReLU, and the arguments that say which rows a team has."""
    policy = space.row_teams(-(-rows // TEAM_ROWS), TEAM_ROWS, 32)
    return policy, {"rows": rows, "team_rows": TEAM_ROWS}


def in_order(y: sp.csr_array, w: sp.csr_array) -> tuple[sp.csr_array, int]:
    """Return the product whose terms are added in the order of the entries of Y, with an entry for
    each sum, and the number of multiplications."""
    sums = np.zeros((y.shape[0], w.shape[1]), y.dtype)
    terms = np.zeros(sums.shape, np.int64)
    weights, used = w.toarray(), (w.toarray() != 0).astype(np.int64)
    for row in range(y.shape[0]):
        for e in range(y.indptr[row], y.indptr[row + 1]):
            sums[row] += y.data[e] * weights[y.indices[e]]
            terms[row] += used[y.indices[e]]
    where = np.nonzero(terms)
    start = np.append(0, np.cumsum(np.count_nonzero(terms, axis=1)))
    product = sp.csr_array((sums[where], where[1], start), shape=sums.shape)
    return product, int(terms.sum())


def real_numbers(seed: int, given_matrix: sp.csr_array) -> sp.csr_array:
    """Return the matrix with values whose sums depend on the order of the additions."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=given_matrix.nnz) * 10.0 ** rng.integers(-6, 7, given_matrix.nnz)
    given_matrix.data[:] = values
    return given_matrix


def assert_same_bits(z: sp.csr_array, expected: sp.csr_array) -> None:
    assert z.indptr.tolist() == expected.indptr.tolist()
    assert z.indices.tolist() == expected.indices.tolist()
    assert z.data.tobytes() == expected.data.tobytes()


def check(space: Space, y: sp.csr_array, w: sp.csr_array, workers: int, threads: int) -> None:
    """Compare with sums in the same order, bit for bit, and with SciPy in float64."""
    z = multiply_in_teams(space, y, w, workers, threads)
    expected, _ = in_order(y, w)
    assert_same_bits(z, expected)
    epilogue = Epilogue(np.linspace(-1, 1, w.shape[1], dtype=y.dtype), 0.0, 2.0)
    fused = multiply_in_teams(space, y, w, workers, threads, epilogue)
    assert_same_bits(fused, sp.csr_array(epilogue.apply(expected.toarray())))
    exact = y.astype(np.float64) @ w.astype(np.float64)
    terms = abs(y.astype(np.float64)) @ abs(w.astype(np.float64))
    error = abs(z.toarray() - exact.toarray())
    assert (error <= w.shape[0] * np.finfo(y.dtype).eps * terms.toarray()).all()


@settings(max_examples=25)
@given(
    seed=SEEDS,
    shape=st.tuples(st.integers(1, 9), st.integers(1, 50), st.integers(1, 80)),
    densities=st.tuples(DENSITIES, DENSITIES),
    workers=st.integers(1, 5),
)
def test_the_product_has_the_bits_of_sums_in_order(
    space: Space,
    dtype: np.dtype[Any],
    threads: int,
    seed: int,
    shape: tuple[int, int, int],
    densities: tuple[float, float],
    workers: int,
) -> None:
    rng = np.random.default_rng(seed)
    rows, middle, columns = shape
    y = real_numbers(seed, matrix(rng, rows, middle, densities[0], dtype))
    w = real_numbers(seed + 1, matrix(rng, middle, columns, densities[1], dtype))
    check(space, y, w, workers, threads)


@pytest.mark.parametrize("columns", [1, 31, 32, 33, 64, 100])
@pytest.mark.parametrize("middle", [1, 3, 4, 5, 33, 70])
def test_full_rows(
    space: Space, dtype: np.dtype[Any], threads: int, middle: int, columns: int
) -> None:
    """Rows of W of more than 32 entries too; numbers of entries of Y that 4 does not divide."""
    y = real_numbers(1, sp.csr_array(np.ones((5, middle), dtype)))
    w = real_numbers(2, sp.csr_array(np.ones((middle, columns), dtype)))
    check(space, y, w, 2, threads)


@pytest.mark.parametrize("middle", [8, 9, 43, 3001])
def test_full_rows_from_short_rows_of_weights(
    space: Space, dtype: np.dtype[Any], threads: int, middle: int
) -> None:
    """Each row of W has at most one entry for each thread of the team. Some are empty."""
    columns = 8
    dense = np.zeros((middle, columns), dtype)
    for k in range(min(threads, columns)):
        dense[np.arange(middle), (np.arange(middle) * 3 + 5 * k) % columns] = 1
    dense[columns::7] = 0
    assert dense.any(axis=0).all()
    assert (dense != 0).sum(axis=1).max() <= threads
    w = real_numbers(3, sp.csr_array(dense))
    y = real_numbers(4, sp.csr_array(np.ones((4, middle), dtype)))
    check(space, y, w, 3, threads)


@pytest.mark.parametrize("last", [0, 39])
def test_many_batches_of_stamps(
    space: Space, dtype: np.dtype[Any], threads: int, last: int
) -> None:
    """A batch has 33 entries of Y first. Each entry near its end is the only one of its column."""
    middle, columns = 400, 40
    column = np.zeros(middle, int)
    column[20:58] = np.arange(1, 39)
    column[-1] = last
    dense = np.zeros((middle, columns), dtype)
    dense[np.arange(middle), column] = 1
    w = real_numbers(5, sp.csr_array(dense))
    y = real_numbers(6, sp.csr_array(np.ones((3, middle), dtype)))
    check(space, y, w, 2, threads)


def test_a_sum_that_cancels_stays_as_an_entry(
    space: Space, dtype: np.dtype[Any], threads: int
) -> None:
    y = sp.csr_array(np.array([[1, 1, 0], [0, 0, 0], [0, 0, 2]], dtype))
    w = sp.csr_array(np.array([[3, 1, 0], [-3, 0, 0], [0, 0, 0]], dtype))
    z = multiply_in_teams(space, y, w, 2, threads)
    assert z.indptr.tolist() == [0, 2, 2, 2]
    assert z.indices.tolist() == [0, 1]
    assert z.data.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("density", [0.0, 0.02, 1.0])
@pytest.mark.parametrize("stride", [1, 7, 1000])
def test_active_rows_and_multiplications_are_counted(
    space: Space, dtype: np.dtype[Any], density: float, stride: int
) -> None:
    rng = np.random.default_rng(1)
    y, w = matrix(rng, 301, 20, density, dtype), matrix(rng, 20, 30, 0.3, dtype)
    active, count = active_rows(space, y)
    assert active[:count].tolist() == np.flatnonzero(np.diff(y.indptr)).tolist()
    assert (active[count:] == -1).all()
    computed_edges = space.pk.parallel_reduce(
        "multiplications",
        space.range(stride),
        spgemm_counts.count_multiplications,
        yindex=y.indices.astype(np.uint32),
        wstart=w.indptr.astype(np.int32),
        entries=y.nnz,
        stride=stride,
    )
    assert computed_edges == in_order(y, w)[1]


def some_sums(seed: int, rows: int, columns: int, density: float, dtype: Any) -> sp.csr_array:
    """Return a matrix in which some entries are 0, as sums that cancelled."""
    rng = np.random.default_rng(seed)
    z = matrix(rng, rows, columns, density, dtype)
    z.data[rng.random(z.nnz) < 0.3] = 0
    return z


SHAPES = {
    "seed": SEEDS,
    "rows": st.integers(0, 20),
    "columns": st.integers(1, 100),
    "density": DENSITIES,
}


@settings(max_examples=20)
@given(**SHAPES)
def test_bias_goes_to_nonzero_entries_only(
    space: Space, dtype: np.dtype[Any], seed: int, rows: int, columns: int, density: float
) -> None:
    z = some_sums(seed, rows, columns, density, dtype)
    vector = np.random.default_rng(seed).normal(size=columns).astype(dtype)
    expected = np.where(z.data != 0, z.data + vector[z.indices], 0).astype(dtype)
    policy, team_rows = row_teams(space, rows)
    common = {**csr_arguments("", z), "bias": vector}
    space.pk.parallel_for(
        "bias", policy, spgemm_team.add_bias_team, value=z.data, **common, **team_rows
    )
    assert z.data.tobytes() == expected.tobytes()


def activate(space: Space, z: sp.csr_array, low: float, ymax: float) -> sp.csr_array:
    """Both passes of the ReLU, and the scan between them."""
    rows, dtype = z.shape[0], z.dtype
    policy, team_rows = row_teams(space, rows)
    size = np.full(rows, -1, np.int64)
    space.pk.parallel_for(
        "symbolic",
        policy,
        spgemm_team.relu_symbolic_team,
        start=z.indptr.astype(np.int64),
        value=z.data,
        low=dtype.type(low),
        size=size,
        **team_rows,
    )
    start, total = offsets(space, size)
    index, value = np.full(total, 2**32 - 1, np.uint32), np.full(total, np.nan, dtype)
    space.pk.parallel_for(
        "numeric",
        policy,
        spgemm_team.relu_numeric_team,
        **csr_arguments("z", z),
        zvalue=z.data,
        ystart=start,
        yindex=index,
        yvalue=value,
        low=dtype.type(low),
        ymax=dtype.type(ymax),
        **team_rows,
    )
    return sp.csr_array((value, index.astype(np.int64), start), shape=z.shape)


@settings(max_examples=20)
@given(**SHAPES, ymax=st.sampled_from([0.5, 1.0, np.inf]), low=st.sampled_from([0.0, -np.inf]))
def test_relu_keeps_nonzeros_up_to_the_limit(
    space: Space,
    dtype: np.dtype[Any],
    seed: int,
    rows: int,
    columns: int,
    density: float,
    ymax: float,
    low: float,
) -> None:
    z = some_sums(seed, rows, columns, density, dtype)
    assert_same_bits(activate(space, z, low, ymax), sp.csr_array(np.clip(z.toarray(), low, ymax)))


@pytest.mark.parametrize(
    ("low", "expected"),
    [(0.0, [np.nan, 3, 3]), (-np.inf, [np.nan, -np.inf, -1, 3, 3])],
)
def test_relu_keeps_values_that_are_not_finite(
    space: Space, dtype: np.dtype[Any], low: float, expected: list[float]
) -> None:
    """So that an overflow is found after the layer."""
    values = np.array([np.nan, -np.inf, 0.0, -0.0, -1, 3, np.inf], dtype)
    z = sp.csr_array((values, np.arange(7), [0, 7]), shape=(1, 7))
    np.testing.assert_array_equal(activate(space, z, low, 3.0).data, expected)

"""Write a workunit, launch it, and compare its result with SciPy's.

    python examples/own_workunit.py

The workunit multiplies a sparse matrix in CSR by a vector. kkspdnn's built-in compiler translates
it to a Kokkos functor, compiles that with the C++ compiler of this machine and caches the result.
With the real PyKokkos installed, the same file runs on it.
"""

import numpy as np
import scipy.sparse as sp

import kkspdnn  # noqa: F401  # `import pykokkos` then works, whether or not it is installed
import pykokkos as pk


@pk.workunit
def multiply(
    row: int,
    start: pk.View1D[pk.int64],
    column: pk.View1D[pk.int32],
    value: pk.View1D[pk.double],
    x: pk.View1D[pk.double],
    y: pk.View1D[pk.double],
):
    """y = A x; one work item for each row of A."""
    total: float = 0.0
    edge: pk.int64 = start[row]
    while edge < start[row + 1]:
        total += value[edge] * x[column[edge]]
        edge += 1
    y[row] = total


@pk.workunit
def dot(i: int, total: pk.Acc[pk.double], x: pk.View1D[pk.double], y: pk.View1D[pk.double]):
    """The sum of x[i] y[i] over all work items."""
    total += x[i] * y[i]


def main() -> None:
    """Multiply a random matrix and a random vector."""
    rng = np.random.default_rng(0)
    a = sp.random_array((100_000, 5_000), density=0.001, format="csr", rng=rng)
    x = rng.random(5_000)
    y = np.empty(a.shape[0])

    rows = pk.RangePolicy(pk.OpenMP, 0, a.shape[0])
    pk.parallel_for(
        "multiply",
        rows,
        multiply,
        start=a.indptr.astype(np.int64),
        column=a.indices.astype(np.int32),
        value=a.data,
        x=x,
        y=y,
    )
    square = pk.parallel_reduce("dot", rows, dot, x=y, y=y)

    np.testing.assert_allclose(y, a @ x, rtol=1e-12)
    np.testing.assert_allclose(square, y @ y, rtol=1e-12)
    print(f"y = A x has {y.size:,} rows and norm {square**0.5:.6f}; SciPy agrees")


if __name__ == "__main__":
    main()

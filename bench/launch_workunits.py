"""Workunits for `python -m bench.launch`: with hardly any work, and 0, 4 and 12 arguments."""

import pykokkos as pk


@pk.workunit
def arguments_0(i: int) -> None:
    """Do nothing."""


@pk.workunit
def arguments_4(i: int, a: pk.View1D[pk.double], b: pk.View1D[pk.double], n: int, s: float) -> None:
    """Write one number."""
    b[i] = s * a[i] + n


@pk.workunit
def arguments_12(
    i: int,
    a: pk.View1D[pk.double],
    b: pk.View1D[pk.double],
    c: pk.View1D[pk.float],
    d: pk.View1D[pk.float],
    e: pk.View1D[pk.int32],
    f: pk.View1D[pk.int64],
    g: pk.View2D[pk.double],
    h: pk.View2D[pk.double],
    k: int,
    n: int,
    s: float,
    t: float,
) -> None:
    """Write four numbers."""
    b[i] = s * a[i] + n
    d[i] = t * c[i]
    f[i] = e[i]
    h[i][k] = g[i][k]

"""Workunits that append the nonzero elements of a row to a list, with a loop that becomes a
Compaction and with one that does not."""

import pykokkos as pk


@pk.workunit
def compact(i: int, dense, index, value, found: pk.View1D[pk.int64], n: int):
    """The list of row i begins at i * n."""
    o: pk.int64 = i * n
    first: pk.int64 = o
    for r in range(n):
        y: pk.cpp_auto = dense[i][r]
        if y != 0.0:
            index[o] = r
            value[o] = y
            o += 1
    found[i] = o - first


@pk.workunit
def compact_one_by_one(i: int, dense, index, value, found: pk.View1D[pk.int64], n: int):
    o: pk.int64 = i * n
    first: pk.int64 = o
    r: int = 0
    while r < n:
        y: pk.cpp_auto = dense[i][r]
        if y != 0.0:
            index[o] = r
            value[o] = y
            o += 1
        r += 1
    found[i] = o - first

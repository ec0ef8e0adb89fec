"""Selection and ranges of the rows of a CSR matrix, for a GPU.

All parameters without annotation have one type in a launch, float32 or float64.
"""

import pykokkos as pk


@pk.workunit
def count_selected(
    i: int,
    start: pk.View1D[pk.int64],
    selected: pk.View1D[pk.int64],
    size: pk.View1D[pk.int64],
):
    """size[i] = number of entries of row selected[i]."""
    size[i] = start[selected[i] + 1] - start[selected[i]]


@pk.workunit
def copy_selected(
    i: int,
    start: pk.View1D[pk.int64],
    index: pk.View1D[pk.uint32],
    value,
    selected: pk.View1D[pk.int64],
    selected_start: pk.View1D[pk.int64],
    selected_index: pk.View1D[pk.uint32],
    selected_value,
):
    """Copy row selected[i] of a matrix to row i of another one, whose offsets are known."""
    e: pk.int64 = start[selected[i]]
    end: pk.int64 = start[selected[i] + 1]
    o: pk.int64 = selected_start[i]
    while e < end:
        selected_index[o] = index[e]
        selected_value[o] = value[e]
        e += 1
        o += 1


@pk.workunit
def find_csr_ranges(
    row: int,
    start: pk.View1D[pk.int64],
    value,
    smallest,
    largest,
    zero,
    infinity,
    columns: pk.int64,
):
    """Find the smallest and the largest element of each row, zeros included."""
    least: pk.cpp_auto = infinity
    most: pk.cpp_auto = -infinity
    if start[row + 1] - start[row] < columns:
        least = zero
        most = zero
    e: pk.int64 = start[row]
    while e < start[row + 1]:
        if value[e] < least:
            least = value[e]
        if value[e] > most:
            most = value[e]
        e += 1
    smallest[row] = least
    largest[row] = most

"""Activations by columns, in batches of input rows: conversion from and to CSR, and checks of rows.

A column, the activations of one neuron for the rows of a batch, has one of two forms:

- a list of the row numbers, in any order, and the values of its nonzeros;
- dense, a value for each row, if it has more than `sparse_limit` nonzeros: from there on, adding
  the values of all rows as vectors is faster than adding the nonzeros.

`count[batch][column]` is the number of nonzeros. `place[batch][column]` is from 0 on where the list
begins in the lists of the batch, and below 0 the row -1 - place of `dense` among those of the
batch. A batch has `capacity` elements of `index` and `value`, and a row of `dense` for each column.
Batch b has the rows from b * size, and batch_rows[b] elements of a dense column are in use: its
rows, and zeros up to a multiple of a SIMD register.

All parameters without annotation have one type in a launch, float32 or float64.
"""

import pykokkos as pk


@pk.workunit
def clear_dense(batch: int, dense, size: int, columns: int, step: int):
    """Set every `step`-th dense column of a batch to zero: the first touch of their memory."""
    j: int = 0
    while j < columns:
        for r in range(size):
            dense[batch * columns + j][r] = 0.0
        j += step


@pk.workunit
def clear_lists(
    batch: int,
    index: pk.View1D[pk.uint16],
    value,
    entries: pk.int64,
    capacity: pk.int64,
):
    """Set the first elements of the lists of a batch to zero: the first touch of their memory."""
    e: pk.int64 = batch
    e *= capacity
    end: pk.int64 = e + entries
    while e < end:
        index[e] = 0
        value[e] = 0.0
        e += 1


@pk.workunit
def csr_to_columns(
    batch: int,
    start: pk.View1D[pk.int64],
    csr_index: pk.View1D[pk.uint32],
    csr_value,
    selected: pk.View1D[pk.int64],
    count: pk.View2D[pk.int32],
    place: pk.View2D[pk.int32],
    index: pk.View1D[pk.uint16],
    value,
    dense,
    batch_rows: pk.View1D[pk.int32],
    cursor: pk.View2D[pk.int32],
    rows: pk.int64,
    size: int,
    columns: int,
    sparse_limit: int,
    capacity: pk.int64,
):
    """Store rows of a CSR matrix by columns.

    selected: the rows of the matrix
    cursor: work array, the place of the next element of each list
    """
    first: pk.int64 = batch
    first *= size
    last: pk.int64 = first + size
    if last > rows:
        last = rows
    for j in range(columns):
        count[batch][j] = 0
    row: pk.int64 = first
    while row < last:
        e: pk.int64 = start[selected[row]]
        end: pk.int64 = start[selected[row] + 1]
        while e < end:
            count[batch][csr_index[e]] += 1
            e += 1
        row += 1
    slot: int = 0
    used: int = 0
    base: int = batch * columns
    for j in range(columns):
        if count[batch][j] > sparse_limit:
            place[batch][j] = -1 - slot
            for r in range(batch_rows[batch]):
                dense[base + slot][r] = 0.0
            slot += 1
        else:
            place[batch][j] = used
            cursor[batch][j] = used
            used += count[batch][j]
    lists: pk.int64 = batch
    lists *= capacity
    row = first
    while row < last:
        r: int = int(row - first)
        e: pk.int64 = start[selected[row]]
        end: pk.int64 = start[selected[row] + 1]
        while e < end:
            j: int = csr_index[e]
            p: int = place[batch][j]
            if p < 0:
                dense[base - 1 - p][r] = csr_value[e]
            else:
                o: pk.int64 = lists + cursor[batch][j]
                index[o] = r
                value[o] = csr_value[e]
                cursor[batch][j] += 1
            e += 1
        row += 1


@pk.workunit
def select_dense_rows(
    batch: int,
    ydense,
    row_batch: pk.View1D[pk.int32],
    row_lane: pk.View1D[pk.int32],
    count: pk.View2D[pk.int32],
    place: pk.View2D[pk.int32],
    dense,
    batch_rows: pk.View1D[pk.int32],
    rows: pk.int64,
    size: int,
    columns: int,
):
    """Copy rows of activations whose columns are all dense into new batches.

    row_batch, row_lane: the batch of each row of the copy in `ydense`, and its number there
    """
    first: pk.int64 = batch
    first *= size
    filled: int = size
    if first + size > rows:
        filled = int(rows - first)
    for j in range(columns):
        target: int = batch * columns + j
        kept: int = 0
        for r in range(filled):
            source: int = row_batch[first + r] * columns + j
            y: pk.cpp_auto = ydense[source][row_lane[first + r]]
            dense[target][r] = y
            kept += int(y != 0.0)
        for r in range(filled, batch_rows[batch]):
            dense[target][r] = 0.0
        count[batch][j] = kept
        place[batch][j] = -1 - j


@pk.workunit
def count_row_entries(
    batch: int,
    count: pk.View2D[pk.int32],
    place: pk.View2D[pk.int32],
    index: pk.View1D[pk.uint16],
    dense,
    entries: pk.View1D[pk.int64],
    rows: pk.int64,
    size: int,
    columns: int,
    capacity: pk.int64,
):
    """entries[r] = number of nonzeros of row r."""
    first: pk.int64 = batch
    first *= size
    filled: int = size
    if first + size > rows:
        filled = int(rows - first)
    for r in range(filled):
        entries[first + r] = 0
    base: int = batch * columns
    lists: pk.int64 = batch
    lists *= capacity
    for j in range(columns):
        p: int = place[batch][j]
        if count[batch][j] > 0 and p < 0:
            for r in range(filled):
                if dense[base - 1 - p][r] != 0.0:
                    entries[first + r] += 1
        if p >= 0:
            for t in range(count[batch][j]):
                entries[first + index[lists + p + t]] += 1


@pk.workunit
def columns_to_csr(
    batch: int,
    count: pk.View2D[pk.int32],
    place: pk.View2D[pk.int32],
    index: pk.View1D[pk.uint16],
    value,
    dense,
    start: pk.View1D[pk.int64],
    cursor: pk.View1D[pk.int64],
    csr_index: pk.View1D[pk.uint32],
    csr_value,
    rows: pk.int64,
    size: int,
    columns: int,
    capacity: pk.int64,
):
    """Store the rows as CSR, columns ascending.

    start: the offsets of the rows
    cursor: work array, where the next entry of each row is written
    """
    first: pk.int64 = batch
    first *= size
    filled: int = size
    if first + size > rows:
        filled = int(rows - first)
    for r in range(filled):
        cursor[first + r] = start[first + r]
    base: int = batch * columns
    lists: pk.int64 = batch
    lists *= capacity
    for j in range(columns):
        p: int = place[batch][j]
        if count[batch][j] > 0 and p < 0:
            for r in range(filled):
                y: pk.cpp_auto = dense[base - 1 - p][r]
                if y != 0.0:
                    o: pk.int64 = cursor[first + r]
                    csr_index[o] = j
                    csr_value[o] = y
                    cursor[first + r] = o + 1
        if p >= 0:
            for t in range(count[batch][j]):
                row: pk.int64 = first + index[lists + p + t]
                o: pk.int64 = cursor[row]
                csr_index[o] = j
                csr_value[o] = value[lists + p + t]
                cursor[row] = o + 1


@pk.workunit
def find_column_ranges(
    m: pk.TeamMember,
    count: pk.View2D[pk.int32],
    place: pk.View2D[pk.int32],
    index: pk.View1D[pk.uint16],
    value,
    dense,
    batch_rows: pk.View1D[pk.int32],
    smallest,
    largest,
    listed: pk.View2D[pk.int32],
    zero,
    infinity,
    columns: int,
    capacity: pk.int64,
):
    """Find the smallest and the largest activation of each row, zeros included.

    Each team finds those of a batch.

    smallest, largest: output, (batches, rows of a batch)
    listed: work array of that shape, the number of lists with an entry of the row
    """
    batch: int = m.league_rank()
    rows: int = batch_rows[batch]
    base: int = batch * columns
    lists: pk.int64 = batch
    lists *= capacity
    sparse: int = 0
    for r in range(rows):
        smallest[batch][r] = infinity
        largest[batch][r] = -infinity
        listed[batch][r] = 0
    for j in range(columns):
        p: int = place[batch][j]
        if p < 0:
            source: int = base - 1 - p

            def widen(v: int):
                y: pk.cpp_auto = dense[source][v]
                least: pk.cpp_auto = smallest[batch][v]
                most: pk.cpp_auto = largest[batch][v]
                if y < least:
                    least = y
                if y > most:
                    most = y
                smallest[batch][v] = least
                largest[batch][v] = most

            pk.parallel_for(pk.ThreadVectorRange(m, rows), widen)
        else:
            sparse += 1
            for t in range(count[batch][j]):
                r: int = index[lists + p + t]
                y: pk.cpp_auto = value[lists + p + t]
                listed[batch][r] += 1
                if y < smallest[batch][r]:
                    smallest[batch][r] = y
                if y > largest[batch][r]:
                    largest[batch][r] = y
    for r in range(rows):
        if listed[batch][r] < sparse:
            if smallest[batch][r] > zero:
                smallest[batch][r] = zero
            if largest[batch][r] < zero:
                largest[batch][r] = zero


@pk.workunit
def count_not_finite(
    batch: int,
    found: pk.Acc[pk.int64],
    count: pk.View2D[pk.int32],
    place: pk.View2D[pk.int32],
    value,
    dense,
    batch_rows: pk.View1D[pk.int32],
    columns: int,
    capacity: pk.int64,
):
    """Count the activations that are infinite or NaN: y - y is NaN then."""
    base: int = batch * columns
    lists: pk.int64 = batch
    lists *= capacity
    for j in range(columns):
        p: int = place[batch][j]
        if p < 0:
            for r in range(batch_rows[batch]):
                if dense[base - 1 - p][r] - dense[base - 1 - p][r] != 0.0:
                    found += 1
        else:
            for t in range(count[batch][j]):
                if value[lists + p + t] - value[lists + p + t] != 0.0:
                    found += 1

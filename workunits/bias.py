"""The bias of the Sparse DNN Graph Challenge, as a workunit of its own, on activations by columns.

It is added to nonzero sums only (Kepner et al., HPEC 2019), so a row of zeros stays one. `columns`
describes the storage. All parameters without annotation have one type in a launch, float32 or
float64.
"""

import pykokkos as pk


@pk.workunit
def add_bias(
    m: pk.TeamMember,
    count: pk.View2D[pk.int32],
    place: pk.View2D[pk.int32],
    value,
    dense,
    batch_rows: pk.View1D[pk.int32],
    bias,
    columns: int,
    capacity: pk.int64,
):
    """z += bias[column] for the nonzeros z of a batch, in place. Each team has a batch."""
    batch: int = m.league_rank()
    rows: int = batch_rows[batch]
    base: int = batch * columns
    lists: pk.int64 = batch
    lists *= capacity
    for j in range(columns):
        b: pk.cpp_auto = bias[j]
        p: int = place[batch][j]
        if p < 0:
            target: int = base - 1 - p

            def add(v: int):
                z: pk.cpp_auto = dense[target][v]
                if z != 0.0:
                    z += b
                dense[target][v] = z

            pk.parallel_for(pk.ThreadVectorRange(m, rows), add)
        else:
            for t in range(count[batch][j]):
                value[lists + p + t] += b

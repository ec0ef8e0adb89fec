"""ReLU with an upper limit, as a workunit of its own, on activations by columns.

low: 0; or minus infinity for a layer without ReLU, which keeps all values

`columns` describes the storage. All parameters without annotation have one type in a launch,
float32 or float64.
"""

import pykokkos as pk


@pk.workunit
def relu(
    m: pk.TeamMember,
    zcount: pk.View2D[pk.int32],
    zplace: pk.View2D[pk.int32],
    zindex: pk.View1D[pk.uint16],
    zvalue,
    zdense,
    ycount: pk.View2D[pk.int32],
    yplace: pk.View2D[pk.int32],
    yindex: pk.View1D[pk.uint16],
    yvalue,
    ydense,
    batch_rows: pk.View1D[pk.int32],
    low,
    ymax,
    columns: int,
    sparse_limit: int,
    capacity: pk.int64,
):
    """y = min(max(z, low), ymax) for a batch. Each team has a batch. Y stores no zeros in lists."""
    batch: int = m.league_rank()
    rows: int = batch_rows[batch]
    base: int = batch * columns
    lists: pk.int64 = batch
    lists *= capacity
    slot: int = 0
    place: int = 0
    for j in range(columns):
        p: int = zplace[batch][j]
        kept: int = 0
        yplace[batch][j] = place
        o: pk.int64 = lists + place
        if p < 0:
            source: int = base - 1 - p
            target: int = base + slot

            def limit(v: int):
                z: pk.cpp_auto = zdense[source][v]
                if z < low:
                    z = low
                if z > ymax:
                    z = ymax
                ydense[target][v] = z

            pk.parallel_for(pk.ThreadVectorRange(m, rows), limit)
            for r in range(rows):
                if ydense[target][r] != 0.0:
                    kept += 1
            if kept > sparse_limit:
                yplace[batch][j] = -1 - slot
                slot += 1
            else:
                for r in range(rows):
                    y: pk.cpp_auto = ydense[target][r]
                    if y != 0.0:
                        yindex[o] = r
                        yvalue[o] = y
                        o += 1
                place += kept
        else:
            for t in range(zcount[batch][j]):
                z: pk.cpp_auto = zvalue[lists + p + t]
                if z < low:
                    z = low
                if z > ymax:
                    z = ymax
                yindex[o + kept] = zindex[lists + p + t]
                yvalue[o + kept] = z
                kept += int(z != 0.0)
            place += kept
        ycount[batch][j] = kept

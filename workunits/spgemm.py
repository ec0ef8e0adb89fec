"""Y' = min(max(Y W + b, low), ymax) on a CPU, sparse times sparse, with Y stored by columns.

Z = Y W is computed column by column: the column of an output neuron is the sum of the columns of
its inputs, each times a weight. This is Gustavson's algorithm (ACM TOMS 4(3), 1978) for the
transposed product, so the terms of a sum are added in ascending order of the input neuron. The
accumulator has an element for each input row of a batch. It stays in the L1 or L2 cache, a weight
is loaded once for a batch, and a column need not be sorted.

`columns` describes the storage. Each work item computes a block of `width` columns of a batch, in
one pass: the bound on the entries of a column that `columns` needs is known before.

All parameters without annotation have one type in a launch, float32 or float64, except `windex`,
which has any integer type.
"""

import pykokkos as pk


@pk.workunit
def multiply(
    m: pk.TeamMember,
    ycount: pk.View2D[pk.int32],
    yplace: pk.View2D[pk.int32],
    yindex: pk.View1D[pk.uint16],
    yvalue,
    ydense,
    wstart: pk.View1D[pk.int64],
    windex,
    wvalue,
    order: pk.View1D[pk.uint32],
    bias,
    zcount: pk.View2D[pk.int32],
    zplace: pk.View2D[pk.int32],
    zindex: pk.View1D[pk.uint16],
    zvalue,
    zdense,
    batch_rows: pk.View1D[pk.int32],
    first_item: pk.View1D[pk.int32],
    multiplications: pk.View1D[pk.int64],
    accumulator,
    touched: pk.View2D[pk.uint16],
    edge_place: pk.View2D[pk.int32],
    edge_count: pk.View2D[pk.int32],
    edge_weight,
    zero,
    low,
    ymax,
    inputs: int,
    outputs: int,
    blocks: int,
    width: int,
    sparse_limit: int,
    ycapacity: pk.int64,
    zcapacity: pk.int64,
):
    """Compute the work items first_item[w] to first_item[w + 1] - 1, for each team w.

    Item i is block i % blocks of batch i // blocks.

    order: the output neurons, in the order in which they are computed
    bias: added to the sums that are not zero
    multiplications: of each item, output: products of two nonzeros
    accumulator, touched: a work row for each team; the accumulator is zero before and after
    edge_place, edge_count, edge_weight: a work row for each team, with an element for each edge of
    an output neuron and one more
    ycapacity: list elements of a batch of Y; zcapacity: those of a block of Z

    A column is computed in one of three ways:

    - all its inputs are dense columns: the sums of a vector of rows stay in registers;
    - the products are many: they are added to the accumulator, and all rows of it are activated;
    - the products are few: the rows that they touch are listed, and only these are activated.
    """
    worker: int = m.league_rank()
    for item in range(first_item[worker], first_item[worker + 1]):
        batch: int = item // blocks
        block: int = item % blocks
        first: int = block * width
        last: int = first + width
        if last > outputs:
            last = outputs
        rows: int = batch_rows[batch]
        ylist: pk.int64 = batch
        ylist *= ycapacity
        zlist: pk.int64 = batch * blocks
        zlist *= zcapacity
        ybase: int = batch * inputs
        zbase: int = batch * outputs
        slot: int = first
        place: int = int(block * zcapacity)
        products: pk.int64 = 0
        for i in range(first, last):
            j: int = order[i]
            q: pk.int64 = wstart[j]
            edges: int = int(wstart[j + 1] - q)
            b: pk.cpp_auto = bias[j]
            lists: int = 0
            total: pk.int64 = 0
            for e in range(edges):
                source: int = int(windex[q + e])
                c: int = ycount[batch][source]
                lists += int(c > 0 and yplace[batch][source] >= 0)
                total += c
            products += total
            # The edges of inputs with any nonzero, unless all of these are dense.
            used: int = 0
            if lists > 0:
                for e in range(edges):
                    source: int = int(windex[q + e])
                    edge_place[worker][used] = yplace[batch][source]
                    edge_count[worker][used] = ycount[batch][source]
                    edge_weight[worker][used] = wvalue[q + e]
                    used += int(ycount[batch][source] > 0)
            kept: int = 0
            o: pk.int64 = zlist + place
            target: int = zbase + slot
            # With lists alone, `lists` is `used`.
            if (lists == 0 and total > 0) or lists < used or total >= rows // 8:
                if lists == 0:

                    def add_dense(v: int):
                        z: pk.cpp_auto = zero
                        for e in range(edges):
                            p: int = yplace[batch][int(windex[q + e])]
                            if p < 0:
                                z += ydense[ybase - 1 - p][v] * wvalue[q + e]
                        if z != 0.0:
                            z += b
                        if z < low:
                            z = low
                        if z > ymax:
                            z = ymax
                        zdense[target][v] = z

                    pk.parallel_for(pk.ThreadVectorRange(m, rows), add_dense)
                else:
                    begin: int = 0
                    while begin < used:
                        end: int = begin + 1
                        if edge_place[worker][begin] >= 0:
                            w: pk.cpp_auto = edge_weight[worker][begin]
                            t: pk.int64 = ylist + edge_place[worker][begin]
                            stop: pk.int64 = t + edge_count[worker][begin]
                            while t < stop:
                                accumulator[worker][yindex[t]] += yvalue[t] * w
                                t += 1
                        else:
                            while end < used and edge_place[worker][end] < 0:
                                end += 1

                            def add_run(v: int):
                                z: pk.cpp_auto = accumulator[worker][v]
                                for e in range(begin, end):
                                    y: int = ybase - 1 - edge_place[worker][e]
                                    z += ydense[y][v] * edge_weight[worker][e]
                                accumulator[worker][v] = z

                            pk.parallel_for(pk.ThreadVectorRange(m, rows), add_run)
                        begin = end

                    def activate(v: int):
                        z: pk.cpp_auto = accumulator[worker][v]
                        accumulator[worker][v] = zero
                        if z != 0.0:
                            z += b
                        if z < low:
                            z = low
                        if z > ymax:
                            z = ymax
                        zdense[target][v] = z

                    pk.parallel_for(pk.ThreadVectorRange(m, rows), activate)
                if total >= rows:
                    for r in range(rows):
                        if zdense[target][r] != 0.0:
                            kept += 1
                if kept <= sparse_limit:
                    for r in range(rows):
                        z: pk.cpp_auto = zdense[target][r]
                        if z != 0.0:
                            zindex[o] = r
                            zvalue[o] = z
                            o += 1
                    kept = int(o - zlist) - place
                zplace[batch][j] = place
                if kept > sparse_limit:
                    zplace[batch][j] = -1 - slot
                    slot += 1
                else:
                    place += kept
            else:
                found: int = 0
                for e in range(used):
                    w: pk.cpp_auto = edge_weight[worker][e]
                    t: pk.int64 = ylist + edge_place[worker][e]
                    stop: pk.int64 = t + edge_count[worker][e]
                    while t < stop:
                        r: int = yindex[t]
                        z: pk.cpp_auto = accumulator[worker][r]
                        accumulator[worker][r] = z + yvalue[t] * w
                        touched[worker][found] = r
                        found += int(z == 0.0)
                        t += 1
                for f in range(found):
                    r: int = touched[worker][f]
                    z: pk.cpp_auto = accumulator[worker][r]
                    accumulator[worker][r] = zero
                    if z != 0.0:
                        z += b
                    if z < low:
                        z = low
                    if z > ymax:
                        z = ymax
                    zindex[o + kept] = r
                    zvalue[o + kept] = z
                    kept += int(z != 0.0)
                zplace[batch][j] = place
                if kept > sparse_limit:

                    def clear(v: int):
                        zdense[target][v] = zero

                    pk.parallel_for(pk.ThreadVectorRange(m, rows), clear)
                    for k in range(kept):
                        zdense[target][zindex[o + k]] = zvalue[o + k]
                    zplace[batch][j] = -1 - slot
                    slot += 1
                else:
                    place += kept
            zcount[batch][j] = kept
        multiplications[item] = products


@pk.workunit
def multiply_dense(
    m: pk.TeamMember,
    ycount: pk.View2D[pk.int32],
    ydense,
    wstart: pk.View1D[pk.int64],
    windex,
    wvalue,
    order: pk.View1D[pk.uint32],
    out_degree: pk.View1D[pk.int64],
    bias,
    zcount: pk.View2D[pk.int32],
    zplace: pk.View2D[pk.int32],
    zdense,
    batch_rows: pk.View1D[pk.int32],
    multiplications: pk.View1D[pk.int64],
    nonzeros: pk.View1D[pk.int64],
    zero,
    low,
    ymax,
    inputs: int,
    outputs: int,
    blocks: int,
    width: int,
):
    """As `multiply`, for batches whose columns are all dense, in order. Each team has an item.

    out_degree: the edges of each input neuron
    multiplications: of each batch, in its first item; nonzeros: of Z, of each item
    """
    item: int = m.league_rank()
    batch: int = item // blocks
    first: int = (item % blocks) * width
    last: int = first + width
    if last > outputs:
        last = outputs
    rows: int = batch_rows[batch]
    ybase: int = batch * inputs
    zbase: int = batch * outputs
    products: pk.int64 = 0
    if first == 0:
        for source in range(inputs):
            products += ycount[batch][source] * out_degree[source]
    multiplications[item] = products
    total: pk.int64 = 0
    for i in range(first, last):
        j: int = order[i]
        q: pk.int64 = wstart[j]
        edges: int = int(wstart[j + 1] - q)
        b: pk.cpp_auto = bias[j]
        target: int = zbase + j

        def lane(v: int):
            z: pk.cpp_auto = zero
            for e in range(edges):
                z += ydense[ybase + int(windex[q + e])][v] * wvalue[q + e]
            if z != 0.0:
                z += b
            if z < low:
                z = low
            if z > ymax:
                z = ymax
            zdense[target][v] = z

        pk.parallel_for(pk.ThreadVectorRange(m, rows), lane)
        kept: int = 0
        for r in range(rows):
            if zdense[target][r] != 0.0:
                kept += 1
        zcount[batch][j] = kept
        zplace[batch][j] = -1 - j
        total += kept
    nonzeros[item] = total

"""Offsets of the rows of a CSR matrix, and CSR of packed bits.

All parameters without annotation have one type in a launch, float32 or float64.
"""

import pykokkos as pk


@pk.workunit
def offsets(
    i: int,
    total: pk.Acc[pk.int64],
    last: bool,
    size: pk.View1D[pk.int64],
    start: pk.View1D[pk.int64],
):
    """start[i + 1] = size[0] + … + size[i]: a scan. The caller sets start[0] to zero."""
    total += size[i]
    if last:
        start[i + 1] = total


@pk.workunit
def count_bits(
    i: int,
    bits: pk.View2D[pk.uint8],
    size: pk.View1D[pk.int64],
    row_bytes: int,
):
    """size[i] = number of bits that are 1 in row i."""
    found: pk.int64 = 0
    for c in range(row_bytes):
        pairs: pk.uint32 = bits[i][c]
        pairs = pairs - ((pairs >> 1) & 0x55)
        pairs = (pairs & 0x33) + ((pairs >> 2) & 0x33)
        found += (pairs + (pairs >> 4)) & 0x0F
    size[i] = found


@pk.workunit
def bits_to_csr(
    i: int,
    bits: pk.View2D[pk.uint8],
    start: pk.View1D[pk.int64],
    index: pk.View1D[pk.uint32],
    value,
    one,
    row_bytes: int,
):
    """Write an entry, 1, for each bit of row i that is 1; bit 0 is the highest of byte 0."""
    o: pk.int64 = start[i]
    for c in range(row_bytes):
        byte: int = bits[i][c]
        column: int = c * 8
        while byte > 0:
            if byte >= 128:
                index[o] = column
                value[o] = one
                o += 1
            byte = (byte << 1) & 255
            column += 1

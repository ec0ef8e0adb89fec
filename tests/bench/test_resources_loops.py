"""Counts of loops over edges: small loops, and excerpts of machine code from ptxas."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sass_text import EXCERPTS, code

from bench.resources.counts import LoopCounts, main_loops
from bench.resources.dataflow import classify_loads
from bench.resources.latency import overlap
from bench.resources.sass import functions
from kkspdnn.errors import ToolchainError

LOOP = """LDG.E.U16 R4, [R2.64]
    LDG.E R8, [R6.64]
    IMAD.WIDE.U32 R10, R4, UR4, R12
    LDG.E R14, [R10.64]
    FMUL R14, R14, R8
    FADD R20, R20, R14
    IADD3 R2, P0, R2, 0x2, RZ
    @P1 BRA 0x0"""


def counted(text: str, *, value: int = 4, index: int = 2, whole: bool = False) -> LoopCounts:
    return main_loops(code(text), value, index, whole, "f")[0]


def excerpt(name: str) -> LoopCounts:
    text = (EXCERPTS / f"{name}.sass").read_text(encoding="utf-8")
    (body,) = functions(text).values()
    (found,) = main_loops(body, 4, 2, False, name)
    return found


def test_loads_are_classified() -> None:
    found = classify_loads(code(LOOP))
    assert (found.indices, found.others, found.activations) == ((0,), (1,), (3,))
    assert (found.sums, found.other_sums) == ((5,), ())


def test_a_loop_of_one_edge_and_one_row() -> None:
    assert counted(LOOP) == LoopCounts(
        edges=1,
        rows=1,
        instructions=8,
        spills=0,
        activation_loads=1,
        activation_bytes=(4,),
        index_loads=1,
        index_bytes=(2,),
        other_loads=1,
        in_flight=1,
        latencies=2.0,
        wavefronts=3,
    )


def test_an_index_of_the_previous_iteration() -> None:
    """A software pipeline loads the next index together with the current activation."""
    found = counted(
        """IMAD.WIDE.U32 R10, R4, UR4, R12
        LDG.E R14, [R10.64]
        LDG.E.U16 R4, [R2.64]
        FADD R20, R20, R14
        @P1 BRA 0x0"""
    )
    assert (found.edges, found.rows, found.in_flight, found.latencies) == (1, 1, 1, 1.0)
    assert found.mean_in_flight == 2


def test_wide_loads_of_neighbouring_rows() -> None:
    found = counted(
        """LDG.E.U16 R4, [R2.64]
        IMAD.WIDE.U32 R10, R4, UR4, R12
        LDG.E.128 R16, [R10.64]
        FADD R20, R20, R16
        FADD R21, R21, R17
        FADD R22, R22, R18
        FADD R23, R23, R19
        @P1 BRA 0x0"""
    )
    assert (found.edges, found.rows, found.activation_bytes) == (1, 4, (16,))
    assert found.wavefronts == 1 + 4
    assert found.wavefronts_per_edge == 1.25


def test_activations_of_eight_bytes_are_two_wavefronts() -> None:
    found = counted(
        """LDG.E.U16 R4, [R2.64]
        IMAD.WIDE.U32 R10, R4, UR4, R12
        LDG.E.64 R16, [R10.64]
        DADD R20, R20, R16
        @P1 BRA 0x0""",
        value=8,
    )
    assert (found.edges, found.rows, found.wavefronts) == (1, 1, 3)


def test_neurons_that_share_their_inputs() -> None:
    """One load of an activation and two of weights feed two multiply-adds."""
    found = counted(
        """LDG.E.U16 R4, [R2.64]
        LDG.E.64 R8, [R6.64]
        IMAD.WIDE.U32 R10, R4, UR4, R12
        LDG.E R14, [R10.64]
        LDG.E R15, [R10.64+0x80]
        FFMA R20, R14, R8, R20
        FFMA R21, R14, R9, R21
        FFMA R22, R15, R8, R22
        FFMA R23, R15, R9, R23
        @P1 BRA 0x0"""
    )
    assert (found.edges, found.rows, found.row_edges) == (2, 2, 4)
    assert found.wavefronts_per_edge == 1
    assert found.in_flight == 2


def test_bytes_added_by_three_operand_instructions() -> None:
    found = counted(
        """LDG.E.U16 R4, [R2.64]
        LDG.E.U16 R5, [R2.64+0x2]
        IMAD.WIDE.U32 R10, R4, UR4, R12
        IMAD.WIDE.U32 R16, R5, UR4, R12
        LDG.E.U8 R14, [R10.64]
        LDG.E.U8 R15, [R16.64]
        IADD3 R20, R20, R14, R15
        @P1 BRA 0x0""",
        value=1,
        whole=True,
    )
    assert (found.edges, found.rows, found.in_flight, found.wavefronts) == (2, 1, 2, 4)


def test_inputs_staged_in_shared_memory() -> None:
    found = counted(LOOP.replace("LDG.E R14", "LDS R14"))
    assert (found.edges, found.activation_loads, found.wavefronts) == (1, 1, 3)


def test_spills_do_not_change_the_other_counts() -> None:
    found = counted(LOOP.replace("FMUL", "STL [R1], R8\nLDL R2, [R1+0x8]\nFMUL", 1))
    assert (found.spills, found.edges, found.instructions) == (2, 1, 10)
    assert found.wavefronts == 3 + 2


def test_a_loop_for_each_number_of_rows() -> None:
    """Of the loops with the same rows per thread, the one with the most edges counts.

    Tiles of 128 rows use four rows per thread, tiles of 32 rows use one.
    """

    def loop(start: int, edges: int, rows: int) -> str:
        lines = []
        for edge in range(edges):
            lines += [f"LDG.E.U16 R4, [R2.64+{2 * edge:#x}]", "IMAD.WIDE.U32 R10, R4, UR4, R12"]
            lines += [f"LDG.E R{16 + n}, [R10.64+{128 * n:#x}]" for n in range(rows)]
            lines += [f"FADD R{20 + n}, R{20 + n}, R{16 + n}" for n in range(rows)]
        return "\n".join([*lines, f"@P1 BRA {16 * start:#x}\n"])

    text, shapes = "", [(1, 1), (8, 1), (1, 4), (2, 4), (4, 1)]
    for edges, rows in shapes:
        text += loop(text.count("\n"), edges, rows)
    found = main_loops(code(text), 4, 2, False, "f")
    assert [(each.edges, each.rows) for each in found] == [(2, 4), (8, 1)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "FADD R20, R20, R14\n@P1 BRA 0x0",
            "f: no innermost loop loads from an address that depends",
        ),
        (LOOP.replace("FMUL", "@P2 BRA 0x60\nFMUL"), "the branch at 0x0040 skips instructions"),
        (LOOP.replace("FMUL", "CALL.REL.NOINC 0x900\nFMUL"), "the body calls a function"),
        (
            LOOP.replace("FMUL", "FADD R9, R9, R8\nFMUL"),
            "the addition at 0x0040 adds no activation",
        ),
        (LOOP.replace("FADD", "FMUL"), "no instruction adds the activations"),
        (
            LOOP.replace("FADD", "LDG.E R15, [R10.64+0x80]\nFADD"),
            "1 additions for 2 activations",
        ),
        (LOOP.replace(".U16 ", " "), "1 activations for 2 indices"),
        (
            LOOP.replace("LDG.E R14", "LDG.E.U8 R14"),
            "LDG.E.U8 does not load whole activations of 4",
        ),
        (
            LOOP.replace("FMUL", "IMAD.WIDE.U32 R16, R14, UR4, R12\nLDG.E R18, [R16.64]\nFMUL"),
            "an address depends on an activation",
        ),
        (
            LOOP.replace(".U16 R4", ".64 R4").replace("FMUL", "SHFL.IDX PT, R9, R5, RZ, RZ\nFMUL"),
            "lanes exchange values",
        ),
    ],
)
def test_loops_that_cannot_be_counted(text: str, message: str) -> None:
    with pytest.raises(ToolchainError) as raised:
        counted(text)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_workunit_for_equal_weights() -> None:
    """Four edges of four rows: 4 loads of indices and 16 of activations, 55 instructions."""
    found = excerpt("fused_equal-sm_90")
    assert (found.edges, found.rows, found.instructions) == (4, 4, 55)
    assert (found.index_loads, found.index_bytes, found.other_loads) == (4, (2,), 0)
    assert (found.activation_loads, found.activation_bytes) == (16, (4,))
    assert found.wavefronts_per_edge == 1.25
    # Two indices first, then one index at a time; two loads do not overlap with others.
    assert (found.in_flight, found.latencies) == (4, 7)


def test_the_workunit_for_different_weights() -> None:
    found = excerpt("fused_fan_in-sm_90")
    assert (found.edges, found.rows, found.instructions) == (4, 4, 79)
    assert (found.index_loads, found.activation_loads, found.other_loads) == (4, 16, 4)
    assert found.wavefronts_per_edge == 1.5


def test_the_hand_written_kernels() -> None:
    """Eight indices come with one load of 16 bytes."""
    equal = excerpt("hand_equal-sm_90")
    assert (equal.edges, equal.rows, equal.instructions) == (8, 4, 120)
    assert (equal.index_loads, equal.index_bytes) == (1, (16,))
    assert equal.wavefronts_per_edge == 33 / 32
    weighted = excerpt("hand_fan_in-sm_80")
    assert (weighted.edges, weighted.rows, weighted.other_loads) == (8, 4, 8)
    assert weighted.wavefronts_per_edge == 41 / 32


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_batches_of_loads(batches: list[int]) -> None:
    """Loads without a wait between them overlap, so they take one latency."""
    lines = []
    for size in batches:
        lines += [f"LDG.E R{10 + n}, [R2.64]" for n in range(size)]
        lines += [f"FADD R{30 + n}, R{30 + n}, R{10 + n}" for n in range(size)]
    body = code("\n".join(lines))
    loads = frozenset(n for n, each in enumerate(body) if each.is_load)
    found = overlap(body, loads)
    assert found.latencies == len(batches)
    assert found.max_in_flight == max(batches)


def test_a_load_waits_for_a_pending_load_of_its_register() -> None:
    body = code("LDG.E R4, [R2.64]\nLDG.E R4, [R2.64+0x80]\nFADD R5, R5, R4")
    assert overlap(body, frozenset({0, 1})).latencies == 2


def test_eight_threads_a_neuron_load_indices_and_weights_for_four_neurons() -> None:
    """Loads of 16 bytes take as many wavefronts; those of 4 bytes bring 32 bytes of 128."""
    loop = LoopCounts(
        edges=8, rows=4, instructions=64, spills=0, activation_loads=8, activation_bytes=(16,),
        index_loads=1, index_bytes=(16,), other_loads=2, in_flight=8, latencies=2.0, wavefronts=35,
    )  # fmt: skip
    assert loop.wavefronts_per_edge == 35 / 32
    assert loop.narrow_wavefronts_per_edge == (32 + 3 * 4) / 32
    bytes_ = replace(loop, activation_bytes=(4,), other_loads=0, wavefronts=9)
    assert bytes_.narrow_wavefronts_per_edge == (8 * 4 + 4) / 32

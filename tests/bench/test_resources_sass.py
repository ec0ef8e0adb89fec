"""Parsing of the output of cuobjdump, without CUDA."""

from __future__ import annotations

import pytest
from sass_text import EXCERPTS, code, one

from bench.resources.loops import innermost_loops
from bench.resources.sass import functions
from bench.resources.usage import Usage, functor_kernel, launch_of, usages
from kkspdnn.errors import ToolchainError

USAGE = EXCERPTS / "usage.txt"


def test_functions_and_their_instructions() -> None:
    found = functions((EXCERPTS / "printed.sass").read_text(encoding="utf-8"))
    assert list(found) == ["some_kernel", "another"]
    first, load, end, jump = found["some_kernel"]
    assert (first.opcode, first.operands, first.guard) == ("LDC", ("R1", "c[0x0][0x28]"), None)
    assert (load.address, load.guard, load.width) == (16, "!P1", 2)
    assert load.address_registers == {"R22", "R23"}
    assert (end.name, end.operands, end.target) == ("EXIT", (), None)
    assert jump.target == 0x30


@pytest.mark.parametrize(
    ("text", "writes", "reads"),
    [
        ("FADD R32, R32, R27", "R32", "R32 R27"),
        ("FADD R5, -R3.reuse, |R4|", "R5", "R3 R4"),
        ("IMAD.WIDE.U32 R24, R25, UR6, R14", "R24 R25", "R25 UR6 R14 R15"),
        ("IADD3 R22, P3, R22, 0x8, RZ", "R22", "R22"),
        ("IADD3.X R23, RZ, R23, RZ, P3, !PT", "R23", "R23"),
        ("ISETP.NE.AND P0, PT, R30, RZ, PT", "", "R30"),
        ("LOP3.LUT P0, RZ, R0, R3, RZ, 0xfc, !PT", "", "R0 R3"),
        ("LDG.E.128 R4, desc[UR8][R4.64]", "R4 R5 R6 R7", "R4 R5 UR8"),
        ("LDG.E.64.CONSTANT R4, [R2.64+UR4]", "R4 R5", "R2 R3 UR4"),
        ("LDG.E.U8 R37, [R26.64+0x40]", "R37", "R26 R27"),
        ("LDS.64 R12, [UR4]", "R12 R13", "UR4"),
        ("ULDC.64 UR8, c[0x0][0x208]", "UR8 UR9", ""),
        ("STG.E.64 desc[UR8][R2.64+0x80], R6", "", "UR8 R2 R3 R6 R7"),
        ("STL.128 [R1+0x10], R8", "", "R1 R8 R9 R10 R11"),
        ("DADD R8, R8, R24", "R8 R9", "R8 R9 R24 R25"),
        ("I2F.F64.U16 R8, R3", "R8 R9", "R3"),
        ("F2F.F32.F64 R8, R4", "R8", "R4 R5"),
        ("F2F.F64.F32 R8, R4", "R8 R9", "R4"),
        ("CS2R R34, SRZ", "R34 R35", ""),
        ("S2R R7, SR_TID.X", "R7", ""),
        ("SHFL.IDX PT, R5, R3, RZ, 0x1f", "R5", "R3"),
        ("ATOM.E.CAS.STRONG.GPU PT, R4, [R4], R10, R11", "R4", "R4 R10 R11"),
        ("BRA 0x1240", "", ""),
        ("BAR.SYNC.DEFER_BLOCKING 0x0", "", ""),
    ],
)
def test_registers(text: str, writes: str, reads: str) -> None:
    found = one(text)
    assert found.writes == set(writes.split())
    assert found.reads == set(reads.split())


@pytest.mark.parametrize(
    ("opcode", "width"),
    [("LDG.E", 4), ("LDG.E.U8", 1), ("LDG.E.S16", 2), ("LDG.E.64", 8), ("LDG.E.128", 16)],
)
def test_widths(opcode: str, width: int) -> None:
    assert one(f"{opcode} R4, [R2.64]").width == width


def test_innermost_loops() -> None:
    nested = code(
        """MOV R0, RZ
        MOV R1, RZ
        FADD R1, R1, R2
        @P0 BRA 0x20
        @P1 BRA 0x10
        FADD R1, R1, R2
        @P2 BRA 0x80
        @P0 BRA 0x50
        EXIT
        BRA 0x90"""
    )
    first, second = innermost_loops(nested)
    assert [each.address for each in first.body] == [0x20, 0x30]
    assert [each.address for each in second.body] == [0x50, 0x60, 0x70]
    assert not first.skips
    assert not second.skips  # leaves the loop


def test_usage_of_the_kernel_of_a_functor() -> None:
    found = usages(USAGE.read_text(encoding="utf-8"))
    assert len(found) == 2
    symbol = functor_kernel(found, "fused_equal")
    assert found[symbol] == Usage(40, 16, 8, 1032)
    assert launch_of(symbol) == "functor in local memory"
    with pytest.raises(ToolchainError, match="equal: the library has 0 kernels of its functor"):
        functor_kernel(found, "equal")
    with pytest.raises(ToolchainError, match="fused_equal: the library has 2 kernels"):
        functor_kernel([symbol, symbol.replace("local", "constant")], "fused_equal")


def test_launches_of_kernels() -> None:
    symbol = functor_kernel(usages(USAGE.read_text(encoding="utf-8")), "fused_equal")
    bounded = symbol.replace(
        "10TeamPolicyIJNS_4CudaE", "10TeamPolicyIJNS_4CudaENS_12LaunchBoundsILj512ELj2EE"
    )
    assert launch_of(bounded) == "functor in local memory, LaunchBounds<512, 2>"
    constant = symbol.replace("33cuda_parallel_launch_local", "36cuda_parallel_launch_constant")
    assert launch_of(constant) == "functor in constant memory"
    assert launch_of("kkspdnn_hand_equal") == "own"

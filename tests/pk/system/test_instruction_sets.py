"""Instruction sets: what the kernel lists, and who may run what."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kkspdnn.errors import InputError
from kkspdnn.pk.system import instruction_sets
from kkspdnn.pk.system.instruction_sets import LEVELS, Processor, features, libc, named, native

ZEN3 = """processor	: 0
vendor_id	: AuthenticAMD
model name	: AMD EPYC
flags		: fpu sse sse2 ht pni ssse3 fma cx16 sse4_1 sse4_2 movbe popcnt aes avx f16c lahf_lm \
abm sse4a ibrs stibp bmi1 avx2 bmi2 sha_ni vaes

processor	: 1
flags		: fpu avx512f
"""

GRACE = """processor	: 0
BogoMIPS	: 2000.00
Features	: fp asimd sve sve2
CPU implementer	: 0x41
"""

Pretend = Callable[[str], None]


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Let the kernel say this of the processor."""

    def pretend(text: str) -> None:
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(instruction_sets, "_CPUINFO", tmp_path / "cpuinfo")
        monkeypatch.setattr(instruction_sets, "features", features.__wrapped__)

    return pretend


def test_instruction_sets_without_the_kernel_s_protections(cpuinfo: Pretend) -> None:
    cpuinfo(ZEN3)
    found = instruction_sets.features()
    assert {"avx2", "fma", "sse4a", "vaes", "sha_ni", "lahf_lm"} <= found
    assert not found & {"ibrs", "stibp", "ht", "fpu", "avx512f"}


def test_other_architectures(cpuinfo: Pretend) -> None:
    cpuinfo(GRACE)
    assert instruction_sets.features() == {"fp", "asimd", "sve", "sve2"}
    cpuinfo("")
    assert instruction_sets.features()


def test_who_runs_what(cpuinfo: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    cpuinfo(ZEN3)
    runs = {level: named(level).runs_here for level in LEVELS}
    assert runs == {"x86-64": True, "x86-64-v2": True, "x86-64-v3": True, "x86-64-v4": False}
    assert native().runs_here
    more = Processor("native", "x86_64", native().needs | {"avx_vnni"})
    assert not more.runs_here
    assert not Processor("native", "aarch64", frozenset()).runs_here
    cpuinfo(ZEN3.replace(" movbe", ""))
    assert not named("x86-64-v3").runs_here


def test_a_key_says_the_processor() -> None:
    for each in (native(), *(Processor(level, "x86_64", LEVELS[level]) for level in LEVELS)):
        assert Processor.of_key(**each.key) == each
    assert len({Processor(level, "x86_64", LEVELS[level]).key["march"] for level in LEVELS}) == 4


def test_a_compiler_s_options() -> None:
    level = Processor("x86-64-v3", "x86_64", LEVELS["x86-64-v3"])
    given = ("-O3", "-march=native", "-fPIC")
    assert level.options(given) == ["-O3", "-march=x86-64-v3", "-fPIC"]
    assert native().options(given) == list(given)


def test_levels_hold_what_is_below() -> None:
    levels = list(LEVELS.values())
    assert all(low < high for low, high in zip(levels, levels[1:], strict=False))


def test_names_that_are_no_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    assert named("native") == native()
    with pytest.raises(InputError, match="--cpu skylake: choose native or one of x86-64, x86-64"):
        named("skylake")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(InputError, match="--cpu x86-64-v3: this machine is aarch64; leave out"):
        named("x86-64-v3")


def test_the_c_library() -> None:
    assert re.fullmatch(r"(\w+ [0-9.]+)?", libc())

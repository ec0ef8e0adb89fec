"""Instruction sets: those that the kernel lists, and which processor runs which code."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kkspdnn.errors import InputError
from kkspdnn.pk.system import instruction_sets
from kkspdnn.pk.system.instruction_sets import (
    LEVELS,
    Processor,
    cpu_features,
    libc_version,
    native_processor,
    parse_processor,
)

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

SetCpuinfo = Callable[[str], None]


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SetCpuinfo:
    """Replace the text of /proc/cpuinfo."""

    def set_cpuinfo(text: str) -> None:
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(instruction_sets, "_CPUINFO", tmp_path / "cpuinfo")
        monkeypatch.setattr(instruction_sets, "cpu_features", cpu_features.__wrapped__)

    return set_cpuinfo


def test_flags_that_do_not_name_instructions_are_left_out(cpuinfo: SetCpuinfo) -> None:
    cpuinfo(ZEN3)
    features = instruction_sets.cpu_features()
    assert {"avx2", "fma", "sse4a", "vaes", "sha_ni", "lahf_lm"} <= features
    assert not features & {"ibrs", "stibp", "ht", "fpu", "avx512f"}


def test_other_architectures(cpuinfo: SetCpuinfo) -> None:
    cpuinfo(GRACE)
    assert instruction_sets.cpu_features() == {"fp", "asimd", "sve", "sve2"}
    cpuinfo("")
    assert instruction_sets.cpu_features()


def test_which_processor_runs_which_code(
    cpuinfo: SetCpuinfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    cpuinfo(ZEN3)
    runs = {level: parse_processor(level).runs_here for level in LEVELS}
    assert runs == {"x86-64": True, "x86-64-v2": True, "x86-64-v3": True, "x86-64-v4": False}
    assert native_processor().runs_here
    more = Processor("native", "x86_64", native_processor().instruction_sets | {"avx_vnni"})
    assert not more.runs_here
    assert not Processor("native", "aarch64", frozenset()).runs_here
    cpuinfo(ZEN3.replace(" movbe", ""))
    assert not parse_processor("x86-64-v3").runs_here


def test_a_key_identifies_the_processor() -> None:
    for each in (
        native_processor(),
        *(Processor(level, "x86_64", LEVELS[level]) for level in LEVELS),
    ):
        assert Processor.from_key(**each.key) == each
    assert len({Processor(level, "x86_64", LEVELS[level]).key["march"] for level in LEVELS}) == 4


def test_a_compiler_s_options() -> None:
    level = Processor("x86-64-v3", "x86_64", LEVELS["x86-64-v3"])
    options = ("-O3", "-march=native", "-fPIC")
    assert level.compiler_options(options) == ["-O3", "-march=x86-64-v3", "-fPIC"]
    assert native_processor().compiler_options(options) == list(options)


def test_each_level_includes_the_lower_ones() -> None:
    levels = list(LEVELS.values())
    assert all(low < high for low, high in zip(levels, levels[1:], strict=False))


def test_unknown_processor_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_processor("native") == native_processor()
    with pytest.raises(InputError, match="cpu=skylake: choose native or one of x86-64, x86-64"):
        parse_processor("skylake")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(InputError, match="cpu=x86-64-v3: this machine is aarch64; choose native"):
        parse_processor("x86-64-v3")


def test_the_c_library() -> None:
    assert re.fullmatch(r"(\w+ [0-9.]+)?", libc_version())

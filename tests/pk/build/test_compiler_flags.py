"""The user's options for the compiler: those that change answers are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.compiler_flags import _VALUE_CHANGING, changes_values, extra_options


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("  -O2   -g ", ("-O2", "-g")),
        ("'-DNAME=two words' -march=x86-64-v3", ("-DNAME=two words", "-march=x86-64-v3")),
        ("-ffp-contract=off -fno-fast-math -ffp-model=strict", None),
    ],
)
def test_what_is_passed_on(
    monkeypatch: pytest.MonkeyPatch, text: str, words: tuple[str, ...] | None
) -> None:
    monkeypatch.setenv("KKSPDNN_CXXFLAGS", text)
    assert extra_options() == (tuple(text.split()) if words is None else words)


@pytest.mark.parametrize(
    "option",
    [
        "-ffast-math",
        "-Ofast",
        "-funsafe-math-optimizations",
        "-ffp-contract=fast",
        "-mfpmath=387",
        "--use_fast_math",
        "--fmad=true",
        "-Xcompiler=-ffast-math",
        "-Wp,-ffast-math",
    ],
)
def test_what_changes_answers(monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    monkeypatch.setenv("KKSPDNN_CXXFLAGS", f"-O2 {option}")
    with pytest.raises(ToolchainError) as caught:
        extra_options()
    assert str(caught.value) == f"KKSPDNN_CXXFLAGS: {option} changes answers; leave it out"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-DX='", "No closing quotation; quote as in a shell"),
        ("@options.txt", "'@options.txt' cannot be passed on"),
        ("'-DX=a;b'", "'-DX=a;b' cannot be passed on"),
        ("'-DX=a\nb'", "cannot be passed on"),
    ],
)
def test_what_cannot_be_passed_on(monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    monkeypatch.setenv("KKSPDNN_CXXFLAGS", text)
    with pytest.raises(ToolchainError) as caught:
        extra_options()
    assert said in str(caught.value)


@given(
    st.lists(st.sampled_from(["-O2", "-g", "-Wall", "-march=native", "-DX=1", "-I/usr/include"])),
    st.sampled_from(_VALUE_CHANGING),
    st.data(),
)
def test_it_is_found_wherever_it_stands(words: list[str], bad: str, data: st.DataObject) -> None:
    assert changes_values(words) is None
    words.insert(data.draw(st.integers(0, len(words))), bad)
    assert changes_values(words) == bad

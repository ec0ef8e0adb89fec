"""The user's options for the compiler: those that change floating-point results are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.compiler_flags import _VALUE_CHANGING, changes_values, user_options


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("  -O2   -g ", ("-O2", "-g")),
        ("'-DNAME=two words' -march=x86-64-v3", ("-DNAME=two words", "-march=x86-64-v3")),
        ("-ffp-contract=off -fno-fast-math -ffp-model=strict", None),
    ],
)
def test_options_that_are_passed_on(
    monkeypatch: pytest.MonkeyPatch, text: str, words: tuple[str, ...] | None
) -> None:
    monkeypatch.setenv("KKSPDNN_CXXFLAGS", text)
    assert user_options() == (tuple(text.split()) if words is None else words)


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
def test_options_that_change_results_are_refused(
    monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setenv("KKSPDNN_CXXFLAGS", f"-O2 {option}")
    with pytest.raises(ToolchainError) as caught:
        user_options()
    assert str(caught.value) == f"KKSPDNN_CXXFLAGS: {option} changes results; leave it out"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-DX='", "No closing quotation; quote as in a shell"),
        ("@options.txt", "'@options.txt' cannot be passed on"),
        ("'-DX=a;b'", "'-DX=a;b' cannot be passed on"),
        ("'-DX=a\nb'", "cannot be passed on"),
    ],
)
def test_options_that_cannot_be_passed_on(
    monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.setenv("KKSPDNN_CXXFLAGS", text)
    with pytest.raises(ToolchainError) as caught:
        user_options()
    assert message in str(caught.value)


@given(
    st.lists(st.sampled_from(["-O2", "-g", "-Wall", "-march=native", "-DX=1", "-I/usr/include"])),
    st.sampled_from(_VALUE_CHANGING),
    st.data(),
)
def test_an_option_is_found_at_any_position(
    words: list[str], option: str, data: st.DataObject
) -> None:
    assert changes_values(words) is None
    words.insert(data.draw(st.integers(0, len(words))), option)
    assert changes_values(words) == option

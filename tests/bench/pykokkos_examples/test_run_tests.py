"""Test files in processes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.pykokkos_examples.run_tests import TestFileResult, run_tests
from kkspdnn.errors import InputError

TEXT = """\
import pytest
import pykokkos as pk


class TestOwn:
    def test_name(self):
        assert pk.__name__ == "kkspdnn.pk.language"

    def test_wrong(self):
        raise ValueError("wrong\\nsecond line")

    @pytest.mark.skipif(True, reason="no GPU")
    def test_skipped(self):
        raise AssertionError
"""


def run(folder: Path, text: str) -> TestFileResult:
    (folder / "tests").mkdir()
    (folder / "tests" / "__init__.py").touch()
    (folder / "tests" / "test_own.py").write_text(text, "utf-8")
    (folder / "pykokkos").mkdir()
    (folder / "pykokkos" / "__init__.py").write_text("raise ImportError", "utf-8")
    return run_tests(folder, "test_own.py")


def test_tests_pass_fail_or_are_skipped(tmp_path: Path) -> None:
    """They see the built-in compiler, although the checkout has a package `pykokkos`."""
    result = run(tmp_path, TEXT)
    assert result == TestFileResult("test_own.py", 1, 1, {"test_wrong": "ValueError: wrong"})


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("import pykokkos.missing", "test_own.py: .*ImportError: PyKokkos has no name pk.missing"),
        ("import os; os._exit(3)", "test_own.py: exit code 3"),
    ],
)
def test_a_file_whose_tests_do_not_run_is_an_error(tmp_path: Path, text: str, error: str) -> None:
    with pytest.raises(InputError, match=error):
        run(tmp_path, text)

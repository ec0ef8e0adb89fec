"""`kkspdnn info`: its options and its help."""

from __future__ import annotations

import pytest

from kkspdnn.cli import main
from tests.refusals import refusal


def test_options_of_a_run_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a parser of its own, `info` would ignore them."""
    assert "unknown option --neurons; see kkspdnn info --help" in refusal(
        capsys, "info", "--neurons", "7"
    )


def test_info_has_its_own_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main.main(["info", "--help"])
    assert exited.value.code == 0
    printed = capsys.readouterr().out
    assert "kkspdnn info" in printed
    assert "--neurons" not in printed

"""`python -m kkspdnn compile`: a run after it compiles nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from kkspdnn import cli
from kkspdnn.pk.driver import Device
from kkspdnn.pk.nvcc import nvcc_path
from kkspdnn.pk.runtime import Toolkit
from kkspdnn.radix_net import radixnet
from kkspdnn.rehearsal import engine_launches
from tests.refusals import refusal


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    return refusal(capsys, "compile", *options)


@pytest.mark.parametrize("options", [[], ["--dtype", "float64"]])
def test_every_workunit_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    real, texts = Toolkit.workunit, []

    def counted(kit: Toolkit, generated: object) -> Path:
        texts.append(generated)
        return real(kit, generated)  # type: ignore[arg-type]

    monkeypatch.setattr(Toolkit, "workunit", counted)
    assert cli.main(["compile", "--space", "serial", *options]) == 0
    first, *lines, last = capsys.readouterr().out.splitlines()
    assert first.startswith("Kokkos ")
    names = {line.split(":")[0].strip() for line in lines}
    assert names == set(engine_launches("serial", radixnet(32, 1).dtype))
    assert last.startswith(f"{len(texts)} workunits: ")
    assert len(names) == len(texts) if options else len(names) < len(texts) < 2 * len(names)


def test_what_cannot_be_compiled_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--arch sm_90 is for --space cuda" in refused(capsys, "--arch", "sm_90")
    assert "unknown option --neurons" in refused(capsys, "--neurons", "32")
    assert "invalid choice: 'metal'" in refused(capsys, "--space", "metal")
    monkeypatch.setattr("kkspdnn.compile.devices", tuple)
    assert "there is no device to ask; give --arch" in refused(capsys, "--space", "cuda")
    if nvcc_path() is None:
        assert "no nvcc: put nvcc on the PATH" in refused(
            capsys, "--space", "cuda", "--arch", "sm_90"
        )
    else:
        assert "does not compile for sm_1, only" in refused(
            capsys, "--space", "cuda", "--arch", "sm_1"
        )


def test_the_device_says_its_architecture(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """sm_1 is none that nvcc knows, so that nothing is built."""
    if nvcc_path() is None:
        pytest.skip("no nvcc, see kkspdnn info")
    monkeypatch.setattr("kkspdnn.pk.driver.devices", lambda: (Device(0, "A", "sm_1"),))
    monkeypatch.setattr("kkspdnn.compile.devices", lambda: (Device(0, "A", "sm_1"),))
    assert "does not compile for sm_1" in refused(capsys, "--space", "cuda")

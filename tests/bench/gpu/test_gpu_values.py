"""The checks of `bench.gpu values` and the other steps, on a CPU."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import pytest

import kkspdnn as kk
from bench.gpu import launches, profiled, sanitized, values

SMALL = argparse.Namespace(space="openmp", small=True, records=None)


@pytest.mark.slow
def test_all_checks_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert values.command(SMALL) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "failures: 0"
    assert len(lines) > 10
    assert all("] ok   " in line for line in lines[:-1])


@pytest.mark.slow
def test_a_failed_verification_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = kk.infer

    def wrong(net: kk.Network, inputs: Any, **options: Any) -> Any:
        result = real(net, inputs, **options)
        if options.get("kernel") != "spgemm":
            return result
        verified = replace(result.record.verified, passed=False, max_abs_error=7.0)
        return replace(result, record=replace(result.record, verified=verified))

    monkeypatch.setattr(kk, "infer", wrong, raising=False)
    assert values.command(SMALL) == 1
    printed = capsys.readouterr().out
    assert "FAIL SpGEMM: AssertionError: largest error 7.0" in printed


@pytest.mark.slow
def test_values_that_change_between_runs_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    real, runs = kk.infer, []

    def changing(net: kk.Network, inputs: Any, **options: Any) -> Any:
        runs.append(1)
        result = real(net, inputs, **options)
        if len(runs) == 5:
            result.values.data[-1] += 1
        return result

    monkeypatch.setattr(kk, "infer", changing, raising=False)
    with pytest.raises(AssertionError, match="2 different results"):
        values._repeat("openmp", 50)


@pytest.mark.slow
@pytest.mark.parametrize("module", [launches, profiled, sanitized])
def test_the_other_steps_run(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert module.command(SMALL) == 0
    assert capsys.readouterr().out

"""Launch parameters for the processor of this machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kkspdnn.device import launch_parameters
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.device.space import open_space


@pytest.mark.parametrize("space", ["serial", "openmp"])
def test_groups_of_outputs_with_avx_512(space: str, monkeypatch: pytest.MonkeyPatch) -> None:
    default = LaunchParameters.default(space)  # type: ignore[arg-type]
    assert default.group_outputs == "none"
    for features, expected in (
        ({"sse2", "avx2"}, default),
        ({"sse2", "avx2", "avx512f"}, replace(default, group_outputs="distinct")),
        ({"fp", "asimd", "sve"}, default),
        (set(), default),
    ):
        monkeypatch.setattr(launch_parameters, "cpu_features", lambda found=features: found)
        assert LaunchParameters.native(space) == expected  # type: ignore[arg-type]
        assert open_space(space).launch == expected


@pytest.mark.parametrize("features", [set(), {"avx512f"}])
def test_the_processor_does_not_matter_for_a_gpu(
    features: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch_parameters, "cpu_features", lambda: features)
    assert LaunchParameters.native("cuda") == LaunchParameters.default("cuda")

"""The launch parameters that the search tries: one field at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kkspdnn.choices import GROUP_OUTPUTS, SpaceName
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.tuning.legality import find_illegal


def _replace(field: str) -> Callable[[LaunchParameters, Any], LaunchParameters]:
    def apply(parameters: LaunchParameters, value: Any) -> LaunchParameters:
        return replace(parameters, **{field: value})

    return apply


def _with_vector_length(parameters: LaunchParameters, value: int) -> LaunchParameters:
    """Change the vector length, and keep the number of threads of a team."""
    return replace(parameters, vector_length=value, team_size=parameters.team_threads // value)


def _with_team_threads(parameters: LaunchParameters, value: int) -> LaunchParameters:
    return replace(parameters, team_size=value // parameters.vector_length)


@dataclass(frozen=True)
class Axis:
    """A direction of the search.

    name: the field of LaunchParameters that changes
    values: the values to try
    apply: returns parameters with another value
    """

    name: str
    values: Sequence[Any]
    apply: Callable[[LaunchParameters, Any], LaunchParameters]


def axes(space: SpaceName) -> tuple[Axis, ...]:
    """Return the axes of an execution space, the most influential one first."""
    groups = Axis("group_outputs", GROUP_OUTPUTS, _replace("group_outputs"))
    layers = Axis("layers_a_launch", (1, 2, 4, 8, 16), _replace("layers_a_launch"))
    if space == "cuda":
        return (
            groups,
            Axis("team_size", (32, 64, 128, 256, 512), _with_team_threads),
            Axis("lanes_per_thread", (1, 2, 4, 8), _replace("lanes_per_thread")),
            Axis("vector_length", (8, 16, 32), _with_vector_length),
            layers,
        )
    mebibytes = (5, 10, 20, 40, 80)
    return (
        groups,
        Axis("tile_bytes", (64, 128, 256, 512), _replace("tile_bytes")),
        Axis("chunk_bytes", tuple(each << 20 for each in mebibytes), _replace("chunk_bytes")),
        layers,
    )


def candidates(
    axis: Axis, best: LaunchParameters, space: SpaceName, dtype: np.dtype[Any]
) -> Iterator[LaunchParameters]:
    """Yield `best` with each other legal value on an axis."""
    for value in axis.values:
        candidate = axis.apply(best, value)
        if candidate != best and find_illegal(candidate, space, dtype) is None:
            yield candidate

"""The text that `python -m kkspdnn show` prints: a list of workunits, C++, or machine code."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from textwrap import shorten

import numpy as np

from kkspdnn.choices import SpaceName
from kkspdnn.device.space import EXECUTION_SPACES
from kkspdnn.engines.launch_trace import engine_launches
from kkspdnn.errors import InputError, did_you_mean
from kkspdnn.pk.build.disassemble import hot_function
from kkspdnn.pk.build.find_runtime import find_runtime_library
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.dispatch import Specialization
from kkspdnn.pk.locate import load_workunit, order_types, parse_types
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.system.debug_mode import debug_mode
from kkspdnn.pk.types import Scalar, View

_LINE_LENGTH = 119


def workunit_text(arguments: argparse.Namespace) -> Iterator[str]:
    """Yield the text for the options of `kkspdnn show`; see `show` for the exceptions."""
    space: SpaceName = arguments.space
    if arguments.assembly and space == "cuda":
        raise InputError(
            "--assembly shows machine code of a CPU; for a GPU run kkspdnn compile, then cuobjdump "
            "-sass on the workunit.so in the cache"
        )
    types = parse_types(arguments.types)
    if arguments.workunit is None:
        yield from _list_workunits(engine_launches(space, np.dtype(arguments.dtype)))
        return
    workunit, execution_space, ordered_types = _find(
        arguments.workunit, space, np.dtype(arguments.dtype), types
    )
    generated = generate(workunit, execution_space, ordered_types, debug=debug_mode())
    if arguments.assembly:
        library = find_runtime_library(execution_space).compile_workunit(generated)
        yield hot_function(library, generated.name)
    else:
        yield generated.text


def _find(
    name: str, space: SpaceName, dtype: np.dtype[np.floating], types: Mapping[str, Scalar | View]
) -> Specialization:
    """Return a workunit, its space and the types of its parameters without annotation."""
    if ":" in name:
        workunit, inferred_types = load_workunit(name), {}
    else:
        engines = engine_launches(space, dtype)
        if name not in engines:
            raise InputError(
                f"no workunit {name!r}{did_you_mean(name, engines)}; choose one of "
                f"{', '.join(sorted(engines))}, or give your own as FILE.py:NAME or MODULE:NAME"
            )
        workunit, _, inferred = engines[name]
        inferred_types = dict(zip(workunit.generic, inferred, strict=True))
    execution_space = ExecutionSpace[EXECUTION_SPACES[space]]
    return workunit, execution_space, order_types(workunit, {**inferred_types, **types})


def _list_workunits(launches: Mapping[str, Specialization]) -> Iterator[str]:
    workunits = {name: launches[name][0] for name in sorted(launches)}
    name_width = max(map(len, workunits)) + 2
    module_width = max(len(each.__module__) for each in workunits.values()) + 2
    for name, workunit in workunits.items():
        width = _LINE_LENGTH - name_width - module_width
        summary = shorten(workunit.__doc__ or "", width, placeholder=" …")
        yield f"{name:<{name_width}}{workunit.__module__:<{module_width}}{summary}\n"

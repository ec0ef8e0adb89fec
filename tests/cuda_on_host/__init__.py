"""The C++ of workunits for Kokkos::Cuda, compiled for the host and run there."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.device.multiprocessors import Multiprocessors
from kkspdnn.device.space import Space, open_space
from kkspdnn.pk import provide_pykokkos
from kkspdnn.pk.build.runtime_library import CPP_FOLDER
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.dispatch import infer_types
from kkspdnn.pk.runtime.program import Program
from tests.on_host import compiled

pk = provide_pykokkos()

_LAUNCHER = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p)


class _HostRuntime:
    """Calls launchers without Kokkos."""

    device = None
    threads = 1

    def launch(
        self, launcher: ctypes.c_void_p, label: bytes, arguments: bytes, _single: bool
    ) -> bool:
        return bool(_LAUNCHER(launcher.value)(label, arguments) == 0)


@dataclass(frozen=True)
class CudaOnHost:
    """The launch functions of PyKokkos; the libraries of workunits are in `folder`."""

    folder: Path

    def launch(self, label: str, policy: Any, workunit: Any, arguments: Mapping[str, Any]) -> Any:
        return self._program(workunit, infer_types(workunit, arguments))(
            label.encode(), policy, arguments
        )

    @cache  # noqa: B019 the object lives as long as the tests
    def _program(self, workunit: Any, types: Any) -> Program:
        generated = generate(workunit, pk.Cuda, types)
        name = sha256(generated.text.encode()).hexdigest()[:16]
        source, library = self.folder / f"{name}.cpp", self.folder / f"{name}.so"
        if not library.exists():
            source.write_text(generated.text, encoding="utf-8")
            headers = Path(__file__).parent
            options = "-std=c++20", f"-I{headers}", f"-I{CPP_FOLDER}", "-Wno-unknown-pragmas"
            compiled(source, library, *options)
        runtime: Any = _HostRuntime()
        return Program(generated, library, runtime)

    def space(self, **changes: Any) -> Space:
        """Return a space cuda with NumPy arrays and these launch parameters."""
        launch = replace(LaunchParameters.default("cuda"), **changes)

        def run(label: str, policy: Any, workunit: Any, **arguments: Any) -> Any:
            return self.launch(label, policy, workunit, arguments)

        front: Any = SimpleNamespace(
            RangePolicy=pk.RangePolicy,
            TeamPolicy=pk.TeamPolicy,
            parallel_for=run,
            parallel_reduce=run,
            parallel_scan=run,
        )
        return replace(
            open_space("serial"), name="cuda", pk=front, execution_space=pk.Cuda, launch=launch,
            threads=4096, multiprocessors=Multiprocessors(2, 2048, 65_536),
        )  # fmt: skip

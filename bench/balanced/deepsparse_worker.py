"""The worker process of DeepSparse: `python -m bench.balanced.deepsparse_worker NAME SPACE FOLDER`.

It runs in the environment of DeepSparse and imports nothing of kkspdnn. See bench.balanced.runs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from bench.balanced.dense_network import float64_outputs, read_dense_layers
from bench.balanced.digits import read_digits
from bench.balanced.onnx_model import onnx_model
from bench.balanced.runs import Run, serve_runs, timed

_IMAGES = Path(__file__).parents[2] / "kkspdnn" / "data" / "images-1024.npz"


def main() -> int:
    """Answer requests until stdin or the parent process ends."""
    folder = Path(sys.argv[3])
    pixels = read_digits(_IMAGES)[1].pixels()

    def prepare(network: str, rows: int, threads: int) -> tuple[Run, Any]:
        import deepsparse

        layers, x = read_dense_layers(folder / network), pixels[:rows]
        # The process has a temporary folder of its own.
        model = Path(f"{network}.onnx")
        model.write_bytes(onnx_model(layers, rows))
        engine = deepsparse.compile_model(str(model), batch_size=rows, num_cores=threads)
        return timed(lambda: engine.run([x])[0]), float64_outputs(layers, x)

    return serve_runs(prepare)


if __name__ == "__main__":
    sys.exit(main())

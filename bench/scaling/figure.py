"""The figure of measurements, model, predictions and a published result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from kkspdnn.figures.style import COLOURS, GREY, WIDTHS, grid, legend, log_ticks, pictures, settings
from kkspdnn.io.atomic_write import replace_file


def draw(record: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write scaling-1col and scaling-2col as PDF and PNG, and return the paths."""
    paths = []
    with settings():
        for name, width in WIDTHS.items():
            figure = Figure(figsize=(width, 2.9 if name == "1col" else 2.6), layout="constrained")
            _paint(figure, record)
            for file_name, content in pictures(f"scaling-{name}", figure).items():
                paths.append(folder / file_name)
                with replace_file(paths[-1]) as file:
                    file.write(content)
    return paths


def _paint(figure: Figure, record: Mapping[str, Any]) -> None:
    axes = figure.subplots()
    points, runs, predicted = record["points"], record["runs"], record["predictions"]
    base = points[0]["seconds"]
    ranks = [point["ranks"] for point in points]
    axes.plot(ranks, ranks, color=GREY, linestyle=":", label="ranks")
    modelled = [base / point["seconds"] for point in record["modelled"]]
    axes.plot(ranks, modelled, color=COLOURS[0], linestyle="--", label="model")
    axes.plot(
        *(ranks, [base / point["seconds"] for point in points]),
        color=COLOURS[2],
        marker="^",
        linestyle="none",
        label="a rank's shard, measured alone",
    )
    axes.plot(
        [run["ranks"] for run in runs],
        [min(runs[0]["seconds"]) / min(run["seconds"]) for run in runs],
        color=COLOURS[0],
        marker="o",
        linestyle="none",
        label="mpiexec on this machine, measured",
    )
    axes.plot(
        [point["ranks"] for point in predicted],
        [point["speedup"] for point in predicted],
        color=COLOURS[0],
        marker="o",
        markerfacecolor="white",
        linestyle="none",
        label="predicted",
    )
    other = record["published"]
    axes.plot(
        [other["nodes"]],
        [other["speedup"]],
        color=COLOURS[5],
        marker="s",
        linestyle="none",
        label=f"published: {other['name']} ({other['speedup']:g}x)",
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    log_ticks(axes.xaxis)
    log_ticks(axes.yaxis)
    axes.set_xlabel("ranks (KK-SpDNN: nodes)")
    axes.set_ylabel("speedup over one rank")
    text = f"{record['network']}, {record['inputs']:,} rows, {record['threads']} thread(s) per rank"
    figure.suptitle(f"{text}\n{record['machine']}", fontsize=7)
    grid(axes, "both")
    legend(figure, 2)

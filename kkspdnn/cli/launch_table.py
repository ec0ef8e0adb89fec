"""The table of the times of launches that a run prints with --verbose."""

from __future__ import annotations

from collections.abc import Sequence

from kkspdnn.pk.runtime.launch_times import LaunchTimes

_HEADER = ("label", "launches", "total ms", "of inference", "mean us", "min us", "max us")


def launch_table(times: Sequence[LaunchTimes], seconds: float) -> str:
    """Return the times as lines, and a last line for all launches.

    seconds: of inference; a few launches may belong to the setup
    """
    rows = [_HEADER, *(_row(each, seconds) for each in times)]
    total, count = sum(each.total for each in times), sum(each.count for each in times)
    rows.append(("all launches", f"{count:,}", f"{1e3 * total:.2f}", _share(total, seconds)))
    widths = [max(len(row[k]) for row in rows if k < len(row)) for k in range(len(_HEADER))]
    return "\n".join(_line(row, widths) for row in rows)


def _row(times: LaunchTimes, seconds: float) -> tuple[str, ...]:
    microseconds = (times.mean, times.shortest, times.longest)
    return (
        times.label,
        f"{times.count:,}",
        f"{1e3 * times.total:.2f}",
        _share(times.total, seconds),
        *(f"{1e6 * each:.1f}" for each in microseconds),
    )


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    """A line with the label on the left and all numbers on the right of their columns."""
    label, *numbers = row
    columns = [f"{text:>{width}}" for text, width in zip(numbers, widths[1:], strict=False)]
    return "  ".join([f"{label:<{widths[0]}}", *columns])

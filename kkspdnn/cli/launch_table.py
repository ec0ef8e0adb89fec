"""The tables of the times of launches that a run prints with --verbose."""

from __future__ import annotations

from collections.abc import Sequence

from kkspdnn.pk.runtime.launch_times import LaunchRecorder, LayerTimes, TimedLaunch

_LABELS = ("label", "launches", "total ms", "of inference", "mean us", "min us", "max us")
_LAYERS = ("layers", "launches", "active rows", "total ms", "of inference")
_LAUNCHES = ("launch", "us", "layers", "label")


def launch_tables(recorder: LaunchRecorder, seconds: float) -> str:
    """Return the times by label and by layer as lines, and each launch if they are kept.

    seconds: of inference; a few launches may belong to the setup
    """
    tables = [_launch_list(recorder.launches)] if recorder.launches else []
    tables.append(_label_table(recorder, seconds))
    if recorder.layer_times:
        tables.append(_layer_table(recorder, seconds))
    return "\n\n".join(tables)


def _launch_list(launches: Sequence[TimedLaunch]) -> str:
    """Return a line for each launch, in order."""
    rows = [_LAUNCHES]
    for number, each in enumerate(launches, start=1):
        layers = "" if each.layers is None else _layers(each.layers)
        rows.append((f"{number:,}", f"{1e6 * each.seconds:.1f}", layers, each.label))
    return _table(rows, left=(3,))


def _label_table(recorder: LaunchRecorder, seconds: float) -> str:
    """Return a line for each label, the largest total first, and one for all launches."""
    rows: list[tuple[str, ...]] = [_LABELS]
    for each in recorder.times:
        microseconds = (each.mean, each.shortest, each.longest)
        rows.append(
            (
                each.label,
                *_sums(each.count, each.total, seconds),
                *(f"{1e6 * time:.1f}" for time in microseconds),
            )
        )
    count, total = _all_launches(recorder)
    rows.append(("all launches", *_sums(count, total, seconds)))
    return _table(rows)


def _layer_table(recorder: LaunchRecorder, seconds: float) -> str:
    """Return a line for each range of layers that launches compute together, and one for all
    launches that compute no layer: they load rows, check them, remove retired rows, or are part of
    the setup."""
    rows: list[tuple[str, ...]] = [_LAYERS]
    rows += [_layer_row(each, seconds) for each in recorder.layer_times]
    count, total = _all_launches(recorder)
    count -= sum(each.count for each in recorder.layer_times)
    total -= sum(each.total for each in recorder.layer_times)
    launches, *times = _sums(count, total, seconds)
    rows.append(("other launches", launches, "", *times))
    return _table(rows)


def _layer_row(times: LayerTimes, seconds: float) -> tuple[str, ...]:
    launches, *sums = _sums(times.count, times.total, seconds)
    return (_layers(times.layers), launches, f"{times.rows:,}", *sums)


def _layers(layers: range) -> str:
    """Return the numbers of layers, from 1: `3`, or `3-5`."""
    first, last = layers.start + 1, layers.stop
    return str(first) if first == last else f"{first}-{last}"


def _all_launches(recorder: LaunchRecorder) -> tuple[int, float]:
    """Return the number and the total time of all launches."""
    times = recorder.times
    return sum(each.count for each in times), sum(each.total for each in times)


def _sums(count: int, total: float, seconds: float) -> tuple[str, str, str]:
    return f"{count:,}", f"{1e3 * total:.2f}", f"{100 * total / seconds:.1f} %"


def _table(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Return rows as lines with aligned columns; left: the columns that are aligned on the left."""
    columns = range(len(rows[0]))
    widths = [max(len(row[k]) for row in rows if k < len(row)) for k in columns]

    def line(row: Sequence[str]) -> str:
        cells = [
            f"{text:<{width}}" if k in left else f"{text:>{width}}"
            for k, (text, width) in enumerate(zip(row, widths, strict=False))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join(map(line, rows))

"""Charts: a figure in two widths with its table, or a table alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Generic, TypeVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kkspdnn.figures.style import MAX_HEIGHT, WIDTHS, letter
from kkspdnn.figures.table import Table

T = TypeVar("T")

End = tuple[float, float]
"""The last point of a curve, in data coordinates."""


@dataclass(frozen=True)
class Chart:
    """A figure that is drawn on demand, and its table.

    name: the stem of its file names
    sources: the files of the records that it shows
    table: all values
    printed: a table that fits a page; None: `table` does
    heights: in inches, for one column and two columns
    paint: draws into an empty figure; its second argument is True for two columns. None: there is
    only a table
    """

    name: str
    sources: frozenset[Path]
    table: Table
    heights: tuple[float, float] = (0.0, 0.0)
    paint: Callable[[Figure, bool], None] | None = None
    printed: Table | None = None

    @property
    def page_table(self) -> Table:
        """The table that fits a page."""
        return self.table if self.printed is None else self.printed

    def figure(self, width: str) -> Figure:
        """Draw the figure for a width of WIDTHS; to be called within `settings`."""
        assert self.paint is not None
        wide = width == "2col"
        size = WIDTHS[width], min(MAX_HEIGHT, self.heights[wide])
        figure = Figure(figsize=size, layout="constrained")
        self.paint(figure, wide)
        return figure

    def without_figure(self) -> Chart:
        """Return the table alone."""
        return replace(self, paint=None)


@dataclass(frozen=True)
class Panel(Generic[T]):
    """A panel of a figure that is to be drawn.

    letter: its name, such as (a); empty if it is the only panel
    is_first: whether it is the first of its row, so that it needs the label of the y-axis
    content: what it shows
    later: the contents of the panels right of it; curves that these have are labelled there
    height: of the axes in inches, approximately
    """

    axes: Axes
    letter: str
    is_first: bool
    content: T
    later: tuple[T, ...]
    height: float

    def title(self, text: str) -> str:
        """Return a title that begins with the name of the panel, if it has one."""
        return f"{self.letter} {text}".lstrip()

    def own_ends(
        self, ends: Mapping[str, End], labels: Callable[[T], Iterable[str]]
    ) -> dict[str, End]:
        """Return the ends of the curves that no panel right of this one has.

        ends: the last points of the curves of this panel by label
        labels: returns those of a content
        """
        later = {label for content in self.later for label in labels(content)}
        return {label: end for label, end in ends.items() if label not in later}


@dataclass(frozen=True)
class PanelGrid:
    """The arrangement of `items` panels for each of `groups` machines.

    In two columns a machine has a row of panels; machines with one panel each share a row. In one
    column the panels are below each other, and lower if they would exceed a page.

    panel_heights: of a panel with its labels, in inches, for one column and two columns
    around: the height of title and legend, likewise
    """

    groups: int
    items: int
    panel_heights: tuple[float, float]
    around: tuple[float, float] = (0.5, 0.5)

    @property
    def heights(self) -> tuple[float, float]:
        """The heights of the figure in inches, for one column and two columns."""
        narrow, wide = (
            self._rows(each) * self._panel_height(each) + self.around[each]
            for each in (False, True)
        )
        return narrow, wide

    def make(self, figure: Figure, wide: bool, contents: Sequence[T | None]) -> list[Panel[T]]:
        """Add the panels to a figure, machine by machine; None leaves an empty place."""
        rows, columns = self._rows(wide), self._columns(wide)
        height = max(0.5, self._panel_height(wide) - 0.55)
        axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
        filled = self._filled(contents, columns, len(axes))
        used = sum(content is not None for content in contents)
        found: list[Panel[T]] = []
        for index, (own_axes, content) in enumerate(zip(axes, filled, strict=True)):
            if content is None:
                own_axes.remove()
                continue
            row = filled[index + 1 : (index // columns + 1) * columns]
            later = tuple(each for each in row if each is not None)
            name = letter(len(found)) if used > 1 else ""
            found.append(Panel(own_axes, name, index % columns == 0, content, later, height))
        return found

    def _filled(self, contents: Sequence[T | None], columns: int, count: int) -> list[T | None]:
        """Return the contents of all places: a machine of several rows starts a new one."""
        if self.items == 1:
            return [*contents, *[None] * (count - len(contents))]
        unused = [None] * (-self.items % columns)
        filled: list[T | None] = []
        for group in range(self.groups):
            filled += [*contents[group * self.items : (group + 1) * self.items], *unused]
        return filled

    def _columns(self, wide: bool) -> int:
        if not wide:
            return 1
        return min(3, self.groups if self.items == 1 else self.items)

    def _rows(self, wide: bool) -> int:
        columns = self._columns(wide)
        if self.items == 1:
            return -(-self.groups // columns)
        return self.groups * -(-self.items // columns)

    def _panel_height(self, wide: bool) -> float:
        most = (MAX_HEIGHT - self.around[wide]) / self._rows(wide)
        return min(self.panel_heights[wide], most)


def machine_panels(
    contents: Sequence[T],
    machine: Callable[[T], object],
    item: Callable[[T], object],
    order: Sequence[object],
    panel_heights: tuple[float, float],
) -> tuple[PanelGrid, list[T | None]]:
    """Return a grid with a row of panels for each machine, and its contents with the gaps.

    machine, item: the row and the column of a content
    order: of the items; those that no content has are left out
    """
    by_cell = {(machine(each), item(each)): each for each in contents}
    machines = list(dict.fromkeys(map(machine, contents)))
    items = [each for each in order if any(item(content) == each for content in contents)]
    cells = [by_cell.get(cell) for cell in product(machines, items)]
    return PanelGrid(len(machines), len(items), panel_heights), cells

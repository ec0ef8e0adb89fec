"""The arrangement of panels."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from kkspdnn.figures.chart import PanelGrid, machine_panels
from kkspdnn.figures.style import MAX_HEIGHT, write_title


def arranged(grid: PanelGrid, wide: bool, contents: list[str | None]) -> list[list[str]]:
    """Return the contents of the panels by rows, from their positions."""
    figure = Figure()
    rows: dict[float, list[tuple[float, str]]] = {}
    for panel in grid.make(figure, wide, contents):
        box = panel.axes.get_position()
        rows.setdefault(round(-box.y0, 3), []).append((box.x0, panel.content))
    return [[content for _, content in sorted(rows[y])] for y in sorted(rows)]


def test_a_machine_has_a_row_in_two_columns_and_all_are_stacked_in_one() -> None:
    grid = PanelGrid(2, 3, (1.5, 2.0))
    contents = ["a1", "a2", "a3", "b1", None, "b3"]
    assert arranged(grid, True, contents) == [["a1", "a2", "a3"], ["b1", "b3"]]
    assert arranged(grid, False, contents) == [[each] for each in contents if each]


def test_a_machine_with_more_than_three_panels_has_several_rows() -> None:
    grid = PanelGrid(2, 4, (1.5, 2.0))
    contents: list[str | None] = [f"{m}{i}" for m in "ab" for i in range(4)]
    assert arranged(grid, True, contents) == [
        ["a0", "a1", "a2"],
        ["a3"],
        ["b0", "b1", "b2"],
        ["b3"],
    ]


def test_machines_with_one_panel_share_a_row() -> None:
    grid = PanelGrid(4, 1, (1.5, 2.0))
    assert arranged(grid, True, list("abcd")) == [["a", "b", "c"], ["d"]]


def test_a_figure_is_not_higher_than_a_page() -> None:
    for groups in range(1, 6):
        narrow, wide = PanelGrid(groups, 3, (1.5, 2.0)).heights
        assert narrow == pytest.approx(min(MAX_HEIGHT, 0.5 + 1.5 * 3 * groups))
        assert wide == pytest.approx(min(MAX_HEIGHT, 0.5 + 2.0 * groups))


def test_panels_know_their_name_and_those_right_of_them() -> None:
    panels = PanelGrid(1, 3, (1.5, 2.0)).make(Figure(), True, ["a", None, "c"])
    assert [(p.letter, p.is_first, p.later) for p in panels] == [
        ("(a)", True, ("c",)),
        ("(b)", False, ()),
    ]
    (alone,) = PanelGrid(1, 1, (1.5, 2.0)).make(Figure(), True, ["a"])
    assert (alone.letter, alone.title("x"), panels[0].title("x")) == ("", "x", "(a) x")


def test_contents_are_arranged_by_machine_and_item() -> None:
    contents = ["bx", "by", "ay"]
    grid, cells = machine_panels(contents, lambda c: c[0], lambda c: c[1], "xyz", (1.0, 1.0))
    assert (grid.groups, grid.items) == (2, 2)
    assert cells == ["bx", "by", None, "ay"]


def test_a_title_is_broken_between_clauses() -> None:
    figure = Figure()
    clause = "x" * 40
    write_title(figure, False, f"{clause}; {clause}; short", "last")
    assert figure.get_suptitle().split("\n") == [clause, f"{clause}; short", "last"]

"""Messages of the Python functions, as the command line prints them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import kkspdnn
from kkspdnn.cli import option_names
from kkspdnn.cli.option_names import name_options
from kkspdnn.cli.run_options import parser
from tests.refusals import refusal


@pytest.mark.parametrize(
    ("message", "printed"),
    [
        ("at least memory=2.5 is needed", "at least --memory 2.5 is needed"),
        ("leave out fold=True or use float64", "leave out --fold or use float64"),
        (
            "space='cuda': no driver; or use space='openmp'",
            "--space cuda: no driver; or use --space openmp",
        ),
        ("and use tune=False", "and use --no-tune"),
        ("there are 5 images; use at most rows=5", "there are 5 images; use at most --inputs 5"),
        ("/tmp/a b.npz: other=3, in_memory=2", "/tmp/a b.npz: other=3, in_memory=2"),
    ],
)
def test_parameters_become_options(message: str, printed: str) -> None:
    assert name_options(message) == printed


def test_the_options_exist() -> None:
    from kkspdnn.cli.compile import parser as compile_parser
    from kkspdnn.cli.show import parser as show_parser

    parsers = parser(), compile_parser(), show_parser()
    known = {name for each in parsers for name in each._option_string_actions}
    options = set(option_names._OPTIONS.values()) - {"--tune"} | {"--no-tune"}
    assert options - known == set()


def test_a_message_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "at least --memory " in refusal(capsys, "--memory", "0.001")
    assert "use at most --inputs 60000" in refusal(capsys, "--inputs", "60001")


def test_messages_below_the_command_line_name_no_options() -> None:
    """An f-string or text with an option is a message or the help of an option."""
    root = Path(kkspdnn.__file__).parent
    found = [
        f"{path.relative_to(root)}:{node.lineno}: {node.value}"
        for path in sorted(root.rglob("*.py"))
        if path.relative_to(root).parts[0] not in ("cli", "workunits", "pk")
        and path.name != "space_names.py"
        for node in texts(ast.parse(path.read_text(encoding="utf-8")))
        for option in (f"{each} " for each in parser()._option_string_actions if len(each) > 2)
        if option in f"{node.value} " and "python -m" not in node.value
    ]
    assert found == []


def texts(tree: ast.Module) -> list[ast.Constant]:
    """Return all texts of a module except docstrings."""
    nodes = list(ast.walk(tree))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    return [
        node
        for node in nodes
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
    ]

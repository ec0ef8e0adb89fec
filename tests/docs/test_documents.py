"""The documentation against the code: its Python runs, its commands parse, its records exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import kkspdnn
from kkspdnn.cli.commands import COMMANDS
from kkspdnn.io.json_schema import decode, read_json
from kkspdnn.records.result_table import result_table
from kkspdnn.records.run import Record
from tests.command_lines import parse

ROOT = Path(kkspdnn.__file__).parents[1]
PAGES = [
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "docs" / "adr").glob("*.md"),
    *(ROOT / "bench").glob("*.md"),
    ROOT / "examples" / "README.md",
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"(?:^|`)((?:python -m )?kkspdnn(?: [^`\n#|>]*)?)", re.MULTILINE)
_SAMPLE = re.compile(r"^<!-- printed from (\S+) -->\n```\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_OPTIONAL = ("torch", "mpi4py")
"""Packages that examples import and that may be missing."""


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in a language."""
    return [text for name, text in _BLOCK.findall(page.read_text("utf-8")) if name == language]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def pages_with_python() -> list[Path]:
    """The commands of the tutorial write files that its Python reads: it has a test of its own."""
    return [page for page in PAGES if blocks(page, "python") and page.stem != "tutorial"]


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with_python(), ids=name_of)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    """All blocks of a page in order, as one script; a workunit needs a file for its source."""
    text = "\n".join(blocks(page, "python"))
    for package in _OPTIONAL:
        if re.search(rf"^(import|from) {package}\b", text, re.MULTILINE) and not find_spec(package):
            pytest.skip(f"no {package}: pip install {package}")
    script = tmp_path / "page.py"
    script.write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{text}", "utf-8")
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def commands(page: Path) -> list[list[str]]:
    """The arguments of each kkspdnn command in a page."""
    text = page.read_text("utf-8")
    shell = "\n".join([*blocks(page, "sh"), *re.findall(r"`[^`\n]+`", _BLOCK.sub("", text))])
    found = [line.removeprefix("python -m ") for line in _COMMAND.findall(shell)]
    return [shlex.split(line)[1:] for line in found if "…" not in line]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name_of)
def test_the_commands_of_a_page_parse(page: Path) -> None:
    for given in commands(page):
        words = ["1024" if word in ("N", "L") else word for word in given]
        if words in ([name] for name in COMMANDS) or "--help" in words:
            continue  # the text names the command
        parse(words)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_files_and_names_of_a_page_exist(page: Path) -> None:
    text = _BLOCK.sub("", page.read_text("utf-8"))
    folders = "kkspdnn|bench|docs|tests|workunits|examples|plots"
    paths = re.findall(rf"`((?:{folders})/[\w./-]*)`", text)
    missing = [path for path in paths if "FILE" not in path and not (ROOT / path).exists()]
    assert missing == []
    for name in re.findall(r"`(kkspdnn(?:\.\w+)+)`", text):
        assert exists(name), name


def exists(name: str) -> bool:
    """Whether a dotted name is a module or the attribute of one."""
    module, _, attribute = name.rpartition(".")
    try:
        return hasattr(import_module(module), attribute) or find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_samples_are_the_tables_of_their_records() -> None:
    """A block below `<!-- printed from RECORD -->` has lines of the table of that record."""
    samples = [match for page in PAGES for match in _SAMPLE.findall(page.read_text("utf-8"))]
    assert len(samples) == 2
    for name, text in samples:
        record = decode(Record, read_json(ROOT / name), name, strict=False)
        assert [line for line in text.splitlines() if line not in result_table(record)] == []


def test_a_page_is_in_the_navigation() -> None:
    """MkDocs warns too, but it is not a part of every environment."""
    nav = (ROOT / "mkdocs.yml").read_text("utf-8").partition("nav:")[2]
    assert [name_of(page) for page in PAGES if name_of(page) not in nav] == []

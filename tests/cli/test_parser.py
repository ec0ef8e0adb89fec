"""The parser of all commands: one-line errors with the word that was probably meant."""

from __future__ import annotations

import pytest

from kkspdnn.cli.parser import Parser


@pytest.fixture
def parser() -> Parser:
    parser = Parser(prog="kkspdnn test", examples=["kkspdnn test --threads 2"])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--kernel", choices=("fused", "spgemm"))
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("word", nargs="?")
    return parser


def error(parser: Parser, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as exited:
        parser.parse_args(words)
    assert exited.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--thread", "2"], "unknown option --thread (did you mean --threads?)"),
        (["--kernle=fused"], "unknown option --kernle (did you mean --kernel?)"),
        (["x", "--frob"], "unknown option --frob"),
        (["--\x1b[1mfrob\a"], "unknown option --frob"),
        (["-x"], "unknown option -x"),
        (["x", "y"], "unexpected argument 'y'"),
        (["x", "--", "y"], "unexpected argument 'y'"),
        (
            ["--kernel", "fusd"],
            "argument --kernel: invalid choice: 'fusd' (did you mean fused?); choose one of "
            "fused, spgemm",
        ),
        (
            ["--kernel", "dense"],
            "argument --kernel: invalid choice: 'dense'; choose one of fused, spgemm",
        ),
        (["--threads"], "argument --threads: expected one argument"),
    ],
)
def test_errors(
    parser: Parser, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert error(parser, capsys, *words) == f"kkspdnn: {message}; see kkspdnn test --help\n"


def test_a_quiet_parser_reports_nothing(parser: Parser, capsys: pytest.CaptureFixture[str]) -> None:
    parser.quiet = True
    assert error(parser, capsys, "--frob") == ""


def test_a_word_after_two_dashes_is_no_option(parser: Parser) -> None:
    assert parser.parse_args(["--", "--frob"]).word == "--frob"


def test_the_help_wraps_text_and_keeps_examples() -> None:
    parser = Parser(prog="p", description="word " * 40, examples=["p " + "x" * 90, "p y"])
    lines = parser.format_help().splitlines()
    assert max(len(line) for line in lines if "word" in line) <= 80
    assert lines[-3:] == ["examples:", "  p " + "x" * 90, "  p y"]


def test_subparsers_name_unknown_options(capsys: pytest.CaptureFixture[str]) -> None:
    root = Parser(prog="kkspdnn test")
    root.add_subparsers(required=True).add_parser("one").add_argument("--out")
    assert root.parse_args(["one", "--out", "x"]).out == "x"
    assert "unknown option --ot" in error(root, capsys, "one", "--ot")

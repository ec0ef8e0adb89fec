"""`python -m bench.gpu times`: time whole networks and write the record of the median run."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from statistics import median_low
from time import perf_counter

import kkspdnn as kk
from bench.gpu.networks import different_weights
from bench.gpu.steps import record_label
from kkspdnn.choices import SpaceName
from kkspdnn.cli.problem import Problem, load_problem
from kkspdnn.errors import InputError

_ROWS = 60_000
_SMALL_ROWS = 600
_RESULTS = Path(__file__).parents[1] / "results"


@dataclass(frozen=True)
class Case:
    """A network, and the options and number of its runs.

    different: random weights instead of equal ones, see `different_weights`
    rows: input rows; 0 means the default
    """

    neurons: int
    layers: int
    exits: str = "all"
    kernel: str = "fused"
    fold: bool = False
    runs: int = 5
    different: bool = False
    rows: int = 0

    @classmethod
    def parse(cls, text: str) -> Case:
        """Parse a text such as 1024-120:dead:fold:spgemm:x5 or 1024-120:different:r500."""
        size, *words = text.split(":")
        numbers = re.fullmatch(r"([1-9][0-9]{0,6})-([1-9][0-9]{0,6})", size)
        if numbers is None:
            raise InputError(f"case {text!r}: must begin with NEURONS-LAYERS, such as 1024-120")
        case = cls(int(numbers[1]), int(numbers[2]))
        for word in words:
            if word in ("all", "dead", "none"):
                case = replace(case, exits=word)
            elif word == "spgemm":
                case = replace(case, kernel=word)
            elif word == "fold":
                case = replace(case, fold=True)
            elif word == "different":
                case = replace(case, different=True)
            elif re.fullmatch(r"r[1-9][0-9]{0,6}", word):
                case = replace(case, rows=int(word[1:]))
            elif re.fullmatch(r"x[1-9][0-9]{0,2}", word):
                case = replace(case, runs=int(word[1:]))
            else:
                raise InputError(
                    f"case {text!r}: {word!r} is none of all, dead, none, fold, spgemm, "
                    "different, rROWS, xRUNS"
                )
        return case

    def name(self, label: str) -> str:
        """Return the file name of the record, without .json."""
        words = [f"{self.neurons}-{self.layers}-{label}"]
        words += [self.exits] if self.exits != "all" else []
        words += [self.kernel] if self.kernel != "fused" else []
        words += ["fold"] if self.fold else []
        words += ["different"] if self.different else []
        words += [f"{self.rows}-rows"] if self.rows else []
        return "-".join(words)


def command(arguments: argparse.Namespace) -> int:
    """Return 1 if a run fails, or its categories differ from those of the record of a CPU."""
    cases = [Case.parse(text) for text in arguments.cases]
    rows = _SMALL_ROWS if arguments.small else _ROWS
    label, failed = record_label(arguments.space), False
    load = lru_cache(maxsize=1)(_load)  # two large networks do not fit into memory
    for case in cases:
        try:
            problem = load(case.neurons, case.layers, case.rows or rows, case.different)
            records = _runs(case, problem, arguments.space)
        except Exception as error:
            failed = True
            message = str(error).partition("\n")[0]
            print(f"FAIL {case.name(label)}: {type(error).__name__}: {message}", flush=True)
            continue
        chosen = _median(records)
        same = _as_recorded(case, chosen)
        failed = failed or same is False
        print(_line(case, records, chosen, same, label), flush=True)
        if arguments.records is not None:
            words = ["python", "-m", "bench.gpu", "times", "--space", arguments.space]
            record = replace(chosen, command=shlex.join([*words, *arguments.cases]))
            path = arguments.records / f"{case.name(label)}.json"
            path.write_text(record.to_json(), encoding="utf-8")
    return 1 if failed else 0


def _load(neurons: int, layers: int, rows: int, different: bool) -> Problem:
    begun = perf_counter()
    problem = load_problem(neurons=neurons, layers=layers, inputs=rows)
    if different:
        problem = replace(problem, network=different_weights(neurons, layers))
    print(f"{neurons} x {layers}: generated in {perf_counter() - begun:.1f} s", flush=True)
    return problem


def _runs(case: Case, problem: Problem, space: SpaceName) -> list[kk.Record]:
    """Return the records of the runs; the first one includes compiling and allocation."""
    return [
        kk.infer(
            problem.network,
            problem.inputs,
            space=space,
            exits=case.exits,  # type: ignore[arg-type]
            kernel=case.kernel,  # type: ignore[arg-type]
            fold=case.fold,
            tune=False,
            verify="sample" if number == 0 else "none",
        ).record
        for number in range(case.runs)
    ]


def _median(records: Sequence[kk.Record]) -> kk.Record:
    """Return the record of the run with the median time, with the verification of the first run."""
    middle = median_low(record.inference_seconds for record in records)
    chosen = next(record for record in records if record.inference_seconds == middle)
    return replace(chosen, verified=records[0].verified)


def _as_recorded(case: Case, record: kk.Record) -> bool | None:
    """Whether the categories equal those of a CPU record; None if there is no such record."""
    for path in sorted(_RESULTS.glob(f"{case.neurons}-{case.layers}-openmp*.json")):
        on_cpu = json.loads(path.read_text(encoding="utf-8"))
        if (on_cpu["inputs"], on_cpu["network"]) == (record.inputs, record.network):
            return bool(on_cpu["categories_sha256"] == record.categories_sha256)
    return None


def _line(
    case: Case, records: Sequence[kk.Record], chosen: kk.Record, same: bool | None, label: str
) -> str:
    seconds = [record.inference_seconds for record in records]
    rate = chosen.edges_multiplied / chosen.inference_seconds
    verdict = {True: "same as on a CPU", False: "FAIL: NOT as on a CPU", None: "no record of a CPU"}
    return (
        f"{case.name(label):<32} {chosen.inference_seconds * 1e3:9.2f} ms "
        f"(first {seconds[0] * 1e3:.2f}, min {min(seconds) * 1e3:.2f}), "
        f"{chosen.edges_per_second:.3g} edges/s, {rate:.3g} computed, "
        f"setup {chosen.prepare_seconds:.2f} s; {chosen.categories} categories, {verdict[same]}; "
        f"verified: {records[0].verified.passed}"
    )

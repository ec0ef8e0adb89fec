"""The options of `python -m kkspdnn run`, the command that is meant if none is named."""

from __future__ import annotations

from typing import NoReturn

from kkspdnn.choices import EPILOGUES, KERNEL_OPTIONS, PARALLEL, VERIFY
from kkspdnn.cli.commands import COMMANDS
from kkspdnn.cli.options import ProblemParser, add_engine_options, add_problem_options
from kkspdnn.cli.parser import Parser, add_version_option, file_path, positive_int
from kkspdnn.cli.text_outputs import output_path


class _RunParser(ProblemParser):
    def refuse_argument(self, word: str) -> NoReturn:
        if word in COMMANDS:
            self.error(f"{word} must come first: kkspdnn {word} …")
        super().refuse_argument(word)


def parser(quiet: bool = False) -> Parser:
    """Return the parser of `python -m kkspdnn run`.

    quiet: report no errors, for MPI ranks above 0
    """
    options = _RunParser(
        prog="kkspdnn run",
        usage="kkspdnn run [OPTION ...]",
        description="Run a network on input rows, and print the times, the rates and the "
        "verification. Without options: the network of the Sparse DNN Graph Challenge with 1,024 "
        "neurons and 120 layers, on 60,000 images. `run` may be left out.",
        examples=[
            "kkspdnn run --space openmp --neurons 4096 --layers 120",
            "kkspdnn run --data my-network --rows rows.npy --outputs y.npy",
            "mpiexec -n 4 kkspdnn run --data challenge --json record.json",
        ],
    )
    options.quiet = quiet
    add_problem_options(options)
    _add_engine_options(options)
    _add_measurement_and_check_options(options)
    _add_output_options(options)
    _add_mpi_options(options)
    add_version_option(options)
    return options


def _add_engine_options(options: Parser) -> None:
    engine = options.add_argument_group("engine")
    add_engine_options(engine)
    add = engine.add_argument
    kernel = (
        "fused: layers on tiles of rows; spgemm: SpGEMM; auto: SpGEMM on a CPU if the activations "
        "are sparse, otherwise fused (fused)"
    )
    add("--kernel", choices=KERNEL_OPTIONS, default="fused", help=kernel)
    epilogue = (
        "bias and ReLU of --kernel spgemm: fused: in the SpGEMM workunit; separate: as workunits "
        "of their own, as always on a GPU (fused)"
    )
    add("--epilogue", choices=EPILOGUES, default="fused", help=epilogue)
    fold = "neuron merging: compute equal neurons of a layer once"
    add("--fold", action="store_true", help=fold)
    tune = "take the default launch parameters, also if `kkspdnn tune` kept others"
    add("--no-tune", action="store_false", dest="tune", help=tune)


def _add_measurement_and_check_options(options: Parser) -> None:
    verify = "rows to compare with the serial reference (sample)"
    measurement = options.add_argument_group("measurement")
    repeat = (
        "compute the rows N times in this run; the rates are those of the median time, and the "
        "record has all times (1)"
    )
    measurement.add_argument("--repeat", type=positive_int, default=1, metavar="N", help=repeat)
    options.add_argument_group("checks").add_argument(
        "--verify", choices=VERIFY, default="sample", help=verify
    )


def _add_output_options(options: Parser) -> None:
    output = options.add_argument_group("output")
    add = output.add_argument
    record = "write the record of the run; -: to standard output, and the table to standard error"
    add("--json", type=output_path, metavar="FILE", help=record)
    categories = "write the list of categories; -: to standard output, as --json"
    add("--categories", type=output_path, metavar="FILE", help=categories)
    outputs = "write the activations after the last layer: dense .npy or sparse .npz"
    add("--outputs", type=file_path, metavar="FILE", help=outputs)
    published = "also print published rates of other implementations on other machines"
    add("--published", action="store_true", help=published)
    either = output.add_mutually_exclusive_group()
    verbose = (
        "also print the times of launches by kernel and by layer to standard error, and with -vv "
        "each launch; each launch waits for the device; with MPI: those of the first rank"
    )
    either.add_argument("-v", "--verbose", action="count", default=0, help=verbose)
    quiet = "print no table and no progress bar"
    either.add_argument("--quiet", action="store_true", help=quiet)


def _add_mpi_options(options: Parser) -> None:
    add = options.add_argument_group("MPI and checkpoints").add_argument
    parallel = (
        "distribution over MPI ranks: data: input rows; pipeline: layers; auto: data if the layers "
        "fit into memory (auto)"
    )
    add("--parallel", choices=PARALLEL, default="auto", help=parallel)
    checkpoint = "folder for the results of finished row shards; the same command resumes"
    add("--checkpoint", type=file_path, metavar="DIR", help=checkpoint)

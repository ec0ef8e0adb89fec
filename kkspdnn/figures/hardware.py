"""The machines of records: CPUs and GPUs, with short names for figures."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kkspdnn.units import plural

_NOISE = re.compile(r"\((?:R|TM|C)\)|\b(?:CPU|Processor)\b|@\s*[0-9.]+\s*GHz", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Machine:
    """A CPU or a GPU. CPUs are sorted before GPUs.

    name: of the processor with its number of cores, or of the GPU
    """

    is_gpu: bool
    name: str

    @property
    def short_name(self) -> str:
        """The name without trademarks and the like, such as "Intel Xeon, 2 cores"."""
        words = re.sub(r"\s+", " ", _NOISE.sub(" ", self.name))
        return re.sub(r"\s+,", ",", words).strip()


@dataclass(frozen=True, order=True)
class Hardware:
    """A machine and the number of CPU threads of all MPI ranks; 0 threads on a GPU."""

    machine: Machine
    threads: int

    @property
    def title(self) -> str:
        """The short name of the machine, and the number of threads on a CPU."""
        if self.machine.is_gpu:
            return self.machine.short_name
        return f"{self.machine.short_name}, {plural(self.threads, 'thread')}"


def make_hardware(machine: str, threads: int, gpu: str | None = None, gpus: int = 1) -> Hardware:
    """Return the hardware of a measurement.

    machine, threads: of the CPU
    gpu: as in a record, "NAME, DRIVER; NAME, DRIVER"; None if the measurement is of the CPU
    gpus: the number of GPUs that the measurement used
    """
    if gpu is None:
        return Hardware(Machine(False, machine), threads)
    name = re.split("[,;]", gpu)[0].strip()
    return Hardware(Machine(True, name if gpus == 1 else f"{gpus} x {name}"), 0)


def single_threaded(threads: Iterable[tuple[str, int]]) -> str:
    """Return a clause with the implementations of one thread, if others have more.

    threads: labels of implementations and their numbers of threads
    """
    found = list(threads)
    names = sorted({label.partition(",")[0] for label, number in found if number == 1})
    has_more = any(number > 1 for _, number in found)
    return f"; 1 thread: {', '.join(names)}" if names and has_more else ""


def most_threads(found: Iterable[Hardware]) -> list[Hardware]:
    """Return each machine once, with its largest number of threads: CPUs first, by name."""
    best = {each.machine: each for each in sorted(found)}
    return list(best.values())

"""The allowed values of the options and parameters that are a choice. Imports no NumPy."""

from typing import Literal, get_args

SpaceName = Literal["serial", "openmp", "cuda"]
SPACES: tuple[SpaceName, ...] = get_args(SpaceName)
Kernel = Literal["fused", "spgemm"]
KERNELS: tuple[Kernel, ...] = get_args(Kernel)
KernelOption = Literal["fused", "spgemm", "auto"]
KERNEL_OPTIONS: tuple[KernelOption, ...] = get_args(KernelOption)
Exits = Literal["none", "dead", "all"]
EXITS: tuple[Exits, ...] = get_args(Exits)
Epilogue = Literal["fused", "separate"]
EPILOGUES: tuple[Epilogue, ...] = get_args(Epilogue)
Verify = Literal["none", "sample", "full"]
VERIFY: tuple[Verify, ...] = get_args(Verify)
Parallel = Literal["auto", "data", "pipeline"]
PARALLEL: tuple[Parallel, ...] = get_args(Parallel)
Method = Literal["balanced", "unstructured", "block"]
METHODS: tuple[Method, ...] = get_args(Method)
GroupOutputs = Literal["none", "distinct", "all"]
GROUP_OUTPUTS: tuple[GroupOutputs, ...] = get_args(GroupOutputs)
DTYPES = ("float32", "float64")

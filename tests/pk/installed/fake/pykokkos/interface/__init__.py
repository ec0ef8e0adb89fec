from enum import Enum


class Layout(Enum):
    LayoutLeft = "Left"
    LayoutRight = "Right"


class MemorySpace(Enum):
    HostSpace = "Host"
    CudaSpace = "Cuda"

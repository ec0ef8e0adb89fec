import os
from pathlib import Path


class CppSetup:
    def __init__(self, module_file, gpu_module_files):
        pass

    def get_kokkos_paths(self, space, compiler):
        lib = Path(os.environ["PK_KOKKOS_LIB_PATH"])
        if not lib.is_dir():
            raise RuntimeError(f"{lib} does not exist")
        return lib, lib.parent / "include", Path(compiler)

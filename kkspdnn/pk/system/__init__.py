"""The machine below the compiler: processor, CUDA driver, processes."""

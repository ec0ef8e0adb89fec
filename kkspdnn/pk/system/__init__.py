"""What the compiler asks of the operating system: processor, CUDA driver, processes, signals."""

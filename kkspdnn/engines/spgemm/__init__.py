"""The SpGEMM engine: sparse times sparse, by columns on a CPU and as CSR on a GPU."""

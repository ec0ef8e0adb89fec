"""Resource use of the CUDA kernels, from their machine code; no GPU is needed.

Registers, spills, and the loads and instructions of the loops over edges.
"""

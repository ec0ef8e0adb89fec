"""What ptxas makes of the fused workunits: registers, spills, and the loads and instructions of
their loops over edges, read from the machine code. No GPU is needed."""

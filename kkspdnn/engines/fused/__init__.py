"""The fused engine: SpGEMM, bias and ReLU in one workunit, on tiles of input rows."""

"""The fused engine: product, bias and ReLU of a layer in one kernel, on tiles of input rows."""

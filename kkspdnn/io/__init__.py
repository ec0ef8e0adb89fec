"""File formats: the challenge, NumPy and SciPy, MNIST, PyTorch and safetensors."""

"""File formats: the challenge's text files, NumPy, SciPy, MNIST, PyTorch and safetensors."""

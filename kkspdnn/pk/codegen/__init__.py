"""Code generation: from typed IR to C++."""

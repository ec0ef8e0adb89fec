"""Networks, layers and input rows, and what changes them."""

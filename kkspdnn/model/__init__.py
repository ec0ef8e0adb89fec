"""Networks, layers and input rows, and transformations of networks."""

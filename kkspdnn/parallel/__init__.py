"""Past one process: the ranks of an MPI run, what they share, and who computes what.

Nothing of MPI is imported until a launcher such as mpiexec is seen or a communicator is given.
"""

"""Runs on several MPI ranks: communication, the division of work, and checkpoints.

mpi4py is imported only if a launcher such as mpiexec started the process, or a communicator is
passed in.
"""

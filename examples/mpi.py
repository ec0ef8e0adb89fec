"""Share the input rows among MPI ranks.

    mpiexec -n 2 python -m mpi4py examples/mpi.py

`python -m mpi4py` ends all ranks if one of them fails. `pip install mpi4py mpich` installs mpi4py
and an MPI for one machine; on a cluster, build mpi4py for the cluster's MPI.
"""

from mpi4py import MPI

import kkspdnn as kk


def main() -> None:
    """Every rank calls `infer` with the same arguments and gets all categories."""
    comm = MPI.COMM_WORLD
    network = kk.radixnet(neurons=1024, layers=120)
    rows = kk.images(1024)

    # The ranks of a node divide its cores among themselves unless OMP_NUM_THREADS is set.
    result = kk.infer(network, rows, space="openmp", comm=comm)

    if comm.rank == 0:
        print(f"{result.categories.size:,} categories from {comm.size} ranks")
        for load in result.record.loads:
            print(f"rank {load.rank} on {load.host}: {load.rows:,} rows, {load.seconds:.3f} s")


if __name__ == "__main__":
    main()

#!/usr/bin/env bash
# kkspdnn on CPU nodes: one rank per socket, one thread per core.
#
#   sbatch --nodes=20 bench/slurm/cpu.sh --neurons 65536 --layers 1920 --data /scratch/challenge
#
# The arguments are options of `python -m kkspdnn`. Submit the job from the environment in which
# kkspdnn is installed. It needs an mpi4py that was built for the MPI of the cluster:
# MPI4PY_BUILD_MPICC=mpicc pip install --no-binary mpi4py mpi4py
#SBATCH --job-name=kkspdnn
#SBATCH --nodes=2
#SBATCH --exclusive
#SBATCH --ntasks-per-node=2
#SBATCH --time=00:30:00
set -euo pipefail

results=${KKSPDNN_RESULTS:-$PWD}
# A cache in a shared file system: nodes with the same processor use the files that one of them
# compiled.
export KKSPDNN_CACHE=${KKSPDNN_CACHE:-$HOME/.cache/kkspdnn}

# Compile Kokkos and the workunits once, before all nodes need them.
srun --nodes=1 --ntasks=1 python -m kkspdnn compile --space openmp

# --cpus-per-task binds each rank to its cores; without it, kkspdnn distributes the cores of a node.
# With a checkpoint, the same command continues after a time limit.
srun --mpi="${KKSPDNN_MPI:-pmix}" --cpus-per-task=$((SLURM_CPUS_ON_NODE / 2)) \
  python -m kkspdnn --space openmp \
  --json "$results/kkspdnn-$SLURM_JOB_ID.json" --checkpoint "$results/checkpoint" "$@"

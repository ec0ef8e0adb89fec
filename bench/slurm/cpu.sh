#!/usr/bin/env bash
# kkspdnn on CPU nodes: one rank a socket, a thread a core.
#
#   sbatch --nodes=20 bench/slurm/cpu.sh --neurons 65536 --layers 1920 --data /scratch/challenge
#
# What follows the script's name are options of `python -m kkspdnn`. The environment in which kkspdnn
# is installed is active when the job is submitted, with an mpi4py that was built for the cluster's
# MPI: MPI4PY_BUILD_MPICC=mpicc pip install --no-binary mpi4py mpi4py
#SBATCH --job-name=kkspdnn
#SBATCH --nodes=2
#SBATCH --exclusive
#SBATCH --ntasks-per-node=2
#SBATCH --time=00:30:00
set -euo pipefail

results=${KKSPDNN_RESULTS:-$PWD}
# Every node has to see the cache: what one node compiles, nodes with the same processor find there.
export KKSPDNN_CACHE=${KKSPDNN_CACHE:-$HOME/.cache/kkspdnn}

# Kokkos and the workunits, once, before many nodes ask for them.
srun --nodes=1 --ntasks=1 python -m kkspdnn compile --space openmp

# --cpus-per-task gives each rank its cores; without it ranks of a node part the cores themselves.
# A checkpoint makes it safe to submit the same command again after a time limit.
srun --mpi="${KKSPDNN_MPI:-pmix}" --cpus-per-task=$((SLURM_CPUS_ON_NODE / 2)) \
  python -m kkspdnn --space openmp \
  --json "$results/kkspdnn-$SLURM_JOB_ID.json" --checkpoint "$results/checkpoint" "$@"

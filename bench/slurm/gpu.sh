#!/usr/bin/env bash
# kkspdnn on GPU nodes: one rank a GPU.
#
#   sbatch --nodes=4 --gpus-per-node=4 --ntasks-per-node=4 bench/slurm/gpu.sh --neurons 65536
#
# What follows the script's name are options of `python -m kkspdnn`. See cpu.sh for mpi4py; the
# environment has `kkspdnn[cuda]` as well, or CuPy and an nvcc of the cluster.
#SBATCH --job-name=kkspdnn-gpu
#SBATCH --nodes=1
#SBATCH --gpus-per-node=4
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=00:30:00
set -euo pipefail

results=${KKSPDNN_RESULTS:-$PWD}
export KKSPDNN_CACHE=${KKSPDNN_CACHE:-$HOME/.cache/kkspdnn}

# The architecture of the node's first GPU, such as sm_90.
arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .)
srun --nodes=1 --ntasks=1 python -m kkspdnn compile --space cuda --arch "sm_$arch"

# Ranks of a node take its GPUs in turn. With --gpus-per-task each would see one GPU only: that
# works as well, but GPUs could then not reach each other's memory for MPI.
srun --mpi="${KKSPDNN_MPI:-pmix}" \
  python -m kkspdnn --space cuda \
  --json "$results/kkspdnn-$SLURM_JOB_ID.json" --checkpoint "$results/checkpoint" "$@"

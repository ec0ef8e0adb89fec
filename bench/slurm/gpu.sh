#!/usr/bin/env bash
# kkspdnn on GPU nodes: one rank per GPU.
#
#   sbatch --nodes=4 --gpus-per-node=4 --ntasks-per-node=4 bench/slurm/gpu.sh --neurons 65536
#
# The arguments are options of `python -m kkspdnn`. See cpu.sh for mpi4py; the environment also
# needs `kkspdnn[cuda]`, or CuPy and the nvcc of the cluster.
#SBATCH --job-name=kkspdnn-gpu
#SBATCH --nodes=1
#SBATCH --gpus-per-node=4
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=00:30:00
set -euo pipefail

results=${KKSPDNN_RESULTS:-$PWD}
export KKSPDNN_CACHE=${KKSPDNN_CACHE:-$HOME/.cache/kkspdnn}

# The architecture of the first GPU of the node, such as sm_90.
arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .)
srun --nodes=1 --ntasks=1 python -m kkspdnn compile --space cuda --arch "sm_$arch"

# The ranks of a node use its GPUs round-robin. With --gpus-per-task each rank sees only one GPU;
# this works too, but MPI cannot copy directly between the memories of the GPUs.
srun --mpi="${KKSPDNN_MPI:-pmix}" \
  python -m kkspdnn --space cuda \
  --json "$results/kkspdnn-$SLURM_JOB_ID.json" --checkpoint "$results/checkpoint" "$@"

#!/usr/bin/env bash
# Trains on a cluster that SLURM runs: one process a node, with all its GPUs.
#
# slurm.sh [FLAGS] -- FLAGS OF vidcolor.train
#
# Submits the batch script that --dry_run prints. Two minutes before its time
# ends, and when it is preempted, training saves; the job is queued again and
# resumes. Run it in the folder that holds the code.
#
#   --job-name=vidcolor
#   --nodes=1
#   --gpus-per-node=8
#   --cpus-per-task=64      for reading data, of each node
#   --time=24:00:00
#   --partition=NAME        SLURM's default if not given
#   --account=NAME          SLURM's default if not given
#   --output=%x-%j.log      where the log goes
#   --python=python         on all nodes: .venv/bin/python and so on
#   --setup=COMMAND         before training, on the first node: module load ...
#   --max-restarts=100      how often the job is queued again
#   --dry_run               prints the batch script and does not submit it
#
# Other options of sbatch: its environment variables, SBATCH_QOS and so on.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

flag=(
  [job_name]=vidcolor [nodes]=1 [gpus_per_node]=8 [cpus_per_task]=64
  [time]=24:00:00 [partition]='' [account]='' [output]=%x-%j.log
  [python]=python [setup]='' [max_restarts]=100 [dry_run]=false
)

batch_script() {
  local name
  echo '#!/usr/bin/env bash'
  for name in job_name nodes gpus_per_node cpus_per_task time partition \
    account output; do
    [[ -z ${flag[$name]} ]] || echo "#SBATCH --${name//_/-}=${flag[$name]}"
  done
  # TERM goes to training, not to this script, which has to queue the job.
  # JAX takes one GPU a process in SLURM unless it is told.
  # Others may still be saving when the first one has ended.
  cat <<EOT
#SBATCH --ntasks-per-node=1
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
${flag[setup]}
set -eu
export JAX_LOCAL_DEVICE_IDS=$(seq -s, 0 $((flag[gpus_per_node] - 1)))
code=0
srun --cpus-per-task=${flag[cpus_per_task]} --wait=300 \\
  $(quote "${flag[python]}" -m vidcolor.train --cluster "${train[@]}") ||
  code=\$?
if [ \$code = $RETRY ] &&
  [ "\${SLURM_RESTART_COUNT:-0}" -lt ${flag[max_restarts]} ]; then
  scontrol requeue "\$SLURM_JOB_ID"
fi
exit \$code
EOT
}

parse_flags "$@"
workdir >/dev/null
need_program sbatch 'log in to a node of the cluster that has SLURM'
if [[ ${flag[dry_run]} == true ]]; then
  batch_script
else
  batch_script | sbatch
fi

#!/usr/bin/env bash
# Trains on Google Kubernetes Engine, by xpk (github.com/AI-Hypercomputer/xpk).
#
# gke.sh COMMAND --cluster=CLUSTER [FLAGS] [-- FLAGS OF vidcolor.train]
#
#   create  queues the training; machines that die are replaced, and it resumes
#   list    what is queued, running and done
#   delete  ends it
#
#   --cluster=CLUSTER       made by `xpk cluster create`
#   --workload=vidcolor     the training's name
#   --project=PROJECT       gcloud's own setting if not given
#   --zone=ZONE             gcloud's own setting if not given
#   --tpu-type=TYPE         v5litepod-256 and so on, or
#   --device-type=TYPE      h100-80gb-8 and so on
#   --num-slices=1          of TPUs
#   --num-nodes=1           of GPUs
#   --spot                  of a cluster that provisions by itself
#   --base-docker-image=IMAGE  the current directory is copied into it, or
#   --docker-image=IMAGE    has the code in its working directory
#   --python=python         in the image
#   --setup=COMMAND         before training, on every machine
#   --mounted=FOLDER        a folder that xpk mounts, and --workdir is in;
#                           without it --workdir is gs://...
#   --max-restarts=100      after machines that died and training that was asked
#                           to save and end
#   --dry_run               prints the command and does not run it

set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

flag=(
  [cluster]='' [workload]=vidcolor [project]='' [zone]='' [tpu_type]=''
  [device_type]='' [num_slices]='' [num_nodes]='' [spot]=false
  [base_docker_image]='' [docker_image]='' [python]=python [setup]=''
  [mounted]='' [max_restarts]=100 [dry_run]=false
)

# xpk VERB FLAGS, with those of ours that have a value and that xpk takes too.
xpk_workload() {
  local name flags=()
  for name in cluster project zone "${passed[@]}"; do
    [[ -z ${flag[$name]} ]] || flags+=("--${name//_/-}=${flag[$name]}")
  done
  run xpk workload "$@" "${flags[@]}"
}

create() {
  local flags=() passed=(
    workload tpu_type device_type num_slices num_nodes base_docker_image
    docker_image max_restarts
  )
  [[ ${flag[tpu_type]}${flag[device_type]} ]] ||
    die '--tpu-type or --device-type is missing: v5litepod-256 and so on'
  [[ ${flag[base_docker_image]}${flag[docker_image]} ]] ||
    die '--base-docker-image or --docker-image is missing: python:3.12 and' \
      'so on'
  need_lasting_workdir
  [[ ${flag[spot]} == false ]] || flags+=(--spot)
  # exec, as xpk hands SIGTERM on to the shell that it starts, not to what that
  # one started. Half a minute of grace, the default, is short for saving.
  xpk_workload create "${flags[@]}" --restart-on-exit-codes="$RETRY" \
    --termination-grace-period-seconds=120 \
    --command="${flag[setup]:+${flag[setup]} && }exec $(quote \
      "${flag[python]}" -m vidcolor.train --cluster "${train[@]}")"
}

list() {
  local passed=()
  xpk_workload list --filter-by-job="${flag[workload]}"
}

delete() {
  local passed=(workload)
  xpk_workload delete --force
}

command=${1---help}
[[ $command == --help ]] || shift
case $command in
  create | list | delete) ;;
  --help) help && exit ;;
  *) die "$command is not a command; see $0 --help" ;;
esac
parse_flags "$@"
need cluster 'the one that xpk cluster create made'
need_program xpk 'pip install xpk'
"$command"

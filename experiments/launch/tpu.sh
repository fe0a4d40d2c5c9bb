#!/usr/bin/env bash
# Trains on a TPU slice of Google Cloud, got as a queued resource.
#
# tpu.sh COMMAND --zone=ZONE [FLAGS] [-- FLAGS OF vidcolor.train]
#
#   create  asks for the slice
#   copy    puts the code on all its machines and installs it
#   run     trains on all of them, here in the foreground
#   watch   does all of these as needed, until training has finished: a slice
#           that was preempted or failed is deleted and asked for again, and
#           training resumes from --workdir
#   delete  gives the slice back
#
#   --name=vidcolor         of the queued resource and of its node
#   --zone=ZONE             where
#   --project=PROJECT       gcloud's own setting if not given
#   --accelerator-type=TYPE v5litepod-8 and so on
#   --runtime-version=NAME  v2-alpha-tpuv5-lite and so on
#   --spot                  cheap, and preempted at any time
#   --create-flags='...'    more flags of `gcloud compute tpus queued-resources
#                           create`, such as --data-disk or --service-account
#   --commit=HEAD           what to copy, of the checkout this file is in ...
#   --git-url=URL           ... or of a repository that the machines can read
#   --jax='jax[tpu]'        what pip installs
#   --setup=COMMAND         for all machines, after the installation: mounts
#   --mounted=FOLDER        a folder that --setup mounts, and --workdir is in;
#                           without it --workdir is gs://...
#   --max-restarts=100      how often watch starts training again
#   --poll-seconds=60       between looks at the slice's state
#   --dry_run               prints the commands and runs none

set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

flag=(
  [name]=vidcolor [zone]='' [project]='' [accelerator_type]=''
  [runtime_version]='' [spot]=false [create_flags]='' [commit]='' [git_url]=''
  [jax]='jax[tpu]' [setup]='' [mounted]='' [max_restarts]=100
  [poll_seconds]=60 [dry_run]=false
)

tpus() {
  local where=(--zone="${flag[zone]}")
  [[ -z ${flag[project]} ]] || where+=(--project="${flag[project]}")
  run gcloud compute tpus "$@" "${where[@]}"
}

create() {
  local flags=()
  read -ra flags <<<"${flag[create_flags]}"
  [[ ${flag[spot]} == false ]] || flags+=(--spot)
  tpus queued-resources create "${flag[name]}" --node-id="${flag[name]}" \
    --accelerator-type="${flag[accelerator_type]}" \
    --runtime-version="${flag[runtime_version]}" "${flags[@]}"
}

delete() {
  tpus queued-resources delete "${flag[name]}" --force --quiet
}

# By `tpu-vm ssh`, as that of `queued-resources` waits for 64 machines to end
# before it starts the next ones. A machine that is gone does not hang up.
on_machines() {
  tpus tpu-vm ssh "${flag[name]}" --worker=all --command="$1" \
    --ssh-flag=-oServerAliveInterval=30 --ssh-flag=-oConnectTimeout=30
}

send() {
  tpus tpu-vm scp "$1" "${flag[name]}:$2" --worker=all
}

# Training whose connection broke still holds the chips, so it is ended first
# (and saves).
run_training() {
  on_machines "cd vidcolor || exit;\
 if pkill -F train.pid -f vidcolor.train 2>/dev/null; then\
 while pgrep -F train.pid -f vidcolor.train >/dev/null; do sleep 1; done; fi;\
 echo \$\$ >train.pid;\
 exec $(quote .venv/bin/python -m vidcolor.train --cluster "${train[@]}")"
}

describe() {
  tpus "$1" describe "${flag[name]}" --format="value($2)" 2>&1
}

# The queued resource's state; its node's once that is ACTIVE, as it is the node
# that is preempted first.
slice_state() {
  local output
  if output=$(describe queued-resources state.state) &&
    { [[ ${output##*$'\n'} != ACTIVE ]] || output=$(describe tpu-vm state); }
  then
    printf '%s' "${output##*$'\n'}"
  elif [[ $output == *NOT_FOUND* ]]; then
    printf 'NOT_FOUND'
  else
    printf '%s\n' "$output" >&2
    printf 'UNKNOWN'
  fi
}

watch() {
  local state last='' code restarts=-1 copied=false
  while true; do
    state=$(slice_state)
    [[ $state == "$last" ]] || say "${flag[name]} is $state"
    last=$state
    case $state in
      NOT_FOUND)
        copied=false
        create || say 'not created; trying again'
        ;;
      PREEMPTED | TERMINATED | SUSPENDED | FAILED)
        copied=false
        { delete && create; } || say 'not created again; trying again'
        ;;
      READY)
        ((++restarts <= flag[max_restarts])) ||
          die "training was started ${flag[max_restarts]} times again;" \
            '--max-restarts allows more'
        code=0
        { { $copied || copy; } && copied=true && run_training; } || code=$?
        if ((code == 0)); then
          say "finished; $0 delete gives the slice back"
          return
        fi
        say "training ended with $code"
        sleep "${flag[poll_seconds]}"
        # Of 128 and more a signal or a lost connection was the reason.
        if ((code != RETRY && code < 128)) && [[ $(slice_state) == READY ]]
        then
          say 'the slice is well, so it is not run again'
          return "$code"
        fi
        continue
        ;;
    esac
    sleep "${flag[poll_seconds]}"
  done
}

# One round, as what follows depends on what the slice does.
print_watch() {
  describe queued-resources state.state
  describe tpu-vm state
  echo '# Not there yet:'
  create
  echo '# Ready:'
  copy
  run_training
  echo '# Preempted or failed:'
  delete
  create
}

command=${1---help}
[[ $command == --help ]] || shift
case $command in
  create | copy | run | watch | delete) ;;
  --help) help && exit ;;
  *) die "$command is not a command; see $0 --help" ;;
esac
parse_flags "$@"
need zone 'where the slice is, us-west4-a and so on'
if [[ $command == create || $command == watch ]]; then
  need accelerator_type 'v5litepod-8 and so on'
  need runtime_version 'v2-alpha-tpuv5-lite and so on'
fi
if [[ $command == run || $command == watch ]]; then
  need_lasting_workdir
fi
need_program gcloud https://cloud.google.com/sdk
if [[ $command == copy || $command == watch ]]; then
  pin_commit
fi
case $command in
  run) run_training ;;
  watch) if [[ ${flag[dry_run]} == true ]]; then print_watch; else watch; fi ;;
  *) "$command" ;;
esac

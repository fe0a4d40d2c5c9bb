#!/usr/bin/env bash
# Trains on all GPUs of one machine: this one, or one that ssh reaches.
#
# gpu.sh COMMAND [FLAGS] [-- FLAGS OF vidcolor.train]
#
#   run     here, in the foreground; again whenever training saved and ended
#           because it was asked to
#   copy    puts the code on --host and installs it
#   start   run on --host, in the background: the connection may break
#   log     what it says
#   stop    ends it; it saves
#
#   --host=HOST             as ssh knows it
#   --commit=HEAD           what to copy, of the checkout this file is in ...
#   --git-url=URL           ... or of a repository that the machine can read
#   --jax='jax[cuda13]'     what pip installs
#   --setup=COMMAND         there, after the installation: mounts
#   --python=python         for run
#   --max-restarts=100      how often run starts training again
#   --wait-seconds=10       before it does
#   --dry_run               prints the commands and runs none

set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

flag=(
  [host]='' [commit]='' [git_url]='' [jax]='jax[cuda13]' [setup]=''
  [python]=python [max_restarts]=100 [wait_seconds]=10 [dry_run]=false
)

# Trains until it ends for another reason than that it was asked to. Being asked
# itself it asks training, and ends with it.
run_here() {
  local code restarts=0 child='' stopped=false
  trap 'stopped=true; [[ -z $child ]] || kill "$child" || true' TERM INT
  while true; do
    "${flag[python]}" -m vidcolor.train "${train[@]}" &
    child=$!
    code=0
    wait "$child" || code=$?
    if $stopped; then  # The signal ended the wait, not training.
      code=0
      wait "$child" || code=$?
    fi
    ((code == RETRY)) && ! $stopped || exit "$code"
    ((++restarts <= flag[max_restarts])) ||
      die "training was started ${flag[max_restarts]} times again;" \
        '--max-restarts allows more'
    say 'training saved and ended; it goes on'
    sleep "${flag[wait_seconds]}" &
    wait "$!" || exit "$RETRY"
  done
}

on_machines() {
  run ssh "${flag[host]}" "$1"
}

send() {
  run scp "$1" "${flag[host]}:$2"
}

start() {
  on_machines "cd vidcolor || exit;\
 if pgrep -F train.pid -f gpu.sh >/dev/null 2>&1; then\
 echo 'error: it trains already; gpu.sh stop ends that' >&2; exit 2; fi;\
 nohup $(quote bash experiments/launch/gpu.sh run --python=.venv/bin/python \
   --max-restarts="${flag[max_restarts]}" \
   --wait-seconds="${flag[wait_seconds]}" -- "${train[@]}")\
 >>train.log 2>&1 </dev/null & echo \$! >train.pid"
}

command=${1---help}
[[ $command == --help ]] || shift
case $command in
  run | copy | start | log | stop) ;;
  --help) help && exit ;;
  *) die "$command is not a command; see $0 --help" ;;
esac
parse_flags "$@"
if [[ $command == run || $command == start ]]; then
  workdir >/dev/null
fi
if [[ $command != run ]]; then
  need host 'the machine, as ssh knows it'
  need_program ssh 'the OpenSSH client'
fi
case $command in
  run)
    if [[ ${flag[dry_run]} == true ]]; then
      run "${flag[python]}" -m vidcolor.train "${train[@]}"
    else
      need_program "${flag[python]}" '--python=PYTHON'
      run_here
    fi
    ;;
  copy) pin_commit && copy ;;
  start) start ;;
  log) on_machines 'tail -n 100 -F vidcolor/train.log' ;;
  stop) on_machines 'pkill -F vidcolor/train.pid -f gpu.sh' ;;
esac

# shellcheck shell=bash
# Sourced by the launchers: flags, and commands that are printed or run.

# Older ones have no associative arrays, or mind empty ones.
if ((BASH_VERSINFO[0] < 5)); then
  echo 'error: this needs bash 5 (on macOS: brew install bash)' >&2
  exit 2
fi

# shellcheck disable=SC2034
readonly RETRY=75  # EX_TEMPFAIL: saved; the same line again goes on from there.

declare -A flag=()  # What a launcher takes, with defaults; it fills this first.
train=()            # What goes to vidcolor.train.

die() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

say() {
  printf '%s %s\n' "$(date -u +%FT%TZ)" "$*" >&2
}

# The comment that a launcher begins with.
help() {
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
}

# parse_flags --NAME=VALUE... -- TRAIN...: sets flag[NAME], and train.
# --accelerator-type and --accelerator_type are the same flag.
parse_flags() {
  local name
  while (($#)); do
    case $1 in
      --) train=("${@:2}") && return ;;
      --help) help && exit ;;
      --*) ;;
      *) die "$1 is not a flag; what is for vidcolor.train follows --" ;;
    esac
    name=${1#--}
    name=${name%%=*}
    name=${name//-/_}
    [[ $name =~ ^[a-z_]+$ && -v flag[$name] ]] ||
      die "--$name is not a flag here; what is for vidcolor.train follows --"
    if [[ $1 == *=* ]]; then
      flag[$name]=${1#*=}
    elif [[ ${flag[$name]} == false ]]; then
      flag[$name]=true
    else
      die "$1 needs a value: $1=VALUE"
    fi
    shift
  done
}

# need NAME HINT: ends in one line if a flag was not given.
need() {
  [[ ${flag[$1]} ]] || die "--${1//_/-} is missing: $2"
}

# need_program NAME WHERE: ends in one line if it is not installed.
need_program() {
  [[ ${flag[dry_run]} == true ]] || command -v "$1" >/dev/null ||
    die "$1 is not installed, or not on PATH: $2"
}

# The words as one line, from which a shell reads the same words.
quote() {
  local line
  printf -v line '%q ' "$@"
  printf '%s' "${line% }"
}

# Runs the words as a command, or with --dry_run prints it.
run() {
  if [[ ${flag[dry_run]} == true ]]; then
    printf '%s\n' "$(quote "$@")"
  else
    "$@"
  fi
}

# The --workdir that vidcolor.train gets.
workdir() {
  local i dir=''
  for ((i = 0; i < ${#train[@]}; i++)); do
    case ${train[i]} in
      --workdir=*) dir=${train[i]#*=} ;;
      --workdir) dir=${train[i + 1]-} ;;
    esac
  done
  [[ $dir ]] || die 'vidcolor.train needs --workdir=DIR, after --'
  printf '%s' "$dir"
}

# Ends in one line if the workdir would be lost with a machine.
need_lasting_workdir() {
  local dir
  dir=$(workdir)
  [[ $dir == gs://* ]] && return
  [[ ${flag[mounted]} && $dir == "${flag[mounted]%/}"/* ]] && return
  die "--workdir=$dir is lost with its machine: give gs://BUCKET/DIR, or" \
    '--mounted=FOLDER, mounted on every machine, and a folder in it'
}

# Makes flag[commit] one that stays the same however often it is copied.
pin_commit() {
  local root
  if [[ ${flag[git_url]} ]]; then
    need commit 'the commit of --git-url to train with'
    return
  fi
  root=$(dirname "${BASH_SOURCE[0]}")/../..
  flag[commit]=$(git -C "$root" rev-parse --verify --quiet \
    "${flag[commit]:-HEAD}^{commit}") ||
    die "--commit is not a commit of $root"
  git -C "$root" diff --quiet HEAD || say 'uncommitted changes stay here'
}

# Puts the code into ~/vidcolor on machines and installs it there. A launcher
# defines on_machines COMMAND and send FILE NAME, which reach them.
copy() {
  local archive
  if [[ ${flag[git_url]} ]]; then
    on_machines "git init --quiet vidcolor && cd vidcolor &&\
 git fetch --quiet --depth=1 $(quote "${flag[git_url]}" "${flag[commit]}") &&\
 git checkout --quiet --force FETCH_HEAD" || return
  else
    archive=${TMPDIR:-/tmp}/vidcolor-$(id -un)-${flag[commit]:0:12}.tar.gz
    run git -C "$(dirname "${BASH_SOURCE[0]}")/../.." archive \
      --output="$archive" "${flag[commit]}" &&
      send "$archive" vidcolor.tar.gz &&
      on_machines 'mkdir -p vidcolor && tar -xzf vidcolor.tar.gz -C vidcolor' ||
      return
  fi
  # uv brings a Python: TPU VMs have 3.10. It goes into the user's own folder.
  on_machines "cd vidcolor &&\
 PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --quiet --user uv &&\
 python3 -m uv venv --quiet --allow-existing --python=3.12 .venv &&\
 python3 -m uv pip install --quiet --python=.venv/bin/python\
 -e . $(quote "${flag[jax]}") gcsfs${flag[setup]:+ && ${flag[setup]}}"
}

"""Starts training on TPUs, on GKE, on SLURM or on the GPUs of one machine.

Each line starts `vidcolor.train` and starts it again when the machines are
taken away. What follows `--` goes to `vidcolor.train` unchanged. CONFIG is a
file in experiments/configs; its docstring says what it needs.

--on   needs                   --do (the first is the default)
tpu    gcloud                  watch, create, copy, run, delete
gke    xpk and docker          create, list, delete
slurm  a login node            submit
gpu    ssh for another --host  run, copy, start, log, stop

This machine. Ctrl-C or SIGTERM ends training, which saves first:

python -m experiments.launch --on=gpu -- --config=CONFIG --workdir=DIR

Another machine. --do=log shows its output; --do=stop ends training:

python -m experiments.launch --on=gpu --do=copy --host=HOST
python -m experiments.launch --on=gpu --do=start --host=HOST \
  -- --config=CONFIG --workdir=DIR

Two nodes of a SLURM cluster. Every node needs the code, in the same folder, and
DIR. Options that are not flags here can be set in the environment of sbatch,
such as SBATCH_QOS:

python -m experiments.launch --on=slurm --nodes=2 --python=.venv/bin/python \
  -- --config=CONFIG --workdir=DIR

A TPU slice. The line waits for a slice, trains, and asks for another slice after
a preemption. Run it on a machine that stays on. If that machine stops, run the
line again: training saves and resumes. A slice costs money until --do=delete:

python -m experiments.launch --on=tpu --zone=us-west4-a --spot \
  --accelerator_type=v5litepod-8 --runtime_version=v2-alpha-tpuv5-lite \
  --setup='sudo mkdir -p /mnt/runs && sudo gcsfuse BUCKET /mnt/runs' \
  --mounted=/mnt/runs -- --config=CONFIG --workdir=/mnt/runs/RUN
python -m experiments.launch --on=tpu --do=delete --zone=us-west4-a

A cluster that `xpk cluster create` made on Google Kubernetes Engine:

python -m experiments.launch --on=gke --cluster=CLUSTER \
  --tpu_type=v5litepod-256 --base_docker_image=python:3.12 \
  --setup="pip install -e . 'jax[tpu]'" --mounted=/mnt/runs \
  -- --config=CONFIG --workdir=/mnt/runs/RUN

Restarts. Training that gets SIGTERM saves and ends with code 75, and is started
again at most --max_restarts times. Any other code ends the launcher. Two
targets restart more, because a lost machine also ends training: tpu restarts
after codes of 128 and above and on a slice that was taken away, and xpk after
42 and 127 to 255.

Places. --workdir must outlive the machines: use a folder that --setup, or xpk's
storage, mounts on all of them. (gs:// is accepted here, but not yet by
`vidcolor.train`.) The code is a commit of this checkout, or of --git_url, and
is copied to ~/vidcolor, where relative paths start. Data is read from disks. To
attach one to a TPU slice:

--create_flags=--data-disk=source=projects/P/zones/Z/disks/D,mode=read-only
--setup='sudo mkdir -p /data && sudo mount -o ro,noload /dev/sdb /data'

The flags were checked against gcloud 528 and xpk 1.16 in 2026-11, but not yet
on TPUs, on a cluster or on SLURM.
"""

from collections.abc import Callable
import getpass
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import tempfile
import time

from absl import flags

from vidcolor import errors

_RETRY = os.EX_TEMPFAIL  # 75: training saved, and the same command resumes it.
_ROOT = pathlib.Path(__file__).parents[1]
_ACTIONS = {
    'tpu': ('watch', 'create', 'copy', 'run', 'delete'),
    'gke': ('create', 'list', 'delete'),
    'slurm': ('submit',),
    'gpu': ('run', 'copy', 'start', 'log', 'stop'),
}
_TARGETS = {}  # The values of --on that each flag is for, by the flag's name.


def _flag(targets: str, name: str, default, text: str) -> flags.FlagHolder:
  _TARGETS[name] = targets.split()
  define = {
      bool: flags.DEFINE_boolean,
      int: flags.DEFINE_integer,
      str: flags.DEFINE_string,
  }[type(default)]
  return define(name, default, f'{text} (For --on={"|".join(targets.split())})')


# An empty string stands for a flag that is not given.
_ON = flags.DEFINE_enum(
    'on', None, list(_ACTIONS), 'Kind of machines to train on.', required=True
)
_DO = flags.DEFINE_string('do', '', 'What to do. Default: train.')
_DRY_RUN = flags.DEFINE_boolean(
    'dry_run', False, 'Print the commands, ready to paste, and run none.'
)
_ZONE = _flag('tpu gke', 'zone', '', 'Zone of the slice or cluster.')
_PROJECT = _flag('tpu gke', 'project', '', "Default: gcloud's own setting.")
_SPOT = _flag('tpu gke', 'spot', False, 'Cheap machines; preempted any time.')
_MOUNTED = _flag(
    'tpu gke', 'mounted', '', 'Folder mounted on all machines; has --workdir.'
)
_SETUP = _flag(
    'tpu gke slurm gpu', 'setup', '', 'Shell command to run before training.'
)
_MAX_RESTARTS = _flag(
    'tpu gke slurm gpu', 'max_restarts', 100, 'Restarts of training, at most.'
)
_PYTHON = _flag('gke slurm gpu', 'python', 'python', 'Python that trains.')
_COMMIT = _flag('tpu gpu', 'commit', '', 'Commit to copy. Default: HEAD.')
_GIT_URL = _flag('tpu gpu', 'git_url', '', 'Repository to fetch --commit from.')
_JAX = _flag(
    'tpu gpu', 'jax', '', 'JAX to install. Default: jax[tpu] or jax[cuda13].'
)
_NAME = _flag('tpu', 'name', 'vidcolor', 'Queued resource, and its node.')
_ACCELERATOR_TYPE = _flag('tpu', 'accelerator_type', '', 'v5litepod-8 etc.')
_RUNTIME_VERSION = _flag(
    'tpu', 'runtime_version', '', 'v2-alpha-tpuv5-lite etc.'
)
_CREATE_FLAGS = _flag(
    'tpu', 'create_flags', '', 'More flags of `queued-resources create`.'
)
_POLL_SECONDS = _flag('tpu', 'poll_seconds', 60, 'Time between state checks.')
_CLUSTER = _flag('gke', 'cluster', '', 'Cluster of `xpk cluster create`.')
_WORKLOAD = _flag('gke', 'workload', 'vidcolor', 'Name of the training.')
_TPU_TYPE = _flag('gke', 'tpu_type', '', 'v5litepod-256 etc.')
_DEVICE_TYPE = _flag('gke', 'device_type', '', 'h100-80gb-8 etc.')
_NUM_SLICES = _flag('gke', 'num_slices', '', "TPU slices; xpk's default is 1.")
_NUM_NODES = _flag('gke', 'num_nodes', '', "GPU nodes; xpk's default is 1.")
_BASE_DOCKER_IMAGE = _flag(
    'gke', 'base_docker_image', '', 'Image to add the current folder to.'
)
_DOCKER_IMAGE = _flag('gke', 'docker_image', '', 'Image that has the code.')
_JOB_NAME = _flag('slurm', 'job_name', 'vidcolor', 'Name of the job.')
_NODES = _flag('slurm', 'nodes', 1, 'Nodes; each runs one process.')
_GPUS_PER_NODE = _flag('slurm', 'gpus_per_node', 8, 'GPUs of each node.')
_CPUS_PER_TASK = _flag('slurm', 'cpus_per_task', 64, 'CPUs of each node.')
_TIME = _flag('slurm', 'time', '24:00:00', 'Time after which SLURM requeues.')
_PARTITION = _flag('slurm', 'partition', '', "Default: SLURM's own.")
_ACCOUNT = _flag('slurm', 'account', '', "Default: SLURM's own.")
_OUTPUT = _flag('slurm', 'output', '%x-%j.log', 'Log file.')
_HOST = _flag('gpu', 'host', '', 'Machine, as ssh knows it.')
_WAIT_SECONDS = _flag('gpu', 'wait_seconds', 10, 'Time before a restart.')


def main(training: list[str]) -> None:
  """Does --do on the machines of --on; `training` goes to vidcolor.train."""
  on, do = _ON.value, _DO.value or _ACTIONS[_ON.value][0]
  if do not in _ACTIONS[on]:
    choices = ', '.join(_ACTIONS[on])
    raise errors.UserError(f'--do={do} is not one of --on={on}: {choices}')
  for name, targets in _TARGETS.items():
    if flags.FLAGS[name].present and on not in targets:
      raise errors.UserError(f'--{name} is not a flag of --on={on}')
  if training and not training[0].startswith('-'):
    raise errors.UserError(
        f'{training[0]} is not a flag; put -- before the flags of training'
    )
  target = {'tpu': _tpu, 'gke': _gke, 'slurm': _slurm, 'gpu': _gpu}[on]
  sys.exit(_exit_code(lambda: target(do, training)))


def _tpu(do, training):
  _require(_ZONE, 'us-west4-a and so on')
  if do in ('create', 'watch'):
    _require(_ACCELERATOR_TYPE, 'v5litepod-8 and so on')
    _require(_RUNTIME_VERSION, 'v2-alpha-tpuv5-lite and so on')
  if do in ('run', 'watch'):
    _require_lasting_workdir(training)
  _require_program('gcloud', 'https://cloud.google.com/sdk')
  # Every copy of one run is of the same commit, also after new ones here.
  commit = _commit_hash() if do in ('copy', 'watch') else ''
  copy = lambda: _copy(commit, _tpu_ssh, _tpu_send, 'jax[tpu]')
  train = lambda: _tpu_train(training)
  if do == 'watch':
    (_print_watch if _DRY_RUN.value else _watch)(copy, train)
  else:
    {'create': _create, 'copy': copy, 'run': train, 'delete': _delete}[do]()


def _tpus(*words):
  return ['gcloud', 'compute', 'tpus', *words, *_given(_ZONE, _PROJECT)]


def _create():
  spot = ['--spot'] * _SPOT.value
  name = [_NAME.value, f'--node-id={_NAME.value}']
  kind = _given(_ACCELERATOR_TYPE, _RUNTIME_VERSION)
  more = _CREATE_FLAGS.value.split()
  _run(_tpus('queued-resources', 'create', *name, *kind, *more, *spot))


def _delete():
  _run(_tpus('queued-resources', 'delete', _NAME.value, '--force', '--quiet'))


def _tpu_ssh(command):
  # Not `queued-resources ssh`: it waits for 64 machines to end before it starts
  # the next ones. A machine that is gone does not close its connection.
  options = ('-oServerAliveInterval=30', '-oConnectTimeout=30')
  where = (_NAME.value, '--worker=all', f'--command={command}')
  _run(_tpus('tpu-vm', 'ssh', *where, *(f'--ssh-flag={o}' for o in options)))


def _tpu_send(source, name):
  _run(_tpus('tpu-vm', 'scp', source, f'{_NAME.value}:{name}', '--worker=all'))


def _tpu_train(training):
  # Training whose connection broke still holds the chips: it is ended first.
  words = _train_words('.venv/bin/python', '--cluster', *training)
  _tpu_ssh(
      'cd vidcolor || exit;'
      ' if pkill -F train.pid -f vidcolor.train 2>/dev/null; then'
      ' while pgrep -F train.pid -f vidcolor.train >/dev/null; do sleep 1; done;'
      f' fi; echo $$ >train.pid; exec {shlex.join(words)}'
  )


def _describe_commands():
  # The node is preempted before its queued resource, which is still ACTIVE.
  for kind, field in (('queued-resources', 'state.state'), ('tpu-vm', 'state')):
    yield _tpus(kind, 'describe', _NAME.value, f'--format=value({field})')


def _slice_state():
  """Returns the state of the queued resource, or of its node once ACTIVE."""
  state = ''
  for words in _describe_commands():
    result = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if 'NOT_FOUND' in result.stdout and result.returncode:
      return 'NOT_FOUND'
    if result.returncode:
      print(result.stdout, end='', file=sys.stderr)
      return 'UNKNOWN'
    state = result.stdout.rstrip().rpartition('\n')[2]
    if state != 'ACTIVE':
      break
  return state


def _watch(copy, train):
  """Creates slices and trains on them until training has finished."""
  last, copied, starts, code = None, False, 0, 0
  while True:
    state = _slice_state()
    if state != last:
      _say(f'{_NAME.value} is {state}')
    last = state
    if state in ('NOT_FOUND', 'PREEMPTED', 'TERMINATED', 'SUSPENDED', 'FAILED'):
      copied = False
      steps = [_create] if state == 'NOT_FOUND' else [_delete, _create]
      if _exit_code(*steps):
        _say('the slice was not created; trying again')
    elif state == 'READY':
      starts = _count_start(starts)
      code = 0 if copied else _exit_code(copy)
      copied = not code
      code = code or _exit_code(train)
      if not code:
        _say('training finished; --do=delete gives the slice back')
        return
      _say(f'training ended with {code}')
    time.sleep(_POLL_SECONDS.value)
    # A signal or a lost connection gives a code of 128 or more.
    own_fault = state == 'READY' and code != _RETRY and code < 128
    if own_fault and _slice_state() == 'READY':
      _say('the slice still works, so training is not started again')
      sys.exit(code)


def _print_watch(copy, train):
  for words in _describe_commands():
    _run(words)
  for state, steps in (
      ('There is no slice', [_create]),
      ('The slice is ready', [copy, train]),
      ('The slice was preempted or failed', [_delete, _create]),
  ):
    print(f'# {state}:')
    _exit_code(*steps)


def _gke(do, training):
  _require(_CLUSTER, 'the one that `xpk cluster create` made')
  _require_program('xpk', 'pip install xpk')
  xpk = ['xpk', 'workload', do]
  where = _given(_CLUSTER, _PROJECT, _ZONE)
  if do == 'list':
    _run([*xpk, f'--filter-by-job={_WORKLOAD.value}', *where])
  elif do == 'delete':
    _run([*xpk, '--force', *where, *_given(_WORKLOAD)])
  else:
    _require(_TPU_TYPE, 'or --device_type', _DEVICE_TYPE)
    _require(_BASE_DOCKER_IMAGE, 'or --docker_image', _DOCKER_IMAGE)
    _require_lasting_workdir(training)
    # xpk sends SIGTERM to the shell that it starts: with exec, that is training.
    # Its default grace period of 30 seconds is short for saving.
    train = shlex.join(_train_words(_PYTHON.value, '--cluster', *training))
    setup = f'{_SETUP.value} && ' if _SETUP.value else ''
    spot = ['--spot'] * _SPOT.value
    end = [
        f'--restart-on-exit-codes={_RETRY}',
        '--termination-grace-period-seconds=120',
    ]
    kind = _given(_WORKLOAD, _TPU_TYPE, _DEVICE_TYPE, _NUM_SLICES, _NUM_NODES)
    image = _given(_BASE_DOCKER_IMAGE, _DOCKER_IMAGE, _MAX_RESTARTS)
    command = f'--command={setup}exec {train}'
    _run([*xpk, *spot, *end, command, *where, *kind, *image])


def _slurm(do, training):
  del do  # There is only one.
  _workdir(training)
  _require_program('sbatch', 'log in to a node of the cluster that has SLURM')
  script = _batch_script(training)
  if _DRY_RUN.value:
    print(script, end='')
  else:
    subprocess.run(['sbatch'], input=script, text=True, check=True)


def _batch_script(training):
  options = _given(_JOB_NAME, _NODES, _GPUS_PER_NODE, _CPUS_PER_TASK, _TIME)
  options += _given(_PARTITION, _ACCOUNT, _OUTPUT)
  directives = '\n'.join(f'#SBATCH {option}' for option in options)
  train = shlex.join(_train_words(_PYTHON.value, '--cluster', *training))
  # SIGTERM goes to training and not to the script, which requeues the job.
  # JAX takes one GPU a process in SLURM if it is not told which to take.
  # --wait: other processes may still save when the first one has ended.
  return f"""#!/usr/bin/env bash
{directives}
#SBATCH --ntasks-per-node=1
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
{_SETUP.value}
set -eu
export JAX_LOCAL_DEVICE_IDS={','.join(map(str, range(_GPUS_PER_NODE.value)))}
code=0
srun --cpus-per-task={_CPUS_PER_TASK.value} --wait=300 \\
  {train} ||
  code=$?
if [ $code = {_RETRY} ] &&
  [ "${{SLURM_RESTART_COUNT:-0}}" -lt {_MAX_RESTARTS.value} ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
"""


def _gpu(do, training):
  if do in ('run', 'start'):
    _workdir(training)
  if do == 'run':
    _require_program(_PYTHON.value, '--python=PYTHON')
    return _train_here(_train_words(_PYTHON.value, *training))
  _require(_HOST, 'the machine, as ssh knows it')
  _require_program('ssh', 'the OpenSSH client')
  if do == 'copy':
    send = lambda source, name: _run(['scp', source, f'{_HOST.value}:{name}'])
    _copy(_commit_hash(), _gpu_ssh, send, 'jax[cuda13]')
  elif do == 'start':
    _gpu_start(training)
  elif do == 'log':
    _gpu_ssh('tail -n 100 -F vidcolor/train.log')
  else:
    _gpu_ssh('pkill -F vidcolor/train.pid -f experiments.launch')


def _gpu_ssh(command):
  _run(['ssh', _HOST.value, command])


def _gpu_start(training):
  python = '.venv/bin/python'
  words = [python, '-m', 'experiments.launch', '--on=gpu', f'--python={python}']
  words += [f'--max_restarts={_MAX_RESTARTS.value}']
  words += [f'--wait_seconds={_WAIT_SECONDS.value}', '--', *training]
  _gpu_ssh(
      'cd vidcolor || exit;'
      ' if pgrep -F train.pid -f experiments.launch >/dev/null 2>&1; then'
      " echo 'error: it trains already; --do=stop ends that' >&2; exit 2; fi;"
      f' nohup {shlex.join(words)} >>train.log 2>&1 </dev/null &'
      ' echo $! >train.pid'
  )


def _train_here(words):
  """Trains until training ends for another reason than SIGTERM."""
  if _DRY_RUN.value:
    return _run(words)
  signal.signal(signal.SIGTERM, signal.default_int_handler)  # Is as Ctrl-C.
  starts = 0
  while True:
    starts = _count_start(starts)
    # A terminal sends Ctrl-C to training too. It has to get SIGTERM instead.
    ignore = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen(words, stdin=subprocess.DEVNULL, preexec_fn=ignore)
    try:
      code = child.wait()
      if code == _RETRY:
        _say('training saved and ended; starting it again')
        time.sleep(_WAIT_SECONDS.value)
        continue
    except KeyboardInterrupt:
      child.terminate()
      code = child.wait()
    raise subprocess.CalledProcessError(code, words)


def _commit_hash():
  """Returns the hash of --commit, or --commit itself if --git_url has it."""
  if _GIT_URL.value:
    _require(_COMMIT, 'the commit of --git_url to train with')
    return _COMMIT.value
  _require_program('git', 'https://git-scm.com')
  git = ['git', '-C', str(_ROOT)]
  words = ['rev-parse', '--verify', '--quiet']
  commit = _COMMIT.value or 'HEAD'
  result = subprocess.run(
      [*git, *words, f'{commit}^{{commit}}'], capture_output=True, text=True
  )
  if result.returncode:
    raise errors.UserError(f'--commit={commit} is not a commit of {_ROOT}')
  if subprocess.call([*git, 'diff', '--quiet', 'HEAD']):
    _say('changes that are not committed are not copied')
  return result.stdout.strip()


def _copy(commit, ssh, send, jax):
  """Copies the code to ~/vidcolor on the machines and installs it there."""
  if _GIT_URL.value:
    ssh(
        'git init --quiet vidcolor && cd vidcolor && git fetch --quiet --depth=1'
        f' {shlex.join([_GIT_URL.value, commit])} &&'
        ' git checkout --quiet --force FETCH_HEAD'
    )
  else:
    name = f'vidcolor-{getpass.getuser()}-{commit[:12]}.tar.gz'
    path = os.path.join(tempfile.gettempdir(), name)
    _run(['git', '-C', str(_ROOT), 'archive', f'--output={path}', commit])
    send(path, 'vidcolor.tar.gz')
    ssh('mkdir -p vidcolor && tar -xzf vidcolor.tar.gz -C vidcolor')
  setup = f' && {_SETUP.value}' if _SETUP.value else ''
  # uv brings its own Python, since TPU VMs have 3.10.
  ssh(
      'cd vidcolor &&'
      ' PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --quiet --user uv &&'
      ' python3 -m uv venv --quiet --allow-existing --python=3.12 .venv &&'
      ' python3 -m uv pip install --quiet --python=.venv/bin/python'
      f' -e . {shlex.quote(_JAX.value or jax)} gcsfs{setup}'
  )


def _train_words(python, *flags_of_training):
  return [python, '-m', 'vidcolor.train', *flags_of_training]


def _given(*holders):
  """Returns these flags, where they have a value, as other programs do."""
  given = [holder for holder in holders if holder.value != '']
  return [f'--{flag.name.replace("_", "-")}={flag.value}' for flag in given]


def _run(words):
  """Runs a command, or prints it with --dry_run."""
  if _DRY_RUN.value:
    print(shlex.join(words))
  else:
    subprocess.run(words, check=True)


def _exit_code(*steps: Callable[[], object]) -> int:
  """Takes steps until a command fails; returns its exit code, or 0."""
  try:
    for step in steps:
      step()
  except subprocess.CalledProcessError as error:
    # As shells do, for a command that a signal ended.
    return (
        max(error.returncode, 128 - error.returncode)
        if error.returncode < 0
        else error.returncode
    )
  return 0


def _count_start(starts):
  if starts > _MAX_RESTARTS.value:
    raise errors.UserError(
        f'training was started {_MAX_RESTARTS.value} times again;'
        ' --max_restarts allows more'
    )
  return starts + 1


def _say(text):
  now = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())
  print(now, text, file=sys.stderr, flush=True)

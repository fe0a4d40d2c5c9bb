"""Starts training on TPUs, GKE, SLURM or the GPUs of one machine.

python -m experiments.launch --on=gpu -- --config=CONFIG --workdir=DIR

What follows `--` goes to vidcolor.train unchanged. Training starts again when
its machines are taken away. experiments/README.md has a line for each case.

--on   needs                   --do (the first is the default)
tpu    gcloud                  watch, create, copy, run, delete
gke    xpk and docker          create, list, delete
slurm  a login node            submit
gpu    ssh for another --host  run, copy, start, log, stop
"""

import argparse
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
from vidcolor import program

FLAGS = flags.FLAGS
_RETRY = os.EX_TEMPFAIL  # 75: training saved, and the same line resumes it.
_ROOT = str(pathlib.Path(__file__).parents[1])
_VENV = '.venv/bin/python'  # On machines that the code was copied to.
_ACTIONS = {
    'tpu': ('watch', 'create', 'copy', 'run', 'delete'),
    'gke': ('create', 'list', 'delete'),
    'slurm': ('submit',),
    'gpu': ('run', 'copy', 'start', 'log', 'stop'),
}
_TARGETS = {}  # The values of --on that a flag is for, by the flag's name.


def _flag(targets, name, default, text):
  _TARGETS[name] = targets.split()
  define = {bool: flags.DEFINE_boolean, int: flags.DEFINE_integer}
  define = define.get(type(default), flags.DEFINE_string)
  define(name, default, f'{text} (--on={"|".join(targets.split())})')


flags.DEFINE_enum('on', None, list(_ACTIONS), 'Where to train.', required=True)
flags.DEFINE_string('do', '', 'What to do there. Default: train.')
flags.DEFINE_boolean('dry_run', False, 'Print the commands and run none.')
_flag('tpu gke', 'zone', '', 'zone of the machines, such as us-west4-a')
_flag('tpu gke', 'project', '', "project; default: gcloud's own setting")
_flag('tpu gke', 'spot', False, 'cheap machines, preempted at any time')
_flag('tpu gke', 'mounted', '', 'folder on all machines that has --workdir')
_flag('tpu gke slurm gpu', 'setup', '', 'shell command before training')
_flag('tpu gke slurm gpu', 'max_restarts', 100, 'restarts at most')
_flag('gke slurm gpu', 'python', 'python', 'Python that trains')
_flag('tpu gpu', 'commit', '', 'commit to copy; default: HEAD')
_flag('tpu gpu', 'git_url', '', 'repository of --commit; default: this one')
_flag('tpu gpu', 'jax', '', 'JAX to install; default: jax[tpu], jax[cuda13]')
_flag('tpu', 'name', 'vidcolor', 'name of the queued resource and its node')
_flag('tpu', 'accelerator_type', '', 'such as v5litepod-8')
_flag('tpu', 'runtime_version', '', 'such as v2-alpha-tpuv5-lite')
_flag('tpu', 'create_flags', '', 'more flags of `queued-resources create`')
_flag('tpu', 'poll_seconds', 60, 'seconds between checks of the state')
_flag('gke', 'cluster', '', 'cluster that `xpk cluster create` made')
_flag('gke', 'workload', 'vidcolor', 'name of the training')
_flag('gke', 'tpu_type', '', 'such as v5litepod-256')
_flag('gke', 'device_type', '', 'such as h100-80gb-8')
_flag('gke', 'num_slices', '', 'TPU slices; default: 1')
_flag('gke', 'num_nodes', '', 'GPU nodes; default: 1')
_flag('gke', 'base_docker_image', '', 'image to add the current folder to')
_flag('gke', 'docker_image', '', 'image that has the code')
_flag('slurm', 'job_name', 'vidcolor', 'name of the job')
_flag('slurm', 'nodes', 1, 'nodes, with one process each')
_flag('slurm', 'gpus_per_node', 8, 'GPUs of each node')
_flag('slurm', 'cpus_per_task', 64, 'CPUs of each node, which read data')
_flag('slurm', 'time', '24:00:00', 'time until the job is queued again')
_flag('slurm', 'partition', '', "partition; default: SLURM's own")
_flag('slurm', 'account', '', "account; default: SLURM's own")
_flag('slurm', 'output', '%x-%j.log', 'log file')
_flag('gpu', 'host', '', 'machine, as ssh knows it')
_flag('gpu', 'wait_seconds', 10, 'seconds before a restart')


def main(training: list[str]) -> None:
  """Does what --do says; `training` holds the flags of vidcolor.train."""
  on, do = FLAGS.on, FLAGS.do or _ACTIONS[FLAGS.on][0]
  choices = ', '.join(_ACTIONS[on])
  _check(do in _ACTIONS[on], f'--do={do} is not one of {choices}')
  for name, targets in _TARGETS.items():
    allowed = on in targets or not FLAGS[name].present
    _check(allowed, f'--{name} is not a flag of --on={on}')
  for word in training[:1]:
    text = f'{word} is not a flag; what is for vidcolor.train follows --'
    _check(word.startswith('-'), text)
  target = {'tpu': _tpu, 'gke': _gke, 'slurm': _slurm, 'gpu': _gpu}[on]
  try:
    code = target(do, training)
  except FileNotFoundError as error:
    text = f'{error.filename} is not installed, or not on PATH'
    raise errors.UserError(text) from error
  sys.exit(code if code >= 0 else 128 - code)  # As shells report a signal.


def _tpu(do, training):
  _require('zone')
  if do in ('create', 'watch'):
    _require('accelerator_type')
    _require('runtime_version')
  if do in ('run', 'watch'):
    _require_workdir(training, lasting=True)
  name = shlex.quote(FLAGS.name)
  tpus = lambda words: f'gcloud compute tpus {words} {_given("zone project")}'
  # `queued-resources ssh` waits for 64 machines to end before it starts the
  # next ones. The last two options notice a machine that is gone.
  ssh = lambda command: tpus(
      f'tpu-vm ssh {name} --worker=all {shlex.quote("--command=" + command)}'
      ' --ssh-flag=-oServerAliveInterval=30 --ssh-flag=-oConnectTimeout=30'
  )
  scp = lambda path, to: tpus(f'tpu-vm scp {path} {name}:{to} --worker=all')
  more = shlex.join(FLAGS.create_flags.split() + ['--spot'] * FLAGS.spot)
  kind = _given('accelerator_type runtime_version')
  create = f'queued-resources create {name} --node-id={name} {kind} {more}'
  # Training whose connection broke still holds the chips, so it ends first.
  train = (
      'cd vidcolor || exit;'
      ' if pkill -F train.pid -f vidcolor.train 2>/dev/null; then while'
      ' pgrep -F train.pid -f vidcolor.train >/dev/null; do sleep 1; done; fi;'
      f' echo $$ >train.pid; exec {_train(_VENV, "--cluster", *training)}'
  )
  steps = {
      'describe': [
          tpus(f'queued-resources describe {name} --format=value(state.state)'),
          tpus(f'tpu-vm describe {name} --format=value(state)'),
      ],
      'create': [tpus(create)],
      'copy': _copy(ssh, scp, 'jax[tpu]') if do in ('copy', 'watch') else [],
      'run': [ssh(train)],
      'delete': [tpus(f'queued-resources delete {name} --force --quiet')],
  }
  if do != 'watch':
    return _run(steps[do])
  if not FLAGS.dry_run:
    return _watch(steps)
  for step in ('describe', 'create', 'copy', 'run', 'delete', 'create'):
    print(f'# {step}:')  # One round. The next ones depend on the slice.
    _run(steps[step])
  return 0


def _watch(steps):
  """Creates slices and trains on them, until training has finished."""
  last, copied, starts = '', False, _starts()
  while True:
    code, state = 0, _slice_state(steps['describe'])
    if state != last:
      _say(f'{FLAGS.name} is {state}')
    last = state
    if state in ('NOT_FOUND', 'PREEMPTED', 'TERMINATED', 'SUSPENDED', 'FAILED'):
      copied = False
      old = [] if state == 'NOT_FOUND' else steps['delete']
      if _run(old + steps['create']):
        _say('there is no new slice yet; trying again')
    elif state == 'READY':
      next(starts)
      code = 0 if copied else _run(steps['copy'])
      copied = not code
      code = code or _run(steps['run'])
      if not code:
        _say('training has finished; --do=delete gives the slice back')
        return 0
      _say(f'training ended with code {code}')
    time.sleep(FLAGS.poll_seconds)
    # A code of 128 or more comes from a signal or from a lost connection.
    failed = 0 < code < 128 and code != _RETRY
    if failed and _slice_state(steps['describe']) == 'READY':
      _say('the slice is well, so training does not start again')
      return code


def _slice_state(describe):
  """Returns the state of the queued resource, or of its node once ACTIVE."""
  state = ''
  for line in describe:
    pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.STDOUT}
    result = subprocess.run(shlex.split(line), text=True, **pipes)
    if result.returncode and 'NOT_FOUND' in result.stdout:
      return 'NOT_FOUND'
    if result.returncode:
      print(result.stdout, file=sys.stderr)
      return 'UNKNOWN'
    state = result.stdout.rstrip().rpartition('\n')[2]
    if state != 'ACTIVE':
      break
  return state


def _gke(do, training):
  _require('cluster')
  words = _given('cluster project zone')
  if do == 'list':
    words = f'--filter-by-job={shlex.quote(FLAGS.workload)} {words}'
  elif do == 'delete':
    words = f'--force {words} {_given("workload")}'
  else:
    _require('tpu_type', 'device_type')
    _require('base_docker_image', 'docker_image')
    _require_workdir(training, lasting=True)
    # xpk sends SIGTERM to the shell that it starts; exec makes that training.
    train = f'exec {_train(FLAGS.python, "--cluster", *training)}'
    command = ' && '.join(filter(None, [FLAGS.setup, train]))
    # Half a minute of grace, xpk's default, is short for saving.
    words = (
        f'{"--spot" if FLAGS.spot else ""} --restart-on-exit-codes={_RETRY}'
        ' --termination-grace-period-seconds=120'
        f' {shlex.quote("--command=" + command)} {words}'
        f' {_given("workload tpu_type device_type num_slices num_nodes")}'
        f' {_given("base_docker_image docker_image max_restarts")}'
    )
  return _run([f'xpk workload {do} {words}'])


def _slurm(_, training):
  _require_workdir(training)
  options = _given('job_name nodes gpus_per_node cpus_per_task time')
  options += f' {_given("partition account output")}'
  directives = '\n'.join(f'#SBATCH {o}' for o in shlex.split(options))
  # SIGTERM goes to training, not to this script, which queues the job again.
  # In SLURM, JAX takes one GPU a process if it is not told which ones.
  # --wait: other processes may still save when the first one has ended.
  script = f"""#!/usr/bin/env bash
{directives}
#SBATCH --ntasks-per-node=1
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
{FLAGS.setup}
set -eu
export JAX_LOCAL_DEVICE_IDS={','.join(map(str, range(FLAGS.gpus_per_node)))}
code=0
srun --cpus-per-task={FLAGS.cpus_per_task} --wait=300 \\
  {_train(FLAGS.python, '--cluster', *training)} ||
  code=$?
if [ $code = {_RETRY} ] &&
  [ "${{SLURM_RESTART_COUNT:-0}}" -lt {FLAGS.max_restarts} ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
"""
  if FLAGS.dry_run:
    print(script, end='')
    return 0
  return subprocess.run(['sbatch'], input=script, text=True).returncode


def _gpu(do, training):
  if do in ('run', 'start'):
    _require_workdir(training)
  if do == 'run':
    line = _train(FLAGS.python, *training)
    return _run([line]) if FLAGS.dry_run else _train_here(line)
  _require('host')
  host = shlex.quote(FLAGS.host)
  ssh = lambda command: f'ssh {host} {shlex.quote(command)}'
  scp = lambda path, to: f'scp {path} {host}:{to}'
  if do == 'copy':
    return _run(_copy(ssh, scp, 'jax[cuda13]'))
  start = (
      'cd vidcolor || exit;'
      ' if pgrep -F train.pid -f experiments.launch >/dev/null 2>&1; then'
      " echo 'error: it trains already; --do=stop ends that' >&2; exit 2; fi;"
      f' nohup {_VENV} -m experiments.launch --on=gpu --python={_VENV}'
      f' --max_restarts={FLAGS.max_restarts}'
      f' --wait_seconds={FLAGS.wait_seconds} -- {shlex.join(training)}'
      ' >>train.log 2>&1 </dev/null & echo $! >train.pid'
  )
  log = 'tail -n 100 -F vidcolor/train.log'
  stop = 'pkill -F vidcolor/train.pid -f experiments.launch'
  return _run([ssh({'start': start, 'log': log, 'stop': stop}[do])])


def _train_here(line):
  """Trains, and again whenever training was asked to save and end."""
  signal.signal(signal.SIGTERM, signal.default_int_handler)  # As Ctrl-C.
  # A terminal sends Ctrl-C to training too, which should get SIGTERM alone.
  ignore = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
  options = {'stdin': subprocess.DEVNULL, 'preexec_fn': ignore}
  starts = _starts()
  while True:
    next(starts)
    child = subprocess.Popen(shlex.split(line), **options)
    try:
      code = child.wait()
      if code != _RETRY:
        return code
      _say('training saved and ended')
      time.sleep(FLAGS.wait_seconds)
    except KeyboardInterrupt:
      child.terminate()
      return child.wait()


def _train(python, *training):
  return shlex.join([python, '-m', 'vidcolor.train', *training])


def _copy(ssh, scp, jax):
  """Returns the lines that install the code in ~/vidcolor on the machines."""
  if FLAGS.git_url:
    _require('commit')
    init = 'git init --quiet vidcolor && cd vidcolor && git fetch --quiet'
    what = shlex.join([FLAGS.git_url, FLAGS.commit])
    checkout = 'git checkout --quiet --force FETCH_HEAD'
    lines = [ssh(f'{init} --depth=1 {what} && {checkout}')]
  else:
    git, commit = ['git', '-C', _ROOT], FLAGS.commit or 'HEAD'
    words = ['rev-parse', '--verify', '--quiet', commit + '^{commit}']
    found = subprocess.run([*git, *words], capture_output=True, text=True)
    text = f'--commit={commit} is not a commit of {_ROOT}'
    _check(not found.returncode, text)
    if subprocess.call([*git, 'diff', '--quiet', 'HEAD']):
      _say('changes that are not committed stay here')
    commit = found.stdout.strip()  # What HEAD is now, also for later slices.
    name = f'vidcolor-{getpass.getuser()}-{commit[:12]}.tar.gz'
    path = os.path.join(tempfile.gettempdir(), name)
    lines = [
        shlex.join([*git, 'archive', f'--output={path}', commit]),
        scp(shlex.quote(path), 'vidcolor.tar.gz'),
        ssh('mkdir -p vidcolor && tar -xzf vidcolor.tar.gz -C vidcolor'),
    ]
  # uv brings a Python, as TPU VMs have 3.10.
  install = (
      'cd vidcolor &&'
      ' PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --quiet --user uv &&'
      ' python3 -m uv venv --quiet --allow-existing --python=3.12 .venv &&'
      f' python3 -m uv pip install --quiet --python={_VENV} -e .'
      f' {shlex.quote(FLAGS.jax or jax)} gcsfs'
  )
  return [*lines, ssh(' && '.join(filter(None, [install, FLAGS.setup])))]


def _require_workdir(training, lasting=False):
  parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
  parser.add_argument('--workdir', nargs='?')
  workdir = parser.parse_known_args(training)[0].workdir
  _check(workdir, 'vidcolor.train needs --workdir=DIR, after --')
  mounted = FLAGS.mounted and FLAGS.mounted.rstrip('/') + '/'
  _check(
      not lasting or workdir.startswith(('gs://', mounted or 'gs://')),
      f'--workdir={workdir} is lost with its machine: give gs://BUCKET/DIR, or'
      ' --mounted=FOLDER, mounted on every machine, and a folder in it',
  )


def _require(*names):
  missing = ' or '.join(f'--{name}' for name in names)
  hint = FLAGS[names[0]].help
  _check(any(FLAGS[n].value for n in names), f'{missing} is missing. {hint}')


def _starts():
  """Yields for every start of training that --max_restarts allows."""
  most = FLAGS.max_restarts
  yield from range(most + 1)
  text = f'training was started {most} times again; --max_restarts allows more'
  raise errors.UserError(text)


def _check(condition, message):
  if not condition:
    raise errors.UserError(message)


def _given(names):
  """Returns those of the flags that have a value, as words for a shell."""
  given = [name for name in names.split() if FLAGS[name].value != '']
  return shlex.join(f'--{n.replace("_", "-")}={FLAGS[n].value}' for n in given)


def _run(lines):
  """Runs lines until one fails, or prints them; returns the last exit code."""
  for line in lines:
    words = shlex.split(line)
    if FLAGS.dry_run:
      print(shlex.join(words))
    elif code := subprocess.call(words):
      return code
  return 0


def _say(text):
  print(time.strftime('%FT%TZ', time.gmtime()), text, file=sys.stderr)


if __name__ == '__main__':
  program.run(main, takes_arguments=True, takes_urls=True)

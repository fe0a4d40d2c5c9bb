"""The launcher, against stand-ins for gcloud, xpk, ssh and SLURM on PATH."""

import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import pytest

from tests import programs

pytestmark = pytest.mark.slow

TRICKY = ['--workdir=gs://bucket/a run', '--note=it\'s "so" $HOME', '--x=a*;b']
TRAIN = ['python', '-m', 'vidcolor.train']
TPU = '--on=tpu --zone=us-west4-a'
KIND = '--accelerator_type=v5litepod-8 --runtime_version=v2-alpha-tpuv5-lite'
GKE = '--on=gke --cluster=c'
GPU = '--on=gpu --host=h'
EXEC = f'--command=exec {shlex.join([*TRAIN, "--cluster", *TRICKY])}'

# Records its words, then does what the test wants of it.
STAND_IN = r"""#!/usr/bin/env bash
here=$(dirname "$0")
{ printf '%s\x1f' "${0##*/}" "$@"; printf '\x1e'; } >>"$here/calls"
next() {  # next FILE DEFAULT: takes its first word.
  local words=()
  [[ ! -e $here/$1 ]] || read -ra words <"$here/$1"
  echo "${words[0]-$2}"
  echo "${words[@]:1}" >"$here/$1"
}
[[ ! -e $here/${0##*/}.part ]] || source "$here/${0##*/}.part"
"""
GCLOUD = r"""
case "$*" in
  *' queued-resources describe '*)
    state=$(next states ACTIVE)
    [[ $state == NOT_FOUND || $state == BROKEN ]] && {
      echo "ERROR: (gcloud) $state: Resource 'vidcolor'" >&2; exit 1; }
    echo 'WARNING: on standard error' >&2
    echo "$state" ;;
  *' tpu-vm describe '*) next nodes READY ;;
  *' create '*) exit "$(next create_codes 0)" ;;
  *vidcolor.train*) exit "$(next codes 0)" ;;
esac
"""
LOOP = 'echo up; for i in {1..99}; do sleep .1; done'


class Machine:
  """A PATH of stand-ins, and what was called there."""

  def __init__(self, root: pathlib.Path):
    self.root, self.bin = root, root / 'bin'
    self.bin.mkdir()
    self.env = os.environ | {
        'PATH': f'{self.bin}:{os.environ["PATH"]}',
        'PYTHONPATH': str(programs.ROOT),
        'TMPDIR': str(root),
    }
    for name in ('xpk', 'ssh', 'scp', 'sbatch', 'srun', 'scontrol', 'python'):
      self.stand_in(name)
    self.stand_in('gcloud', GCLOUD)

  def stand_in(self, name: str, part: str = ''):
    (self.bin / name).write_text(STAND_IN)
    (self.bin / name).chmod(0o755)
    (self.bin / f'{name}.part').write_text(part)

  def start(self, line: str, *training: str, **env: str) -> subprocess.Popen:
    words = shlex.split(line) + (['--', *training] if training else [])
    return subprocess.Popen(
        [sys.executable, '-m', 'experiments.launch', *words],
        cwd=self.root,
        env=self.env | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

  def run(self, *words: str, code: int = 0, **env: str) -> tuple[str, str]:
    """What the launcher and its stand-ins print, also on standard error."""
    with self.start(*words, **env) as process:
      output, error = process.communicate(timeout=30)
    assert process.returncode == code, error
    return output, error

  def paste(self, script: str):
    words = ['bash', '-e', '-c', script]
    subprocess.run(words, cwd=self.root, env=self.env, check=True)

  def calls(self) -> list[list[str]]:
    """The words of each call, and forgets them."""
    path = self.bin / 'calls'
    text = path.read_text() if path.exists() else ''
    path.unlink(missing_ok=True)
    return [call.split('\x1f')[:-1] for call in text.split('\x1e')[:-1]]

  def verbs(self) -> str:
    """What the calls of gcloud did, but for looking at states."""
    verbs = []
    for call in self.calls():
      if 'ssh' in call:
        verbs.append('train' if 'vidcolor.train' in ' '.join(call) else 'ssh')
      elif 'describe' not in call:
        verbs.append(call[4])
    return ' '.join(verbs)


@pytest.fixture
def machine(tmp_path) -> Machine:
  return Machine(tmp_path)


CALLS = {
    f'{TPU} {KIND} --do=create --spot --project=p --name=n'
    ' --create_flags="--data-disk=source=d,mode=read-only --network=x"': (
        'gcloud compute tpus queued-resources create n --node-id=n'
        ' --accelerator-type=v5litepod-8 --runtime-version=v2-alpha-tpuv5-lite'
        ' --data-disk=source=d,mode=read-only --network=x --spot'
        ' --zone=us-west4-a --project=p'
    ),
    f'{TPU} --do=copy --setup="mount a"': None,
    f'{TPU} --do=copy --git_url="u v" --commit=abc': None,
    f'{TPU} --do=run': None,
    f'{TPU} --do=delete': (
        'gcloud compute tpus queued-resources delete vidcolor --force --quiet'
        ' --zone=us-west4-a'
    ),
    # xpk hands SIGTERM to the shell, which has to be training by then: exec.
    f'{GKE} --tpu_type=t --docker_image=i --spot --num_slices=2': (
        'xpk workload create --spot --restart-on-exit-codes=75'
        f' --termination-grace-period-seconds=120 {shlex.quote(EXEC)}'
        ' --cluster=c --workload=vidcolor --tpu-type=t --num-slices=2'
        ' --docker-image=i --max-restarts=100'
    ),
    f'{GKE} --device_type=d --base_docker_image=i --setup="mount a"': None,
    f'{GKE} --do=list': (
        'xpk workload list --filter-by-job=vidcolor --cluster=c'
    ),
    f'{GKE} --do=delete': (
        'xpk workload delete --force --cluster=c --workload=vidcolor'
    ),
    '--on=gpu': f'python -m vidcolor.train {shlex.join(TRICKY)}',
    f'{GPU} --do=copy': None,
    f'{GPU} --do=start': None,
    f'{GPU} --do=log': "ssh h 'tail -n 100 -F vidcolor/train.log'",
    f'{GPU} --do=stop': None,
}


@pytest.mark.parametrize('line', CALLS)
def test_dry_run_calls_nothing_and_prints_what_is_called(machine, line):
  printed, _ = machine.run(f'{line} --dry_run', *TRICKY)
  assert not machine.calls()
  assert not list(machine.root.glob('*.tar.gz'))
  machine.run(line, *TRICKY)
  calls = machine.calls()
  assert calls
  if CALLS[line]:
    assert calls == [shlex.split(CALLS[line])]
  machine.paste(printed)
  assert machine.calls() == calls


def test_tpu_copy_sends_the_commit_and_installs_it(machine):
  machine.run(f'{TPU} --do=copy --setup=\'mount a "b c"\'')
  scp, unpack, install = machine.calls()
  zone = '--zone=us-west4-a'
  assert scp[:5] == 'gcloud compute tpus tpu-vm scp'.split()
  assert scp[6:] == ['vidcolor:vidcolor.tar.gz', '--worker=all', zone]
  names = subprocess.check_output(['tar', '-tf', scp[5]], text=True)
  assert 'vidcolor/train.py' in names.splitlines()
  assert unpack == [
      *'gcloud compute tpus tpu-vm ssh vidcolor --worker=all'.split(),
      '--command=mkdir -p vidcolor && tar -xzf vidcolor.tar.gz -C vidcolor',
      '--ssh-flag=-oServerAliveInterval=30',
      '--ssh-flag=-oConnectTimeout=30',
      zone,
  ]
  assert '-e . \'jax[tpu]\' gcsfs && mount a "b c"' in install[7]


def test_cloning_checks_the_commit_out_also_over_another_one(machine):
  origin, home = machine.root / 'origin', machine.root / 'home'
  home.mkdir()
  machine.paste(f'git init --quiet {origin}')
  machine.stand_in('ssh', f'cd {home}; eval "${{2%%&& PIP*}} && true"')
  git = f'git -C {origin} -c user.name=n -c user.email=e'
  for text in ('one', 'two'):
    (origin / 'file').write_text(text)
    machine.paste(f'{git} add file; {git} commit --quiet -m {text}')
    commit = (origin / '.git/logs/HEAD').read_text().split('\n')[-2].split()[1]
    machine.run(f'{GPU} --do=copy --git_url={origin} --commit={commit}')
    assert (home / 'vidcolor/file').read_text() == text


def test_tpu_run_trains_on_all_workers_with_the_very_words(machine):
  home = machine.root / 'vidcolor'
  home.mkdir()
  (home / '.venv').symlink_to(machine.root)
  machine.stand_in('python', 'echo $$ >"$here/pid"; exit 75')
  machine.stand_in('gcloud', 'exec bash -c "${7#--command=}"')
  # What holds the chips since its connection broke.
  old = subprocess.Popen(
      ['bash', '-c', f'trap "exit 7" TERM; {LOOP}', '-m', 'vidcolor.train']
  )
  (home / 'train.pid').write_text(f'{old.pid}\n')
  machine.run(f'{TPU} --do=run', *TRICKY, code=75)
  assert old.wait(timeout=10) == 7
  assert (home / 'train.pid').read_text() == (machine.bin / 'pid').read_text()
  gcloud, train = machine.calls()
  expected = 'gcloud compute tpus tpu-vm ssh vidcolor --worker=all'
  assert gcloud[:7] == expected.split()
  assert train == [*TRAIN, '--cluster', *TRICKY]


LIFE = 'scp ssh ssh train'  # What gcloud does for a slice that trains.
RENEW = 'delete create'


# What is played; what gcloud does; the launcher's code and one of its messages.
WATCHES = f"""
states=NOT_FOUND,WAITING,BROKEN,SUSPENDING | create {LIFE} | 0 | BROKEN: Res
states=ACTIVE,SUSPENDED,FAILED codes=75 | {LIFE} {RENEW} {RENEW} {LIFE} | 0 |
nodes=READY,PREEMPTED,PREEMPTED codes=1 | {LIFE} {RENEW} {LIFE} | 0 | PREEMPTED
codes=2 | {LIFE} | 2 | the slice is well
codes=75 | {LIFE} train | 0 | training ended with code 75
codes=134 | {LIFE} train | 0 | training ended with code 134
codes=255 | {LIFE} train | 0 | training ended with code 255
states=NOT_FOUND,NOT_FOUND create_codes=1 | create create {LIFE} | 0 | again
codes=75,75,75 | {LIFE} train train | 2 | error: training was started 2 times
"""


@pytest.mark.parametrize('case', WATCHES.strip().splitlines())
def test_tpu_watch(machine, case):
  plays, calls, code, message = (part.strip() for part in case.split('|'))
  for play in plays.split():
    name, words = play.split('=')
    (machine.bin / name).write_text(words.replace(',', ' '))
  flags = f'{TPU} {KIND} --poll_seconds=0 --max_restarts=2'
  _, error = machine.run(flags, *TRICKY, code=int(code))
  assert machine.verbs() == calls
  assert message in error


def test_tpu_watch_dry_run_prints_a_round_and_calls_nothing(machine):
  printed, _ = machine.run(f'{TPU} {KIND} --dry_run', *TRICKY)
  assert not machine.calls()
  machine.paste(printed)
  assert machine.verbs() == f'create {LIFE} delete create'


@pytest.mark.parametrize(
    'codes, code, runs',
    [
        ('75 75 0', 0, 3),
        ('1', 1, 1),
        ('2', 2, 1),
        ('75 137', 137, 2),
        ('75 75 75 75', 2, 3),  # It starts no more often than allowed.
    ],
)
def test_gpu_runs_again_on_the_retry_code_only(machine, codes, code, runs):
  machine.stand_in('python', 'exit "$(next codes 0)"')
  (machine.bin / 'codes').write_text(codes)
  flags = '--on=gpu --wait_seconds=0 --max_restarts=2'
  machine.run(flags, *TRICKY, code=code)
  assert machine.calls() == [[*TRAIN, *TRICKY]] * runs


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_gpu_run_hands_a_signal_on_and_ends(machine, number):
  machine.stand_in('python', f'trap "sleep .3; exit 75" TERM; {LOOP}')
  with machine.start('--on=gpu', *TRICKY) as process:
    assert process.stdout.readline() == 'up\n'
    process.send_signal(number)
    assert process.wait(timeout=10) == 75
  assert len(machine.calls()) == 1


def test_gpu_start_trains_on_the_host_until_stop(machine):
  # The launcher runs there, too, by the same Python as training.
  launcher = f'[[ $2 != experiments.launch ]] || exec {sys.executable} "$@"'
  machine.stand_in('python', f'{launcher}; trap "exit 75" TERM; {LOOP}')
  machine.stand_in('ssh', 'exec bash -c "$2"')
  home = machine.root / 'vidcolor'
  home.mkdir()
  (home / '.venv').symlink_to(machine.root)
  machine.run(f'{GPU} --do=start', *TRICKY)
  try:
    _wait_for(lambda: 'up' in (home / 'train.log').read_text())
    _, error = machine.run(f'{GPU} --do=start', *TRICKY, code=2)
    assert 'it trains already' in error
    assert [*TRAIN, *TRICKY] in machine.calls()
  finally:
    machine.run(f'{GPU} --do=stop')
  stat = pathlib.Path('/proc', (home / 'train.pid').read_text().strip(), 'stat')
  _wait_for(lambda: not stat.exists() or ') Z ' in stat.read_text())


def _wait_for(condition):
  for _ in range(200):
    if condition():
      return
    time.sleep(0.05)
  raise AssertionError('it did not happen in ten seconds')


@pytest.mark.parametrize(
    'code, restarts, requeued',
    [(75, 0, True), (75, 100, False), (0, 0, False), (1, 0, False)],
)
def test_slurm_queues_the_job_again_on_the_retry_code_only(
    machine, code, restarts, requeued
):
  machine.stand_in('python', f'echo "$JAX_LOCAL_DEVICE_IDS"; exit {code}')
  machine.stand_in('sbatch', 'tee job; bash -e job')
  machine.stand_in('srun', 'while [[ $1 == --* ]]; do shift; done; "$@"')
  env = {'SLURM_JOB_ID': '17', 'SLURM_RESTART_COUNT': str(restarts)}
  flags = '--on=slurm --nodes=4 --gpus_per_node=3'
  output, _ = machine.run(flags, *TRICKY, code=code, **env)
  sbatch, srun, train, *rest = machine.calls()
  assert sbatch == ['sbatch']
  assert srun[1:3] == ['--cpus-per-task=64', '--wait=300']
  assert train == [*TRAIN, '--cluster', *TRICKY]
  assert rest == ([['scontrol', 'requeue', '17']] if requeued else [])
  options = '--nodes=4 --gpus-per-node=3 --ntasks-per-node=1 --requeue'
  for option in f'{options} --signal=TERM@120'.split():
    assert f'#SBATCH {option}\n' in output
  assert '--partition' not in output
  assert '\n0,1,2\n' in output


def test_slurm_dry_run_prints_the_script_that_is_submitted(machine):
  line = '--on=slurm --partition=p --setup="module load cuda"'
  printed, _ = machine.run(f'{line} --dry_run', *TRICKY)
  assert not machine.calls()
  machine.stand_in('sbatch', 'cat')
  assert machine.run(line, *TRICKY)[0] == printed
  assert '#SBATCH --partition=p\n' in printed
  assert '\nmodule load cuda\n' in printed


MISTAKES = f"""
--on=tpu --do=delete: --zone is missing
{TPU} --do=create: --accelerator_type is missing
{TPU} --do=run: vidcolor.train needs --workdir=DIR
{TPU} --do=run -- --workdir=/run: --workdir=/run is lost with its machine
{TPU} --do=run --mounted=/d -- --workdir /data: --workdir=/data is lost with
{TPU} {KIND} --git_url=u -- --workdir=gs://b: --commit is missing
{TPU} --do=start: --do=start is not one of watch, create, copy, run, delete
{TPU} --zome=z: Unknown command line flag 'zome'
{TPU} --cluster=c: --cluster is not a flag of --on=tpu
{TPU} zone: zone is not a flag
{TPU} --do=copy --commit=nope: --commit=nope is not a commit of
{TPU} --do=copy --git_url=u: --commit is missing
--on=gke --do=list: --cluster is missing
{GKE}: --tpu_type or --device_type is missing
{GKE} --tpu_type=t: --base_docker_image or --docker_image is missing
{GKE} --tpu_type=t --docker_image=i -- --workdir=run: --workdir=run is lost
--on=gpu --do=start -- --workdir=w: --host is missing
--on=slurm: vidcolor.train needs --workdir=DIR
{TPU} --do=delete: gcloud is not installed
{GKE} --do=list: xpk is not installed
{GPU} --do=stop: ssh is not installed
--on=gpu --python=py4 -- --workdir=w: py4 is not installed
--on=slurm -- --workdir=w: sbatch is not installed
"""


@pytest.mark.parametrize('case', MISTAKES.strip().splitlines())
def test_mistakes_end_in_one_line_before_any_call(machine, case):
  line, message = case.split(': ', 1)
  env = {'PATH': ''} if 'installed' in message else {}
  _, error = machine.run(line, code=2, **env)
  assert error.startswith(f'error: {message}')
  assert error.count('\n') == 1
  assert not machine.calls()


def test_help_tells_the_actions_and_the_flags(machine):
  output, _ = machine.run('--help', code=1)
  for text in ('watch, create, copy, run, delete', '--tpu_type', '(--on=gke)'):
    assert text in output


def test_a_workdir_in_a_mounted_folder_is_taken(machine):
  machine.run(f'{TPU} --do=run --mounted=/mnt/d/', '--workdir=/mnt/d/run')

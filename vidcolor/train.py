"""Trains an embedding network by colorizing video.

python -m vidcolor.train --config=experiments/configs/compact.py --workdir=DIR

To train on a cluster, run the same command on every machine. With --cluster,
JAX finds the other machines (on TPU pods, SLURM and GKE). Elsewhere, give
--coordinator=HOST:PORT, --num_processes and --process_id.

With --compile_for=v5e:16x16 added, the same command compiles the training step
for 256 chips that this machine need not have, and tells whether they have
enough memory and how fast the compiler expects them to be. It reads no data.
"""

import pathlib
import re

from absl import flags
import jax
from ml_collections import config_flags

from vidcolor import errors
from vidcolor import files
from vidcolor import program
from vidcolor.benchmarks.davis import during_training
from vidcolor.training import compiled
from vidcolor.training import loop

_CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'Config file; --config.FIELD=VALUE sets a field.'
)
_WORKDIR = flags.DEFINE_string(
    'workdir',
    None,
    'Folder of checkpoints and logs. Training resumes from its checkpoints.',
)
_COMPILE_FOR = flags.DEFINE_string(
    'compile_for',
    None,
    'Devices such as v5e:2x4, v5e-256, v6e:4x4, v5p:2x2x1 or h100x8. The step'
    ' is only compiled for them, nothing is run, and --workdir may be left out.'
    ' With it, the report is written there as compiled.json.',
)
_PROFILE = flags.DEFINE_string(
    'profile',
    None,
    'START:STOP, the first and last step of a trace. It is written to --workdir'
    " and shown by TensorBoard's profile plugin.",
)
_CLUSTER = flags.DEFINE_bool(
    'cluster', False, 'Train with the other processes that JAX finds.'
)
_COORDINATOR = flags.DEFINE_string(
    'coordinator',
    None,
    'HOST:PORT of process 0, which all processes can reach.',
)
_NUM_PROCESSES = flags.DEFINE_integer(
    'num_processes', None, 'Number of processes, with --coordinator.', 1
)
_PROCESS_ID = flags.DEFINE_integer(
    'process_id', None, 'Index of this process, starting at 0.', 0
)


def main() -> None:
  """Trains. Running the same command again resumes."""
  config, workdir = _CONFIG.value, _WORKDIR.value
  if _COMPILE_FOR.value is not None:
    _compile(config, _COMPILE_FOR.value, workdir)
    return
  if workdir is None:
    raise errors.UserError('give --workdir=DIR, the folder of the run')
  profile_steps = _profile_steps()
  _join_processes()
  with files.report_full_disk(workdir):
    loop.train(
        config,
        workdir,
        evaluate=during_training.make_evaluator(config, workdir),
        profile_steps=profile_steps,
    )


def _compile(config, devices, workdir):
  if workdir is not None:
    files.make_folder(workdir)
  found = compiled.of_training(config, devices)
  print(compiled.in_words(found))
  if workdir is not None:
    files.write_json(pathlib.Path(workdir) / 'compiled.json', found)


def _profile_steps():
  if _PROFILE.value is None:
    return None
  match = re.fullmatch(r'(\d+):(\d+)', _PROFILE.value)
  if not match or not 0 < int(match[1]) <= int(match[2]):
    raise errors.UserError(
        f'--profile={_PROFILE.value}: give the first and the last step, as in'
        ' --profile=20:25'
    )
  return int(match[1]), int(match[2])


def _join_processes():
  """Joins the other processes. JAX must not have looked for devices yet."""
  explicit = dict(
      coordinator_address=_COORDINATOR.value,
      num_processes=_NUM_PROCESSES.value,
      process_id=_PROCESS_ID.value,
  )
  given = [value for value in explicit.values() if value is not None]
  if not given and not _CLUSTER.value:
    return
  if given and (_CLUSTER.value or len(given) < len(explicit)):
    raise errors.UserError(
        'give --cluster alone, or --coordinator, --num_processes and'
        ' --process_id together'
    )
  try:
    jax.distributed.initialize(**explicit)
  except (RuntimeError, ValueError) as error:
    raise errors.UserError(
        f'the processes cannot connect to each other ({error}): check'
        ' --coordinator, --num_processes and --process_id'
    ) from error


if __name__ == '__main__':
  flags.mark_flag_as_required('config')
  program.run(main)

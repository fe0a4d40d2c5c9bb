"""Trains an embedding network by colorizing video.

python -m vidcolor.train --config=experiments/configs/compact.py --workdir=DIR

The same line on every machine of a cluster trains on all of them together: with
--cluster where JAX knows how to find them (TPU pods, SLURM, GKE), else with
--coordinator=HOST:PORT, --num_processes and --process_id.
"""

import re

from absl import flags
import jax
from ml_collections import config_flags

from vidcolor import errors
from vidcolor import files
from vidcolor import program
from vidcolor.benchmarks.davis import during_training
from vidcolor.training import loop

_CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'Config file; --config.FIELD=VALUE sets a field.'
)
_WORKDIR = flags.DEFINE_string(
    'workdir',
    None,
    'Where checkpoints and logs go; resumed if it has some.',
    required=True,
)
_PROFILE = flags.DEFINE_string(
    'profile',
    None,
    'START:STOP, the first and last step of a trace in --workdir, which'
    " TensorBoard's profile plugin shows.",
)
_CLUSTER = flags.DEFINE_bool(
    'cluster', False, 'Train with the other processes that JAX finds.'
)
_COORDINATOR = flags.DEFINE_string(
    'coordinator', None, 'HOST:PORT of process 0; all processes must reach it.'
)
_NUM_PROCESSES = flags.DEFINE_integer(
    'num_processes', None, 'Of the whole run, with --coordinator.', 1
)
_PROCESS_ID = flags.DEFINE_integer(
    'process_id', None, 'Which of them this is, from 0 on.', 0
)


def main() -> None:
  """Trains; run it again with the same line to resume."""
  config, workdir = _CONFIG.value, _WORKDIR.value
  profile_steps = _profile_steps()
  _join_processes()
  with files.report_full_disk(workdir):
    loop.train(
        config,
        workdir,
        evaluate=during_training.make(config, workdir),
        profile_steps=profile_steps,
    )


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
  """Must come before JAX looks for devices."""
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
    raise errors.UserError(f'the processes do not meet: {error}') from error


if __name__ == '__main__':
  flags.mark_flag_as_required('config')
  program.run(main)

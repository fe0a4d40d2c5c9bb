"""Wrong values in a training config are one line, before anything starts."""

import pytest

from experiments.configs import compact
from experiments.configs import paper
from experiments.configs import pod
from experiments.configs import strong
from tests import programs
from tests import tiny
from vidcolor import errors
from vidcolor.training import loop
from vidcolor.training import validation


@pytest.mark.parametrize('module', [compact, paper, pod, strong])
def test_the_configs_are_right(module):
  validation.check_config(module.get_config())


@pytest.mark.parametrize(
    ('field', 'value', 'told'),
    [
        ('seed', -1, 'config.seed=-1: give a whole number from 0'),
        ('steps', 0, 'config.steps=0: give a whole number of 1 or more'),
        ('batch_size', 0, 'config.batch_size=0: give a whole'),
        ('accumulate', 0, 'config.accumulate=0: give a whole'),
        ('fsdp', 0, 'config.fsdp=0: give a whole'),
        ('remat', 'all', 'config.remat=all: give one of none, norms, blocks'),
        ('target', 'lab', 'config.target=lab: give one of classes, values'),
        ('max_grad_norm', 0.0, 'config.max_grad_norm=0.0: give a positive'),
        ('log_every', -1, 'config.log_every=-1: give .* 0 switches it off'),
        ('images_every', -1, 'config.images_every=-1: give'),
        ('checkpoint_every', -1, 'config.checkpoint_every=-1: give'),
        ('keep_every', -1, 'config.keep_every=-1: give'),
        ('clips.max_shift', 1.5, 'config.clips.max_shift=1.5: give'),
        ('evaluation.every', -1, 'config.evaluation.every=-1: give'),
        ('clips.num_frames', 1, 'clips.num_frames=1: give .* 2 or more'),
        ('clips.max_frame_step', 0, 'config.clips.max_frame_step=0: give'),
        ('clips.crop_size', 0, 'config.clips.crop_size=0: give'),
        ('clips.crop_size', 30, 'config.clips.crop_size=30: give .* of 8'),
        ('clips.min_scale', 0.0, 'config.clips.min_scale=0.0: give'),
        ('clips.min_scale', 1.5, 'config.clips.min_scale=1.5: give'),
        ('clips.num_workers', -1, 'config.clips.num_workers=-1: give'),
        ('copy.temperature', 0.0, 'config.copy.temperature=0.0: give'),
        ('model.name', 'tiny', 'config.model.name=tiny: cannot import'),
        ('model.channels', 2, 'channels=2: give 1 for grey or 3 for Lab'),
        ('model.stride', 16, 'config.model .*stride=16: give 4 or 8'),
        ('model.width', 0, 'width=0: give an even number'),
        ('model.width', 7, 'width=7: give an even number'),
        ('model.embedding_dim', 0, 'embedding_dim=0: give'),
        ('model.fine_blocks', 0, 'fine_blocks=0: give'),
        ('model.coarse_blocks', 0, 'coarse_blocks=0: give'),
        ('model.dtype', 'bf16', 'dtype=bf16: give float32, bfloat16'),
        ('model.dtype', 'int32', 'dtype=int32: give float32, bfloat16'),
        ('tracking.recent', -1, 'correct `tracking`'),
    ],
)
def test_a_wrong_value_is_one_line(field, value, told):
  with pytest.raises(errors.UserError, match=told) as error:
    changes = {'model.name': 'compact'} | {field: value}
    validation.check_config(tiny.config('', **changes))
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    'knots',
    [
        (1e-3,),  # What --config.learning_rate=1e-3 makes.
        1e-3,
        (),
        ((0.0, 1e-3, 1.0),),
        ((0.5, 1e-3), (0.1, 1e-3)),
        ((0, 1e-3), (2, 1e-3)),
        ((0.0, -1e-3), (1.0, 0.0)),
        (('a', 'b'),),
    ],
)
def test_a_learning_rate_that_is_no_schedule_is_one_line(knots):
  config = tiny.config('').unlock()
  del config.learning_rate
  config.learning_rate = knots
  with pytest.raises(errors.UserError, match='config.learning_rate=.*: give'):
    validation.check_config(config)


@pytest.mark.parametrize(
    ('options', 'told'),
    [
        ({'radius': 0}, 'config.copy.radius=0: give'),
        ({'top_k': 0}, 'config.copy.top_k=0: give'),
        ({'block_size': -1}, 'config.copy.block_size=-1: give'),
        ({'block_size': 8, 'radius': 2}, 'cannot be combined with radius'),
        ({'reach': 2}, 'config.copy.reach: copying.copy has no such option'),
    ],
)
def test_wrong_copy_options_are_one_line(options, told):
  config = tiny.config('')
  config.copy.update(options)
  with pytest.raises(errors.UserError, match=told):
    validation.check_config(config)


def test_a_missing_field_is_one_line():
  config = tiny.config('').unlock()
  del config.accumulate
  with pytest.raises(errors.UserError, match='config.accumulate is missing'):
    validation.check_config(config)


def test_training_checks_first(tmp_path):
  config = tiny.config('nowhere', batch_size=0)
  with pytest.raises(errors.UserError, match='config.batch_size=0'):
    loop.train(config, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_the_program_ends_with_2(tmp_path):
  result = programs.run_here(
      'vidcolor.train',
      '--config=experiments/configs/compact.py',
      f'--workdir={tmp_path / "run"}',
      '--config.learning_rate=1e-3',
  )
  assert result.returncode == 2
  assert result.stderr.startswith('error: config.learning_rate=')
  assert result.stderr.count('\n') == 1

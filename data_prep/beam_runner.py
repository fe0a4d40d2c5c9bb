"""Writes shards with Apache Beam: on Dataflow, Flink, Spark or this machine."""

from collections.abc import Sequence

import apache_beam as beam
from apache_beam.options import pipeline_options

from data_prep import isolated_process
from data_prep import shards as shards_lib


def run(
    shards: Sequence[shards_lib.Shard],
    recipe: shards_lib.Recipe,
    options: Sequence[str],
) -> None:
  """Writes shards. The workers must see the same files as this machine.

  Args:
    shards: Shards to write.
    recipe: How clips become records.
    options: Options of Beam, such as '--runner=FlinkRunner'.
  """
  parsed = pipeline_options.PipelineOptions(list(options))
  # The names of all clips would make the pipeline too large for some services.
  paths = [shards_lib.write_plan(shard) for shard in shards]
  with beam.Pipeline(options=parsed) as pipeline:
    _ = (
        pipeline
        | beam.Create(paths)
        | beam.Reshuffle()
        | beam.ParDo(_Write(recipe))
    )


class _Write(beam.DoFn):
  """Writes a shard, in a process of its own."""

  def __init__(self, recipe):
    self._recipe = recipe

  def setup(self):
    self._process = isolated_process.IsolatedProcess()

  def process(self, path):
    shard = shards_lib.read_plan(path)
    shards_lib.write(shard, self._recipe, self._process)

  def teardown(self):
    self._process.close()

"""Imports what programs import, once, and runs each in a fork of itself.

Imports take longer than most of the programs that tests run. From a line of
JSON on standard input a fork runs a program to its end as `python -m` does; a
line with its exit code comes back.
"""

import json
import os
import runpy
import signal
import sys
import warnings

# Imported for the forks.
# ruff: noqa: F401
from absl import app
import av
import cv2
from flax import nnx
import grain
import jax
from matplotlib import pyplot
from ml_collections import config_flags
import optax
from orbax import checkpoint
import sklearn.decomposition
import tensorboardX
import tensorflow_datasets

_LIMIT = 600  # Seconds.

while True:
  line = sys.stdin.readline()
  if not line:
    sys.exit()
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # JAX's: its threads are yet to start.
    pid = os.fork()
  if not pid:
    break
  _, status = os.waitpid(pid, 0)
  print(os.waitstatus_to_exitcode(status), flush=True)

# What follows runs in a fork, which ends as any interpreter does.
request = json.loads(line)
signal.alarm(_LIMIT)
for number, path, flags in (
    (0, os.devnull, os.O_RDONLY),
    (1, request['stdout'], os.O_WRONLY),
    (2, request['stderr'], os.O_WRONLY),
):
  os.dup2(os.open(path, flags), number)
sys.argv[1:] = request['args']
runpy.run_module(request['module'], run_name='__main__', alter_sys=True)

"""Imports what programs import, once, and runs each in a fork of itself.

Imports take longer than most of the programs that tests run. A request on the
socket that is standard input names a module and its arguments, as JSON, and
brings three files: the program's output, its errors, and one for its process
ID, which its exit code follows when it has ended.
"""

import contextlib
import gc
import json
import os
import runpy
import signal
import socket
import sys
import warnings

# Forks share what is imported as long as nothing looks through it for garbage.
gc.disable()

# Imported for the forks.
# ruff: noqa: E402, F401
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


def _fork():
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # JAX's: its threads are yet to start.
    return os.fork()


gc.freeze()
requests = socket.socket(fileno=os.dup(0))
while True:
  text, files, _, _ = socket.recv_fds(requests, 1 << 16, 3)
  # Each program has a fork that waits for it. These forks are waited for here,
  # so that the time that programs take counts as this process's.
  with contextlib.suppress(ChildProcessError):
    while os.waitpid(-1, os.WNOHANG if text else 0)[0]:
      pass
  if not text:
    sys.exit()
  if not _fork():
    break
  for file in files:
    os.close(file)

requests.close()
request, status = json.loads(text), files.pop()
pid = _fork()
if pid:
  for file in files:
    os.close(file)
  os.write(status, f'{pid}\n'.encode())
  _, ended = os.waitpid(pid, 0)
  os.write(status, f'{os.waitstatus_to_exitcode(ended)}\n'.encode())
  os._exit(0)

# What follows runs in a fork, which ends as any interpreter does.
os.close(status)
os.setsid()
signal.alarm(_LIMIT)
gc.enable()
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
for number, file in enumerate(files, 1):
  os.dup2(file, number)
  os.close(file)
os.environ.update(request['env'])
sys.argv[1:] = request['args']
runpy.run_module(request['module'], run_name='__main__', alter_sys=True)

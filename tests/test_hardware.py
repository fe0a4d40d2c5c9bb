import types

import jax
import numpy as np
import pytest

from vidcolor.training import hardware


@pytest.mark.parametrize(
    ('kind', 'tflops'),
    [
        ('TPU v5 lite', 197),
        ('TPU v5p', 459),
        ('NVIDIA H200', 989),
        ('NVIDIA H100 80GB HBM3', 989),
        ('NVIDIA H100 PCIe', 756),
        ('NVIDIA L40S', 362),
        ('NVIDIA L4', 121),
        ('cpu', None),
    ],
)
def test_peak_of_a_device(kind, tflops):
  assert hardware.peak_flops(kind) == (tflops and tflops * 1e12)


@pytest.mark.slow
def test_peak_memory_grows_with_what_is_held():
  before = hardware.peak_memory()
  held = np.ones(before // 8 + (64 << 20) // 8)  # More than ever before.
  assert hardware.peak_memory() > before + (32 << 20)
  assert held.all()


def test_peak_memory_is_the_devices_where_it_tells(monkeypatch):
  device = types.SimpleNamespace(memory_stats=lambda: {'peak_bytes_in_use': 7})
  monkeypatch.setattr(jax, 'local_devices', lambda: [device])
  assert hardware.peak_memory() == 7

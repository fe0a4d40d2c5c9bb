"""Peak speed, clock and memory of the devices."""

import resource

import jax

# Peak TFLOP/s of dense products in bfloat16 (in float16 where there is no
# bfloat16), as the vendors state them, of one JAX device. The first name that
# the device's kind starts with counts.
_PEAK_TFLOPS = {
    'TPU v4': 275.0,
    'TPU v5 lite': 197.0,
    'TPU v5': 459.0,
    'TPU v6 lite': 918.0,
    'TPU7x': 1153.5,  # A chip is two devices.
    'NVIDIA B200': 2250.0,
    'NVIDIA H200': 989.0,
    'NVIDIA H100 PCIe': 756.0,
    'NVIDIA H100 NVL': 835.0,
    'NVIDIA H100': 989.0,
    'NVIDIA A100': 312.0,
    'NVIDIA A10G': 70.0,
    'NVIDIA L40S': 362.0,
    'NVIDIA L4': 121.0,
    'Tesla V100': 125.0,
    'Tesla T4': 65.0,
}
# The clock with which the matrix units reach this peak: they do 2**17 FLOPs a
# cycle in a v5e, 2**18 in a v5p and 2**19 in a v6e.
_CLOCK_GHZ = {'TPU v5 lite': 1.5, 'TPU v5': 1.75, 'TPU v6 lite': 1.75}
# GiB that a program may use: as the TPU compiler states them, and the three
# quarters that JAX takes of a GPU unless it is told otherwise.
_MEMORY_GIB = {
    'TPU v5 lite': 15.75,
    'TPU v5': 95.73,
    'TPU v6 lite': 31.24,
    'NVIDIA H100': 60.0,
}


def peak_flops(device_kind: str) -> float | None:
  """Returns the peak FLOP/s of a kind of device, or None if it is unknown."""
  tflops = _find(_PEAK_TFLOPS, device_kind)
  return tflops and tflops * 1e12


def clock(device_kind: str) -> float | None:
  """Returns cycles a second of a kind of TPU, or None if it is unknown."""
  ghz = _find(_CLOCK_GHZ, device_kind)
  return ghz and ghz * 1e9


def memory(device_kind: str) -> int | None:
  """Returns the bytes that a program may use, or None if it is unknown."""
  gib = _find(_MEMORY_GIB, device_kind)
  return gib and int(gib * (1 << 30))


def _find(table, device_kind):
  for kind, value in table.items():
    if device_kind.startswith(kind):
      return value
  return None


def peak_memory() -> int:
  """Returns the peak memory of a local device in bytes.

  On a CPU it is the peak memory of this process.
  """
  stats = jax.local_devices()[0].memory_stats() or {}
  if 'peak_bytes_in_use' in stats:
    return stats['peak_bytes_in_use']
  return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

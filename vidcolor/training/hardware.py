"""Peak speed and memory of the devices."""

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


def peak_flops(device_kind: str) -> float | None:
  """Returns the peak FLOP/s of a kind of device, or None if it is unknown."""
  for kind, tflops in _PEAK_TFLOPS.items():
    if device_kind.startswith(kind):
      return tflops * 1e12
  return None


def peak_memory() -> int:
  """Returns the peak memory of a local device in bytes.

  On a CPU it is the peak memory of this process.
  """
  stats = jax.local_devices()[0].memory_stats() or {}
  if 'peak_bytes_in_use' in stats:
    return stats['peak_bytes_in_use']
  return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

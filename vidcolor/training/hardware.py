"""What the device can do, and how much of its memory was taken."""

import resource

import jax

# Peaks of dense products in bfloat16 (float16 where there is none), as the
# vendors give them, for what JAX calls one device. The first that fits counts.
_PEAK_TFLOPS = {
    'TPU v4': 275.0,
    'TPU v5 lite': 197.0,
    'TPU v5': 459.0,
    'TPU v6 lite': 918.0,
    'TPU7x': 1153.5,  # Two devices a chip.
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
  """FLOP/s that such a device could do at most, or None if not known."""
  for kind, tflops in _PEAK_TFLOPS.items():
    if device_kind.startswith(kind):
      return tflops * 1e12
  return None


def peak_memory() -> int:
  """Most bytes ever taken: of a device here, or on a CPU by the process."""
  stats = jax.local_devices()[0].memory_stats() or {}
  if 'peak_bytes_in_use' in stats:
    return stats['peak_bytes_in_use']
  return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

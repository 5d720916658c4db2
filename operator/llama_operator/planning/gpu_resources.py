"""Extended resources that stand for GPUs, and the taints of nodes that offer them."""

from functools import lru_cache
from typing import Final

NVIDIA: Final = "nvidia.com/gpu"
NVIDIA_SHARED: Final = "nvidia.com/gpu.shared"
"""Resource of time-sliced GPUs where the device plugin renames them."""
SHARED_RESOURCE: Final = ".shared"
MIG_PREFIX: Final = "nvidia.com/mig-"
"""Resources of slices under the MIG strategy `mixed`, e.g. `nvidia.com/mig-1g.10gb`."""
AMD: Final = "amd.com/gpu"
GAUDI: Final = "habana.ai/gaudi"
INTEL_GPUS: Final = ("gpu.intel.com/i915", "gpu.intel.com/xe")
"""Resources by the kernel's driver, older and newer; integrated graphics count as well."""
INTEL: Final = frozenset({*INTEL_GPUS, GAUDI})
"""Resources that no engine of the catalog has an image for."""
_WHOLE: Final = frozenset({NVIDIA, NVIDIA_SHARED, AMD, *INTEL})

TOLERATED_TAINTS: Final = (NVIDIA, AMD, GAUDI)
"""Taints that mark GPU nodes; pods tolerate their own resource's."""


@lru_cache(maxsize=4096)
def is_gpu_resource(name: str) -> bool:
    """Whether an extended resource stands for GPUs, or for slices or shares of them."""
    return name in _WHOLE or is_mig_resource(name)


def is_mig_resource(name: str) -> bool:
    """Whether a resource stands for slices of one MIG profile."""
    return name.startswith(MIG_PREFIX) and len(name) > len(MIG_PREFIX)

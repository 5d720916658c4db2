"""GPUs that a replica might run on, and what rules them out before any byte is counted."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from llama_operator.api.enums import KvCacheDType
from llama_operator.api.reasons import Reason
from llama_operator.api.v1alpha1 import HardwareSpec, LlamaDeploymentSpec
from llama_operator.catalog.engine_tables import EngineImage, engine_images
from llama_operator.catalog.rows import EngineVersion, Scheme
from llama_operator.engines.loading import load_refusal
from llama_operator.planning.choices import Choice
from llama_operator.planning.survey import GpuPool
from llama_operator.sizing.division import TENSOR_PARALLEL_SIZES, engine_division_obstacle
from llama_operator.sizing.settings import default_dtype

NVIDIA_VENDOR: Final = "NVIDIA"
FP8_KV_CAPABILITY: Final = (8, 0)
"""Least capability for an fp8 KV cache; from 8.9 on the hardware converts it."""


_ENGINE_DTYPES: Final = {"bf16": "bfloat16", "fp16": "float16"}
"""Names of compute dtypes for `--dtype`."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """GPUs of one pool that a replica might run on.

    `preference` is the index of the entry of spec.hardware that allows them, 0 without entries.
    """

    pool: GpuPool
    tensor_parallel_size: int
    preference: int

    @property
    def gpus(self) -> str:
        """The GPUs for people, e.g. `4x NVIDIA-A10G`."""
        return f"{self.tensor_parallel_size}x {self.pool.product}"

    @property
    def micro_usd_per_hour(self) -> int | None:
        """Price of a replica in millionths of a dollar; None when the GPU has none."""
        price = self.pool.micro_usd_per_hour
        return None if price is None else self.tensor_parallel_size * price


def candidates(
    spec: LlamaDeploymentSpec,
    choice: Choice,
    pools: tuple[GpuPool, ...],
    *,
    undivided: bool = False,
) -> Iterator[Candidate]:
    """GPUs that the spec allows, by preference and pool, fewest of each pool first.

    A count that the user fixed and a single GPU are always tried, so that a refusal can say what is
    wrong with them.

    Args:
        spec: what to serve.
        choice: one publication and its engine.
        pools: the GPUs of the cluster.
        undivided: give counts too that the model does not divide by, for those who ask why not.
    """
    for preference, pool, count in _allowed(spec.hardware, pools):
        if preferred_engine(choice, pool) is not None:
            continue
        if count is not None:
            yield Candidate(pool, count, preference)
            continue
        for size in TENSOR_PARALLEL_SIZES:
            if size > 1 and not (pool.divisible and size <= pool.largest_cards):
                break
            obstacle = _division_obstacle(choice, size)
            if undivided or size == 1 or obstacle is None:
                yield Candidate(pool, size, preference)


def preferred_engine(choice: Choice, pool: GpuPool) -> EngineVersion | None:
    """The engine that comes before the choice's own and runs the same weights on GPUs of a pool."""
    return next(
        (version for version in choice.preferred if _engine_refusal(choice, version, pool) is None),
        None,
    )


def gpu_refusal(
    spec: LlamaDeploymentSpec, choice: Choice, candidate: Candidate
) -> tuple[Reason, str] | None:
    """Why the GPUs are out of question before any byte is counted; None when they are not."""
    pool, size = candidate.pool, candidate.tensor_parallel_size
    refusal = _engine_refusal(choice, choice.version, pool, own_image=spec.engine.image is not None)
    if refusal is not None:
        return Reason.UNSUPPORTED_GPU, refusal
    capability = pool.gpu.compute_capability or (0, 0)
    if spec.memory.kv_cache_d_type is KvCacheDType.FP8 and capability < FP8_KV_CAPABILITY:
        return Reason.UNSUPPORTED_GPU, (
            f"an fp8 KV cache needs compute capability {_dotted(FP8_KV_CAPABILITY)}, "
            f"it has {_dotted(capability)}"
        )
    obstacle = _division_obstacle(choice, size)
    if obstacle is not None:
        return Reason.TENSOR_PARALLEL_SIZE, obstacle
    if size > 1 and not pool.divisible:
        return Reason.TENSOR_PARALLEL_SIZE, (
            "MIG slices and shared GPUs cannot be joined, so count must be 1"
        )
    if size > pool.largest_cards:
        return Reason.TOO_FEW_GPUS, f"the largest node has {pool.largest_cards}"
    return None


def engine_image(version: EngineVersion, pool: GpuPool) -> str | None:
    """The image of an engine version for GPUs of a pool; None when none is built for them.

    A driver that no label tells is taken for new enough.
    """
    for row in engine_images(version.engine, version.version):
        if row.vendor == pool.gpu.vendor and _runs(row, pool.driver):
            return row.image
    return None


def _engine_refusal(
    choice: Choice, version: EngineVersion, pool: GpuPool, *, own_image: bool = False
) -> str | None:
    """Why an engine version does not run these weights on GPUs of a pool; None when it does.

    What driver an image of the user's own needs is not known.
    """
    gpu = pool.gpu
    for row in choice.publications:
        refusal = _kind_refusal(
            version,
            row.scheme,
            row.format,
            row.quantize_at_load,
            gpu.vendor,
            gpu.compute_capability,
            pool.driver,
            own_image,
        )
        if refusal is not None:
            return refusal if row is choice.publication else f"its draft model: {refusal}"
    return None


@lru_cache(maxsize=4096)
def _kind_refusal(
    version: EngineVersion,
    scheme: str,
    format_name: str,
    quantize_at_load: bool,
    vendor: str,
    capability: tuple[int, int] | None,
    driver: int | None,
    own_image: bool,
) -> str | None:
    """The same of a kind of weights and GPU, which a survey has many of."""
    engine = f"{version.engine} {version.version}"
    images = engine_images(version.engine, version.version)
    built = [image for image in images if image.vendor == vendor]
    if not built:
        vendors = " and ".join(dict.fromkeys(image.vendor for image in images))
        return f"{engine} is built here for GPUs of {vendors} only"
    if not own_image and not any(_runs(image, driver) for image in built):
        needed = min(image.min_driver for image in built)
        return f"{engine} needs driver {needed}, a node has {driver}"
    if vendor == NVIDIA_VENDOR and capability is None:
        return "its compute capability is not known"
    return load_refusal(
        version,
        scheme,
        format_name,
        quantize_at_load=quantize_at_load,
        compute_capability=capability,
    )


def _runs(image: EngineImage, driver: int | None) -> bool:
    """Whether a driver is new enough for an image; one that no label tells is taken for it."""
    return driver is None or driver >= image.min_driver


def _division_obstacle(choice: Choice, size: int) -> str | None:
    engine, draft = choice.version.engine, choice.draft
    obstacle = engine_division_obstacle(engine, choice.shape, choice.scheme, size)
    if obstacle is not None or draft is None:
        return obstacle
    obstacle = engine_division_obstacle(engine, draft.shape, draft.scheme, size)
    return None if obstacle is None else f"of its draft model {obstacle}"


def compute_dtype(scheme: Scheme, compute_capability: tuple[int, int] | None) -> str:
    """Data type of activations: the checkpoint's own, but no bfloat16 on GPUs that lack it."""
    return _ENGINE_DTYPES[default_dtype(scheme, compute_capability)]


def _allowed(
    hardware: list[HardwareSpec], pools: tuple[GpuPool, ...]
) -> Iterator[tuple[int, GpuPool, int | None]]:
    if not hardware:
        for pool in pools:
            yield 0, pool, None
    for preference, entry in enumerate(hardware):
        for pool in pools:
            if pool.product == entry.gpu:
                yield preference, pool, entry.count


def _dotted(capability: tuple[int, ...]) -> str:
    return ".".join(map(str, capability))

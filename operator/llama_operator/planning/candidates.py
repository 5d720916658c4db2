"""GPUs that a replica might run on, and what rules them out before any byte is counted."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from llama_operator.api.enums import KvCacheDType
from llama_operator.api.reasons import Reason
from llama_operator.api.v1alpha1 import HardwareSpec, LlamaDeploymentSpec
from llama_operator.catalog.engine_tables import EngineImage, engine_images, engine_limits
from llama_operator.catalog.rows import EngineVersion, Scheme
from llama_operator.engines.loading import load_refusal
from llama_operator.planning.choices import Choice, nodes_obstacle
from llama_operator.planning.survey import GpuPool, Survey
from llama_operator.planning.wording import counted
from llama_operator.sizing.division import TENSOR_PARALLEL_SIZES, engine_division_obstacle
from llama_operator.sizing.settings import default_dtype

NVIDIA_VENDOR: Final = "NVIDIA"
FP8_KV_CAPABILITY: Final = (8, 0)
"""Least capability for an fp8 KV cache; from 8.9 on the hardware converts it."""


_ENGINE_DTYPES: Final = {"bf16": "bfloat16", "fp16": "float16"}
"""Names of compute dtypes for `--dtype`."""
SPREAD_NODES: Final = (2, 3, 4)
"""Nodes of one replica that are tried unasked; each is a pipeline stage of its own."""
NODES_FIELD: Final = "spec.hardware[].nodes"
"""The field of engine_limits.csv for engines that do not run over several nodes."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """GPUs of one pool that a replica might run on.

    `preference` is the index of the entry of spec.hardware that allows them, 0 without entries.
    `tensor_parallel_size` are GPUs of each of the `nodes`, which are as many pipeline stages.
    """

    pool: GpuPool
    tensor_parallel_size: int
    preference: int
    nodes: int = 1

    @property
    def gpus(self) -> str:
        """The GPUs for people, e.g. `4x NVIDIA-A10G`, on several nodes `2 nodes of 8x ...`."""
        on_each = f"{self.tensor_parallel_size}x {self.pool.product}"
        return on_each if self.nodes == 1 else f"{self.nodes} nodes of {on_each}"

    @property
    def gpu_count(self) -> int:
        """GPUs of one replica on all its nodes."""
        return self.tensor_parallel_size * self.nodes

    @property
    def micro_usd_per_hour(self) -> int | None:
        """Price of a replica in millionths of a dollar; None when the GPU has none."""
        price = self.pool.micro_usd_per_hour
        return None if price is None else self.gpu_count * price


def candidates(
    spec: LlamaDeploymentSpec, choice: Choice, surveyed: Survey, *, undivided: bool = False
) -> Iterator[Candidate]:
    """GPUs that the spec allows, by preference and pool, fewest of each pool first.

    All are of one node but where an entry of spec.hardware asks for several; those are left out in
    a cluster without LeaderWorkerSet. A count that the user fixed and a single GPU are always
    tried, so that a refusal can say what is wrong with them.

    Args:
        spec: what to serve.
        choice: one publication and its engine.
        surveyed: the GPUs of the cluster.
        undivided: give counts too that the model does not divide by, for those who ask why not.
    """
    for preference, pool, count, nodes in _allowed(spec.hardware, surveyed.pools):
        if preferred_engine(choice, pool) is not None:
            continue
        if nodes is not None and nodes > 1:
            size = count or _whole_node(choice, pool, nodes)
            if surveyed.leader_worker_set:
                yield Candidate(pool, size, preference, nodes)
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


def spread(spec: LlamaDeploymentSpec, choice: Choice, surveyed: Survey) -> Iterator[Candidate]:
    """Several whole nodes of a pool, fewest first, where the spec fixes neither count nor nodes.

    They rank after everything on one node: activations go from stage to stage over the network.
    """
    if spans_nodes_obstacle(choice) is not None or nodes_obstacle(spec) is not None:
        return
    for preference, pool, count, nodes in _allowed(spec.hardware, surveyed.pools):
        if count is not None or nodes is not None or not pool.divisible:
            continue
        if preferred_engine(choice, pool) is not None:
            continue
        for wanted in SPREAD_NODES:
            size = _whole_node(choice, pool, wanted)
            if pool.nodes_with(size) < wanted:
                break
            if _division_obstacle(choice, size, wanted) is None:
                yield Candidate(pool, size, preference, wanted)


def spans_nodes_obstacle(choice: Choice) -> str | None:
    """Why the engine of a choice does not run over several nodes; None when it does."""
    return engine_limits(choice.version.engine, choice.version.numbers).get(NODES_FIELD)


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
    obstacle = _division_obstacle(choice, size, candidate.nodes)
    if obstacle is not None:
        return Reason.TENSOR_PARALLEL_SIZE, obstacle
    if candidate.gpu_count > 1 and not pool.divisible:
        return Reason.TENSOR_PARALLEL_SIZE, (
            "MIG slices and shared GPUs cannot be joined, so count must be 1"
        )
    if size > pool.largest_cards:
        return Reason.TOO_FEW_GPUS, f"the largest node has {pool.largest_cards}"
    if (there := pool.nodes_with(size)) < candidate.nodes:
        return Reason.TOO_FEW_GPUS, f"{counted(there, 'node')} with {counted(size, 'GPU')} there"
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


def _division_obstacle(choice: Choice, size: int, nodes: int = 1) -> str | None:
    engine, draft = choice.version.engine, choice.draft
    obstacle = engine_division_obstacle(
        engine, choice.shape, choice.scheme, size, pipeline_parallel_size=nodes
    )
    if obstacle is not None or draft is None:
        return obstacle
    obstacle = engine_division_obstacle(engine, draft.shape, draft.scheme, size)
    return None if obstacle is None else f"of its draft model {obstacle}"


def _whole_node(choice: Choice, pool: GpuPool, nodes: int) -> int:
    """GPUs of the largest node, or the most of them over which a stage divides."""
    sizes = [size for size in TENSOR_PARALLEL_SIZES if size <= pool.largest_cards]
    whole = (size for size in reversed(sizes) if _division_obstacle(choice, size, nodes) is None)
    return next(whole, 1)


def compute_dtype(scheme: Scheme, compute_capability: tuple[int, int] | None) -> str:
    """Data type of activations: the checkpoint's own, but no bfloat16 on GPUs that lack it."""
    return _ENGINE_DTYPES[default_dtype(scheme, compute_capability)]


class _Allowed(NamedTuple):
    """A pool that an entry of spec.hardware allows, with its count and nodes where it has them."""

    preference: int
    pool: GpuPool
    gpus: int | None
    nodes: int | None


def _allowed(hardware: list[HardwareSpec], pools: tuple[GpuPool, ...]) -> Iterator[_Allowed]:
    if not hardware:
        for pool in pools:
            yield _Allowed(0, pool, None, None)
    for preference, entry in enumerate(hardware):
        for pool in pools:
            if pool.product == entry.gpu:
                yield _Allowed(preference, pool, entry.count, entry.nodes)


def _dotted(capability: tuple[int, ...]) -> str:
    return ".".join(map(str, capability))

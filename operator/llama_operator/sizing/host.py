"""What a replica needs of its node besides GPU memory: CPU, memory, /dev/shm and disk."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from llama_operator.catalog.host_tables import disk_margin, engine_loading
from llama_operator.catalog.rows import EngineHost, Scheme
from llama_operator.sizing.adapters import Adapters, file_bytes, host_copy_bytes
from llama_operator.sizing.checkpoints import checkpoint_bytes, download_bytes
from llama_operator.sizing.draft import draft_host
from llama_operator.sizing.gguf import gguf_largest_tensors, gguf_parts
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.offload import offload, offloads
from llama_operator.sizing.quantized import is_quantized_at_load, tensor_bytes
from llama_operator.sizing.rank_weights import rank_weights_bytes
from llama_operator.sizing.scheme_names import GGUF, UNQUANTIZED, scheme_for
from llama_operator.sizing.settings import Setting
from llama_operator.units import ceil_div

REPOSITORY: Final = "repository"
CACHED: Final = "cached"
ADAPTER: Final = "adapter"
MILLICORES: Final = 1000


@dataclass(frozen=True, slots=True)
class HostNeeds:
    """What one replica asks of its node. `memory_bytes` includes `shm_bytes`."""

    cpu_millicores: int
    memory_bytes: int
    shm_bytes: int
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class HostParts:
    """Where host memory of one replica goes.

    Attributes:
        processes_bytes: of the engine's processes: interpreters, contexts of GPUs, pinned buffers.
        weights_bytes: of the model that are not on a GPU.
        kv_cache_bytes: of layers that the CPU computes.
        compute_bytes: buffers of the CPU, and those between host and GPU.
        prompt_cache_bytes: llama.cpp's `--cache-ram`.
        pinned_bytes: what options of the user pin, such as vLLM's `--kv-offloading-size`, and
            copies of adapters.
        loader_bytes: only while the model loads; nothing of KV cache, buffers and prompts is there
            yet.
        shm_bytes: /dev/shm, whose pages are charged to the pod.
    """

    processes_bytes: int
    weights_bytes: int = 0
    kv_cache_bytes: int = 0
    compute_bytes: int = 0
    prompt_cache_bytes: int = 0
    pinned_bytes: int = 0
    loader_bytes: int = 0
    shm_bytes: int = 0

    @property
    def memory_bytes(self) -> int:
        """The most at any time: loading or serving, whichever takes more."""
        serving = (
            self.kv_cache_bytes + self.compute_bytes + self.prompt_cache_bytes + self.pinned_bytes
        )
        always = self.processes_bytes + self.weights_bytes + self.shm_bytes
        return always + max(serving, self.loader_bytes)


@dataclass(frozen=True, slots=True)
class DiskParts:
    """Where the disk of one replica goes, and what the engine makes of it.

    Attributes:
        download_bytes: weights that are fetched; 16-bit ones where the engine quantizes them.
        margin_bytes: of everything else in the repository.
        loaded_bytes: not on disk: weights as one GPU would hold all of them. It is less than what
            is fetched where the engine quantizes while it loads.
    """

    download_bytes: int
    margin_bytes: int
    loaded_bytes: int

    @property
    def disk_bytes(self) -> int:
        """All that is on disk."""
        return self.download_bytes + self.margin_bytes


def disk_bytes(download_bytes: int, contents: str = REPOSITORY) -> int:
    """Disk that a download takes: its weights, and the margin of disk_margins.csv.

    Engines skip the second copy of the weights that some repositories hold (`original/`), and a
    download is written once. The margin is an estimate on the safe side.

    Args:
        download_bytes: weights that are fetched, all parts of a split file.
        contents: `repository`, or `gguf` for chosen files of one.

    Raises:
        CatalogError: there is no such contents.
    """
    return download_bytes + _margin_bytes(download_bytes, contents)


def model_disk_bytes(download_bytes: int, scheme: Scheme) -> int:
    """Disk that the files of a model take.

    Args:
        download_bytes: weights that are fetched, all parts of a split file.
        scheme: of the weights.
    """
    return disk_bytes(download_bytes, _contents(scheme))


def adapter_disk_bytes(model: ModelShape, adapters: Adapters | None) -> int:
    """Disk that the files of adapters take; an upper bound, as of `adapters.file_bytes`."""
    if adapters is None:
        return 0
    one = Adapters(1, adapters.rank)
    return adapters.count * disk_bytes(file_bytes(model, one), ADAPTER)


def disk_parts(
    model: ModelShape,
    scheme: Scheme,
    *,
    stored_bytes: int | None = None,
    quantize_at_load: bool = False,
) -> DiskParts:
    """Disk that a replica takes, from the model's shape. Exact but for the margin.

    Args:
        model: the model.
        scheme: what the engine holds.
        stored_bytes: of the repository's weights where they are known; None to compute them.
        quantize_at_load: the repository holds 16-bit weights, whatever the engine makes of them.

    Raises:
        UnsupportedSchemeError: the bytes of a scheme are not known.
    """
    fetched = stored_bytes or download_bytes(model, scheme, quantize_at_load=quantize_at_load)
    at_load = quantize_at_load or is_quantized_at_load(scheme)
    quantized = at_load and scheme.family != GGUF
    loaded = rank_weights_bytes(model, scheme) if quantized else fetched
    return DiskParts(fetched, _margin_bytes(fetched, _contents(scheme)), loaded)


def host_needs(
    setting: Setting,
    host: EngineHost,
    *,
    download_bytes: int,
    ranks: int | None = None,
    quantize_at_load: bool = False,
    cached: bool = False,
    draft_disk_bytes: int = 0,
) -> HostNeeds:
    """What a replica asks of its node; `host_parts` says where its memory goes.

    Args:
        setting: with all its values.
        host: row of its engine.
        download_bytes: weights that are fetched.
        ranks: GPUs on this node; None when all of them are.
        quantize_at_load: whether the files are 16-bit ones that the engine quantizes.
        cached: whether a volume of its own holds the files, so that the node's disk does not.
        draft_disk_bytes: of the files of the model that drafts.

    Raises:
        CatalogError: engine_loading.csv says nothing of the engine.
        SizingError: the number of GPU layers is negative.
    """
    parts = host_parts(setting, host, ranks=ranks, quantize_at_load=quantize_at_load)
    return HostNeeds(
        cpu_millicores=cpu_millicores(setting, host, ranks=ranks),
        memory_bytes=parts.memory_bytes,
        shm_bytes=parts.shm_bytes,
        disk_bytes=(
            disk_bytes(0, CACHED)
            if cached
            else model_disk_bytes(download_bytes, setting.scheme)
            + adapter_disk_bytes(setting.model, setting.adapters)
            + draft_disk_bytes
        ),
    )


def process_parts(host: EngineHost, ranks: int) -> HostParts:
    """Memory of an engine's processes: `base + ranks * per rank`, and /dev/shm.

    /dev/shm has one size up to one rank and another from two on. The figures are those of
    engine_hosts.csv, each with its source; most are estimates.

    Args:
        host: row of the engine.
        ranks: GPUs on this node; 0 without GPU.
    """
    return HostParts(
        processes_bytes=host.memory_bytes_base + ranks * host.memory_bytes_per_rank,
        shm_bytes=host.shm_bytes_one_rank if ranks <= 1 else host.shm_bytes_many_ranks,
    )


def host_parts(
    setting: Setting,
    host: EngineHost,
    *,
    ranks: int | None = None,
    maps_files: bool | None = None,
    prompt_cache_bytes: int | None = None,
    pinned_bytes: int = 0,
    quantize_at_load: bool = False,
    largest_file_bytes: int | None = None,
) -> HostParts:
    """Where host memory of a replica goes, model included.

    llama.cpp keeps the input matrix, layers that are not offloaded with their KV cache, buffers and
    a cache of prompts in host memory (`sizing.offload`). Mapped weights of layers on the CPU count
    in full, because every token needs all of them. Other engines hold only what is in flight while
    they load.

    Args:
        setting: with all its values.
        host: row of its engine.
        ranks: GPUs on this node; None when all of them are.
        maps_files: whether files are mapped; None for the engine's default. False is llama.cpp's
            `--load-mode none` and vLLM's `--safetensors-load-strategy eager`.
        prompt_cache_bytes: llama.cpp's `--cache-ram`; None for its default.
        pinned_bytes: what other options pin on this node.
        quantize_at_load: whether the files are 16-bit ones that the engine quantizes.
        largest_file_bytes: of the checkpoint; None for one file with all of it.

    Raises:
        CatalogError: engine_loading.csv says nothing of the engine.
        SizingError: the number of GPU layers is negative.
    """
    loading = engine_loading(host.engine)
    used = _gpus(setting, ranks)
    mapped = loading.maps_files if maps_files is None else maps_files
    in_flight = 0
    if not mapped:
        unit = _unit_bytes(setting, loading.unit, quantize_at_load, largest_file_bytes)
        loaders = max(1, used) if loading.per_rank else 1
        in_flight = loaders * max(loading.units_in_flight * unit, loading.staging_bytes)
    parts = replace(
        process_parts(host, used),
        prompt_cache_bytes=(
            loading.prompt_cache_bytes if prompt_cache_bytes is None else prompt_cache_bytes
        ),
        pinned_bytes=pinned_bytes + _adapter_copies(setting, used),
        loader_bytes=in_flight,
    )
    if not offloads(setting):
        return parts
    left, drafts = offload(setting).host, draft_host(setting)
    return replace(
        parts,
        weights_bytes=left.weights_bytes + drafts.weights_bytes,
        kv_cache_bytes=left.kv_cache_bytes + drafts.kv_cache_bytes,
        compute_bytes=left.compute_bytes + drafts.compute_bytes,
    )


def cpu_millicores(setting: Setting, host: EngineHost, *, ranks: int | None = None) -> int:
    """CPU request of a replica in thousandths of a core.

    `base + ranks * per rank`, and what engine_loading.csv adds where the CPU computes layers.

    Args:
        setting: with all its values.
        host: row of its engine.
        ranks: GPUs on this node; None when all of them are.

    Raises:
        CatalogError: engine_loading.csv says nothing of the engine.
        SizingError: the number of GPU layers is negative.
    """
    request = host.cpu_millicores_base + _gpus(setting, ranks) * host.cpu_millicores_per_rank
    computes = offloads(setting) and offload(setting).layers_on_host > 0
    return request + (engine_loading(host.engine).cpu_millicores_layers if computes else 0)


def cpu_threads(millicores: int) -> int:
    """Threads that an engine may start with a CPU request: whole cores of it, at least one.

    llama.cpp takes the cores of the machine unless told, which a container's quota then throttles;
    its threads wait for each other, so one too many slows all of them (ggml-org/llama.cpp#19110,
    tobocop2/lilbee#660: quota of 7.65 cores, 7 threads). The same number goes for
    `--threads`, and for OMP_NUM_THREADS of engines in Python.

    Args:
        millicores: CPU request of the pod.
    """
    return max(1, millicores // MILLICORES)


def _gpus(setting: Setting, ranks: int | None) -> int:
    """GPUs of this node that the replica uses."""
    if offloads(setting):
        return len(offload(setting).gpus)
    return setting.gpus if ranks is None else ranks


def _adapter_copies(setting: Setting, ranks: int) -> int:
    if setting.adapters is None:
        return 0
    return host_copy_bytes(
        setting.model,
        setting.adapters,
        setting.rules.memory,
        ranks=ranks,
        dtype_bytes=setting.dtype_bytes,
    )


def _contents(scheme: Scheme) -> str:
    return GGUF if scheme.family == GGUF else REPOSITORY


def _margin_bytes(size: int, contents: str) -> int:
    margin = disk_margin(contents)
    return size * margin.percent // 100 + margin.fixed_bytes


def _unit_bytes(
    setting: Setting, unit: str, quantize_at_load: bool, largest_file_bytes: int | None
) -> int:
    """Bytes of the largest file, or of the largest tensor in one."""
    scheme = setting.scheme
    if quantize_at_load or is_quantized_at_load(scheme):
        scheme = scheme_for(UNQUANTIZED)
    if unit == "tensor":
        return _largest_tensor_bytes(setting.model, scheme)
    whole = checkpoint_bytes(setting.model, scheme)
    return whole if largest_file_bytes is None else min(whole, largest_file_bytes)


@lru_cache(maxsize=1024)
def _largest_tensor_bytes(model: ModelShape, scheme: Scheme) -> int:
    """Bytes of the largest tensor of a file; experts are stored one by one, but not in GGUF."""
    if scheme.family == GGUF:
        parts = gguf_parts(model, scheme.name)
        layers = gguf_largest_tensors(model, scheme.name)
        return max(parts.token_embd_bytes, parts.output_bytes, *layers)
    return max(
        ceil_div(tensor_bytes(tensor, scheme), tensor.count) for tensor in set(model.served())
    )

"""Row types of the tables: models, publications, GPUs, schemes and engine versions."""

from dataclasses import dataclass
from typing import NamedTuple

from llama_operator.catalog.versions import version_numbers
from llama_operator.units import Bytes


@dataclass(frozen=True, slots=True)
class Architecture:
    """Shape of a decoder, from its `config.json`.

    Names are the keys of Hugging Face configurations; sizes are counts of elements.
    """

    name: str
    model_type: str
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    max_position_embeddings: int
    tie_word_embeddings: bool
    source: str


@dataclass(frozen=True, slots=True)
class Model:
    """One size of a model: what it is, whatever the format.

    `size` is `8b`, `70b` …; `architecture` is None for models that no engine here serves, with
    the reason in `not_servable`.
    """

    name: str
    size: str
    architecture: Architecture | None
    context_length: int
    languages: tuple[str, ...]
    abilities: tuple[str, ...]
    licence: str
    description: str
    not_servable: str
    source: str


@dataclass(frozen=True, slots=True)
class Publication:
    """A model published in one format and quantization on one hub.

    `scheme` says how weights are stored (memory model, section 3). `files` is the file name
    template with `{quantization}`, and `{part}` and `{parts}` (from 00001, five digits each) when
    split; empty when the whole repository is loaded. `parts` counts split files. Only `engines`
    serve it; empty for every engine that loads its scheme. `quantize_at_load`: the repository holds
    16-bit weights and the engine quantizes them. `recommended`: the one to take when only the
    format is given. `file_bytes`: size of all parts, None when not published. `publisher_rank`: 1
    is the repository to take when several publish the same quantization on the same hub.
    `auto_rank`: order among formats when the format is Auto, 1 is the best quality, 0 is never.
    """

    model: str
    size: str
    format: str
    quantization: str
    hub: str
    repository: str
    files: str
    parts: int
    scheme: str
    engines: tuple[str, ...]
    gated: bool
    quantize_at_load: bool
    recommended: bool
    file_bytes: int | None
    source: str
    publisher_rank: int = 1
    auto_rank: int = 0


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU product.

    `label_bytes` is what the node label reports, `total_bytes` what a CUDA or HIP process sees,
    `reserved_at_start_bytes` what an idle card already holds when an engine starts.
    `compute_capability` is (major, minor); None for GPUs that are not NVIDIA's.
    `nvlink_gb_per_second` is 0 without one, and the figure with a bridge where that is an option.
    Bandwidth is in bytes per second, 0 when unknown.
    """

    product: str
    aliases: tuple[str, ...]
    vendor: str
    marketed_gb: int
    label_bytes: Bytes
    total_bytes: Bytes
    reserved_at_start_bytes: Bytes
    compute_capability: tuple[int, int] | None
    bandwidth_bytes_per_second: int
    nvlink_gb_per_second: int
    instances: str
    source: str


@dataclass(frozen=True, slots=True)
class GpuPrice:
    """What an hour of one GPU costs, in millionths of a dollar.

    `date` is the day, as YYYY-MM-DD, on which the source was read; empty for rows of users.
    """

    product: str
    micro_usd_per_hour: int
    date: str
    source: str


@dataclass(frozen=True, slots=True)
class Scheme:
    """How weights of a quantization are stored (memory model, section 3).

    A linear layer `[out, in]` takes `bits_per_weight * in * out / 8` bytes, plus scales and zeros
    as `family` says. `group_size` is in weights; 0 means one scale per tensor, per output channel
    or none, as `family` says; for GGUF it is the weights of one block, and `bits` the type's
    nominal ones. `min_compute_capability` is for plain vLLM kernels of the scheme; None where no
    CUDA kernel of vLLM's own loads it. `dtype` is the compute dtype of published checkpoints.
    """

    name: str
    family: str
    bits: int
    group_size: int
    min_compute_capability: tuple[int, int] | None
    dtype: str
    source: str


@dataclass(frozen=True, slots=True)
class EngineVersion:
    """Facts of one engine that change by version.

    What its memory follows from is in engine_memory.csv, its images in engine_images.csv.
    `default`: the version deployed when the user names none.
    """

    engine: str
    version: str
    default: bool
    source: str

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version as numbers, which ranges of versions are compared by."""
        return version_numbers(self.version)


@dataclass(frozen=True, slots=True)
class EngineHost:
    """What an engine's pod needs of its node whatever the model, besides GPUs and files.

    A rank is one GPU worker process, or one GPU of an engine that is a single process.
    `memory_bytes_*` leave out `/dev/shm`, whose pages are charged to the pod as well.
    """

    engine: str
    cpu_millicores_base: int
    cpu_millicores_per_rank: int
    memory_bytes_base: Bytes
    memory_bytes_per_rank: Bytes
    shm_bytes_one_rank: Bytes
    shm_bytes_many_ranks: Bytes
    source: str


class BatchDefaults(NamedTuple):
    """What an engine takes when the user sets neither: tokens of a step, and sequences."""

    max_num_batched_tokens: int
    max_num_seqs: int


@dataclass(frozen=True, slots=True)
class BatchDefaultsRule:
    """Batch defaults of a range of engine versions on GPUs of a size.

    `min_version` is inclusive, `below_version` exclusive and empty without an end; both are
    compared by their leading numbers. `min_gpu_bytes` is of the memory that a process sees;
    `excluded_product` is a part of a product's name, empty to exclude none. The first rule that
    matches counts.
    """

    engine: str
    min_version: tuple[int, ...]
    below_version: tuple[int, ...]
    min_gpu_bytes: Bytes
    excluded_product: str
    defaults: BatchDefaults
    source: str


@dataclass(frozen=True, slots=True)
class FormatRule:
    """A format: which families of schemes it may hold, and its rank when the format is Auto.

    `auto_rank` 1 is the best quality; 0 is never chosen.
    """

    name: str
    families: tuple[str, ...]
    auto_rank: int
    source: str

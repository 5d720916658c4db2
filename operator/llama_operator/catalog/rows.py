"""Row types of the tables: models, publications, GPUs, schemes and engine versions."""

from dataclasses import dataclass

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
    template with `{quantization}`, empty when the whole repository is loaded; `parts` counts split
    files. `engines` are those that the publisher names. `quantize_at_load`: the repository holds
    16-bit weights and the engine quantizes them. `recommended`: the one to take when only the
    format is given. `auto_rank`: order among formats when the format is Auto, 0 is never.
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


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU product.

    `label_bytes` is what the node label reports, `total_bytes` what a CUDA or HIP process sees,
    `reserved_at_start_bytes` what an idle card already holds when an engine starts.
    `compute_capability` is (major, minor); None for GPUs that are not NVIDIA's.
    `nvlink_gb_per_second` is 0 without one. Bandwidth in bytes per second.
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
class Scheme:
    """How weights of a quantization are stored (memory model, section 3).

    A linear layer `[out, in]` takes `bits_per_weight * in * out / 8` bytes, plus scales and zeros
    as `family` says. `min_compute_capability` is for plain vLLM kernels of the scheme.
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

    `graphs_inside_budget`: CUDA graphs are subtracted from the budget (vLLM from 0.21).
    `sampler_alpha`: factor of the logits in the activation peak (memory model, section 6).
    `default`: the version deployed when the user names none.
    """

    engine: str
    version: str
    image: str
    default: bool
    graphs_inside_budget: bool
    sampler_alpha: float
    min_compute_capability: tuple[int, int]
    measured: bool
    source: str

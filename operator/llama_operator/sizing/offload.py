"""Where llama.cpp keeps a model: on GPUs, and in host memory what is left to the CPU.

Nothing here decides. All layers are on GPUs unless a number of them is asked for; a smaller number
is an alternative to offer, never taken silently: with it, every token passes the host's memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Final

from llama_operator.errors import SizingError
from llama_operator.sizing.adapters import Adapted, adapter_bytes
from llama_operator.sizing.cache import element_size, stage_cache
from llama_operator.sizing.engine_budget import Budgeting
from llama_operator.sizing.gguf import GgufParts, gguf_bytes, gguf_largest_tensors, gguf_parts
from llama_operator.sizing.models.model import Cache
from llama_operator.sizing.outside import PIPELINE_COPIES, compute_buffer_bytes, non_torch_bytes
from llama_operator.sizing.scheme_names import GGUF
from llama_operator.sizing.settings import Setting
from llama_operator.sizing.shards import Division
from llama_operator.units import FLOAT32_BYTES, format_gib

INPUT_STATES: Final = 2
"""Hidden states of a micro-batch that pass between host and GPU."""


@dataclass(frozen=True, slots=True)
class GpuBytes:
    """What one GPU holds.

    Attributes:
        layers: decoder layers that it computes, by index.
        weights_bytes: of its layers, and of the output on the last one.
        kv_cache_bytes: of its layers for the whole context of all requests.
        compute_bytes: buffer for results, and for weights that are copied from the host.
        non_torch_bytes: context of the driver and its libraries.
        adapter_bytes: LoRA adapters of its layers, and of the output on the last one.
    """

    layers: range
    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int
    non_torch_bytes: int
    adapter_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """All of it."""
        loaded = self.weights_bytes + self.adapter_bytes
        return loaded + self.kv_cache_bytes + self.compute_bytes + self.non_torch_bytes


@dataclass(frozen=True, slots=True)
class HostBytes:
    """What of the model is in host memory.

    Attributes:
        weights_bytes: the input matrix, and layers that the CPU computes.
        kv_cache_bytes: of those layers for the whole context.
        compute_bytes: buffers for inputs, logits and the CPU's results.
    """

    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.kv_cache_bytes + self.compute_bytes


@dataclass(frozen=True, slots=True)
class Offload:
    """A division of a model between GPUs and host.

    Attributes:
        gpu_layers: `--n-gpu-layers`; `slots` for all, 0 for a server without GPU.
        slots: decoder layers, and the output as one more.
        gpus: in the order of the layers; empty without GPU.
        host: what is in host memory.
    """

    gpu_layers: int
    slots: int
    gpus: tuple[GpuBytes, ...]
    host: HostBytes

    @property
    def layers_on_host(self) -> int:
        """Decoder layers that the CPU computes; the output is the first to go to a GPU."""
        return min(self.slots - 1, self.slots - self.gpu_layers)

    @property
    def message(self) -> str:
        """The division in words."""
        layers = self.slots - 1
        if not self.gpus:
            return f"all {layers} layers on the CPU: {format_gib(self.host.total_bytes)} of memory"
        fullest = max(gpu.total_bytes for gpu in self.gpus)
        each = " each at most" if len(self.gpus) > 1 else ""
        return (
            f"{layers - self.layers_on_host} of {layers} layers on the GPU "
            f"({format_gib(fullest)}{each}), {self.layers_on_host} on the CPU "
            f"({format_gib(self.host.total_bytes)} of memory)"
        )


@lru_cache(maxsize=1024)
def offload(setting: Setting) -> Offload:
    """Where every byte is with the setting's number of layers on GPUs.

    Layers go to GPUs from the last to the first, the output before all of them; each takes its part
    of the KV cache along. The input matrix stays in host memory. Source: llama.cpp,
    src/llama-model.cpp (`i_gpu_start`, `dev_input`) and src/llama-kv-cache.cpp.

    Args:
        setting: of llama.cpp; the KV cache is allocated for `max_model_len` of each concurrent
            request.

    Raises:
        SizingError: the engine is another, the model is no GGUF file, or the number is negative.
    """
    return _Division(setting).offload(setting.gpu_layers)


def gpu_layers_that_fit(setting: Setting) -> Offload:
    """The division with the most layers on GPUs, 0 when not even the output fits.

    A GPU fits when weights, its part of the KV cache, compute buffer and context are within what is
    free on it. With one layer more, one of the GPUs would not fit.

    Args:
        setting: of llama.cpp; its own number of layers does not matter.

    Raises:
        SizingError: the engine is another, or the model is no GGUF file.
    """
    division = _Division(setting)
    if setting.total_bytes <= 0:
        return division.offload(0)
    budget = setting.budget_bytes
    for gpu_layers in range(division.slots, 0, -1):
        gpus = division.gpus(gpu_layers)
        if all(gpu.total_bytes <= budget for gpu in gpus):
            return division.offload(gpu_layers)
    return division.offload(0)


class _Division:
    """A setting's bytes by layer, from which any division follows."""

    def __init__(self, setting: Setting) -> None:
        if not offloads(setting):
            msg = (
                f"gpu_layers is an option of LlamaCpp with GGUF files; engine is "
                f"{setting.rules.engine}, quantization {setting.scheme.name}"
            )
            raise SizingError(msg)
        model, name = setting.model, setting.scheme.name
        self._setting = setting
        parts = gguf_parts(model, name)
        if setting.stored_bytes is not None:
            parts = parts.scaled(setting.stored_bytes, gguf_bytes(model, name))
        self._parts: GgufParts = parts
        self.slots = len(self._parts.layer_bytes) + 1
        self._weights = _sums((*self._parts.layer_bytes, self._parts.output_bytes))
        self._cache = _sums((*_cache_bytes(setting), 0))
        largest = gguf_largest_tensors(model, name)
        self._largest_before = (0, *accumulate(largest, max))
        self._compute = _compute_bytes(setting, 1)
        self._pipeline_compute = _compute_bytes(setting, setting.gpus)
        self._context = non_torch_bytes(
            setting.rules.memory,
            tensor_parallel_size=1,
            pipeline_parallel_size=setting.gpus,
            nvlink=setting.nvlink,
        )

    def offload(self, gpu_layers: int | None) -> Offload:
        if gpu_layers is None:
            gpu_layers = self.slots
        if gpu_layers < 0:
            msg = f"gpu_layers is {gpu_layers}; allowed are 0 to {self.slots}"
            raise SizingError(msg)
        wanted = min(gpu_layers, self.slots)
        return Offload(wanted, self.slots, self.gpus(wanted), self._host(wanted))

    def gpus(self, gpu_layers: int) -> tuple[GpuBytes, ...]:
        """Bytes of each GPU: slot at fraction x of those on GPUs goes to GPU `floor(x * GPUs)`."""
        if gpu_layers == 0:
            return ()
        first, count = self.slots - gpu_layers, self._setting.gpus
        bounds = [first - (-gpu_layers * gpu // count) for gpu in range(count + 1)]
        compute = self._gpu_compute(first)
        return tuple(
            GpuBytes(
                range(begin, min(end, self.slots - 1)),
                self._weights[end] - self._weights[begin],
                self._cache[end] - self._cache[begin],
                compute,
                self._context,
                self._adapters(begin, end),
            )
            for begin, end in pairwise(bounds)
        )

    def _adapters(self, begin: int, end: int, *, embedding: bool = False) -> int:
        """Adapters of slots, in the buffer of the matrix that each is of; never divided."""
        setting = self._setting
        if setting.adapters is None:
            return 0
        layers = range(begin, min(end, self.slots - 1))
        adapted = Adapted(layers, embedding, output=end == self.slots)
        memory, whole = setting.rules.memory, Division(1)
        return adapter_bytes(
            setting.model, setting.adapters, memory, adapted, whole, setting.dtype_bytes
        )

    def _gpu_compute(self, first: int) -> int:
        """Buffer on each GPU.

        With all layers on several GPUs these work as a pipeline, with copies of the buffer; with
        fewer they do not (llama.cpp, src/llama-context.cpp, `pipeline_parallel`). Prompts of layers
        in host memory are computed on the GPU: one of their tensors at a time is copied to it, of
        which the largest counts (ggml/src/ggml-backend.cpp, pass 5 of the graph's split:
        "the memory of the previously offloaded weights can be reused").
        """
        if first == 0:
            return self._pipeline_compute
        return self._compute + self._largest_before[first]

    def _host(self, gpu_layers: int) -> HostBytes:
        """The input matrix, layers before the first on a GPU with their KV cache, and buffers."""
        first = self.slots - gpu_layers
        weights = self._parts.token_embd_bytes + self._weights[first]
        weights += self._adapters(0, first, embedding=True)
        if self._parts.tied and gpu_layers == 0:
            weights -= self._parts.token_embd_bytes
        compute = self._host_compute(pipeline=first == 0 and self._setting.gpus > 1)
        if first > 0:
            compute += self._compute
        return HostBytes(weights, self._cache[first], compute)

    def _host_compute(self, *, pipeline: bool) -> int:
        """Pinned buffers for what passes between host and GPU. Upper bound.

        Inputs `ubatch * (2 * h * 4 + n_ctx * m)`: hidden states, and the attention mask with `m`
        bytes an element; as many copies as the pipeline has. Outputs `S * (V + h) * 4`: logits and
        a hidden state of each sequence and of each of its drafts. Logs of versions whose mask has 4
        bytes: Llama 3 8B (8,192 tokens, 4 sequences) 24.01 and 2.02 MiB, where the bound gives 32
        and 2.02; DeepSeek-V2-Lite with 2,048, 4,096 and 8,192 tokens 12.01, 16.01 and 24.01 MiB, as
        it gives.
        """
        setting, model = self._setting, self._setting.model
        flash = setting.flash_attention
        mask_bytes = setting.rules.memory.mask_bytes if flash else FLOAT32_BYTES
        states_bytes = INPUT_STATES * model.hidden_size * FLOAT32_BYTES
        row_bytes = states_bytes + setting.max_model_len * mask_bytes
        inputs = setting.max_num_batched_tokens * row_bytes
        outputs = setting.verified_tokens * (model.vocab_size + model.hidden_size) * FLOAT32_BYTES
        return inputs * (PIPELINE_COPIES if pipeline else 1) + outputs


def _compute_bytes(setting: Setting, gpus: int) -> int:
    return compute_buffer_bytes(
        setting.model,
        ubatch=setting.max_num_batched_tokens,
        n_ctx=setting.max_model_len,
        gpus=gpus,
        flash_attention=setting.flash_attention,
    )


def offloads(setting: Setting) -> bool:
    """Whether the engine divides a model by layers between GPUs and host: llama.cpp does."""
    return setting.rules.budgeting is Budgeting.ALLOCATED and setting.scheme.family == GGUF


def _cache_bytes(setting: Setting) -> tuple[int, ...]:
    """KV cache of each decoder layer for all contexts; equal layers are computed once."""
    element = element_size(setting.kv_cache_dtype, setting.dtype_bytes)
    known: dict[Cache, int] = {}
    for index, layer in enumerate(setting.model.layers):
        if layer.cache not in known:
            cache = stage_cache(
                setting.model,
                index,
                1,
                1,
                element,
                setting.dtype_bytes,
                setting.rules.memory,
            )
            known[layer.cache] = setting.concurrency * cache.request_bytes(
                setting.max_model_len, setting.max_num_batched_tokens
            )
    return tuple(known[layer.cache] for layer in setting.model.layers)


def _sums(sizes: Sequence[int]) -> tuple[int, ...]:
    """Bytes before each position, and all of them at the end."""
    return (0, *accumulate(sizes))

"""One way to serve a model as a user says it, completed by the engine version's defaults."""

from dataclasses import dataclass
from typing import Final

from llama_operator.catalog.rows import Gpu, Scheme
from llama_operator.errors import SizingError
from llama_operator.sizing.adapters import Adapters
from llama_operator.sizing.cache import BLOCK_DTYPES, FP8_DTYPES
from llama_operator.sizing.engine_budget import (
    Budgeting,
    EngineRules,
    default_batch,
    default_utilization,
    engine_rules,
    planned_utilization,
)
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.scheme_names import UNQUANTIZED, scheme_for
from llama_operator.sizing.settings import Draft, Setting, default_dtype

_SIXTEEN_BIT_FILES: Final = {"bf16": "BF16", "fp16": "F16", "fp32": "F16"}
"""GGUF file types of models that are not quantized."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What is asked for; None leaves a value to the engine version.

    Attributes:
        model: its shape.
        scheme: how its weights are stored.
        engine: one of `engine_budget.ENGINE_NAMES`.
        engine_version: such as `0.19.0`; None for the one that is deployed by default.
        gpu: its row; None when there is no GPU to fit.
        product: as the node's label spells it; empty for that of the row.
        total_bytes: memory that a process sees on one GPU; None for that of the row.
        tensor_parallel_size: GPUs of one stage.
        pipeline_parallel_size: stages.
        utilization: share of a GPU; None for the engine version's default.
        planned: whether the share is what the operator writes, where `utilization` is None: what
            is free when the engine starts; memory model, section 6.
        max_model_len: context; None for the longest that the model was made for.
        max_num_batched_tokens: tokens of one step.
        max_num_seqs: sequences of one step; None for the default, at most one for each token.
        enforce_eager: whether CUDA graphs are off.
        dtype: compute dtype; None for that of `settings.default_dtype`.
        kv_cache_dtype: `auto` or a name of `cache.KV_CACHE_DTYPES`.
        concurrency: requests of the whole context that must fit at once.
        gpu_layers: llama.cpp's `--n-gpu-layers`; None for all.
        stored_bytes: of all tensors of a GGUF file, where its header was read.
        expert_parallel: whether whole experts are divided over the GPUs of a stage.
        flash_attention: whether llama.cpp never holds attention scores whole.
        speculative_tokens: drafted for each sequence of a step.
        draft: the model that drafts them.
        adapters: LoRA adapters beside the model; None for none.
    """

    model: ModelShape
    scheme: Scheme
    engine: str = "vllm"
    engine_version: str | None = None
    gpu: Gpu | None = None
    product: str = ""
    total_bytes: int | None = None
    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    utilization: float | None = None
    planned: bool = False
    max_model_len: int | None = None
    max_num_batched_tokens: int | None = None
    max_num_seqs: int | None = None
    enforce_eager: bool = False
    dtype: str | None = None
    kv_cache_dtype: str = "auto"
    concurrency: int = 1
    gpu_layers: int | None = None
    stored_bytes: int | None = None
    expert_parallel: bool = False
    flash_attention: bool = True
    speculative_tokens: int = 0
    draft: Draft | None = None
    adapters: Adapters | None = None

    def setting(self) -> Setting:
        """The same with the defaults of the engine version.

        Raises:
            SizingError: there is no such engine, it does not divide layers between GPU and host, or
                it has no such KV-cache dtype.
        """
        rules = engine_rules(self.engine, self.engine_version)
        self._check(rules)
        gpu, scheme = self.gpu, self.scheme
        total = (gpu.total_bytes if gpu else 0) if self.total_bytes is None else self.total_bytes
        product = self.product or (gpu.product if gpu else "")
        context = self.max_model_len or self.model.max_position_embeddings
        batch = default_batch(rules, total, product, context)
        tokens = self.max_num_batched_tokens or batch.max_num_batched_tokens
        dtype = self.dtype or default_dtype(scheme, gpu.compute_capability if gpu else None)
        if rules.budgeting is Budgeting.ALLOCATED and scheme.family == UNQUANTIZED:
            scheme = scheme_for(_SIXTEEN_BIT_FILES[dtype])
        return Setting(
            model=self.model,
            scheme=scheme,
            rules=rules,
            gpu=gpu,
            product=product,
            total_bytes=total,
            tensor_parallel_size=self.tensor_parallel_size,
            pipeline_parallel_size=self.pipeline_parallel_size,
            utilization=self._utilization(rules, total),
            max_model_len=context,
            max_num_batched_tokens=tokens,
            max_num_seqs=self.max_num_seqs or min(batch.max_num_seqs, tokens),
            enforce_eager=self.enforce_eager,
            dtype=dtype,
            kv_cache_dtype=self.kv_cache_dtype,
            concurrency=self.concurrency,
            gpu_layers=self.gpu_layers,
            stored_bytes=self.stored_bytes,
            expert_parallel=self.expert_parallel,
            flash_attention=self.flash_attention,
            speculative_tokens=self.speculative_tokens,
            draft=self.draft,
            adapters=self.adapters,
        )

    def _check(self, rules: EngineRules) -> None:
        allocated = rules.budgeting is Budgeting.ALLOCATED
        if self.gpu_layers is not None and not allocated:
            msg = f"gpu_layers is an option of LlamaCpp; the engine is {rules.engine}"
            raise SizingError(msg)
        if self.kv_cache_dtype in (FP8_DTYPES if allocated else BLOCK_DTYPES):
            of = "no dtype of LlamaCpp" if allocated else "a dtype of LlamaCpp alone"
            msg = f"kv_cache_dtype {self.kv_cache_dtype} is {of}; the engine is {rules.engine}"
            raise SizingError(msg)

    def _utilization(self, rules: EngineRules, total_bytes: int) -> float:
        if self.utilization is not None or total_bytes <= 0:
            return self.utilization or 0.0
        if self.planned:
            reserved = self.gpu.reserved_at_start_bytes if self.gpu else 0
            return planned_utilization(rules, total_bytes, reserved, self.tensor_parallel_size)
        return default_utilization(
            rules,
            total_bytes,
            tensor_parallel_size=self.tensor_parallel_size,
            pipeline_parallel_size=self.pipeline_parallel_size,
        )

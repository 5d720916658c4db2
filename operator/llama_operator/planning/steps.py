"""Tokens and sequences of one step, as an engine version takes them or the spec says."""

from typing import NamedTuple

from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.catalog.engine_drafts import engine_draft
from llama_operator.catalog.rows import Gpu
from llama_operator.planning.choices import Choice
from llama_operator.planning.features import drafted_tokens
from llama_operator.sizing.engine_budget import default_batch, engine_rules


class Step(NamedTuple):
    """What an engine computes at once at most."""

    max_num_batched_tokens: int
    max_num_seqs: int


def planned_step(spec: LlamaDeploymentSpec, choice: Choice, gpu: Gpu) -> Step:
    """The step of a choice on a GPU.

    Engines profile a step with one draft of a sequence at most, so that the logits of more would
    come on top of their budget: fewer sequences draft as many tokens as all had without drafts.
    A draft model takes further tokens of a step for each sequence.
    """
    memory, version = spec.memory, choice.version
    context = spec.context.max_model_len or choice.context_length
    rules = engine_rules(version.engine, version.version)
    defaults = default_batch(rules, gpu.total_bytes, gpu.product, context)
    tokens, slots = memory.max_num_batched_tokens, 0
    if choice.draft is not None:
        slots = engine_draft(version.engine, version.numbers).slots
    own = defaults.max_num_seqs // (1 + drafted_tokens(spec))
    seqs = memory.max_num_seqs or max(own, spec.context.concurrency)
    if memory.max_num_seqs is None and tokens is not None:
        seqs = min(seqs, tokens // (1 + slots))
    return Step(tokens or max(defaults.max_num_batched_tokens, seqs * (1 + slots)), seqs)

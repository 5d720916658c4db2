"""What features of the spec mean for a plan: what they take, and what to know of them."""

from collections.abc import Iterator

from llama_operator.api.plan import CudaGraphs
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.catalog.engine_notes import CONTEXT, GRAPHS, TOOLS, engine_notes
from llama_operator.engines.arguments import asked_fields
from llama_operator.planning.choices import Choice


def drafted_tokens(spec: LlamaDeploymentSpec) -> int:
    """Tokens that are drafted for each sequence of a step; 0 without speculative decoding."""
    return 0 if spec.speculative is None else spec.speculative.num_tokens


def feature_reasons(spec: LlamaDeploymentSpec, choice: Choice) -> Iterator[str]:
    """How calls of tools are read, and what to know of context, graphs and fields that are set."""
    notes = engine_notes(choice.version.engine, choice.version.numbers)
    if TOOLS in choice.model.abilities and TOOLS in notes:
        yield f"tool calls: {notes[TOOLS]}"
    if CONTEXT in notes:
        yield f"context: {notes[CONTEXT]}"
    if GRAPHS in notes and spec.memory.cuda_graphs is CudaGraphs.ENABLED:
        yield f"CUDA graphs: {notes[GRAPHS]}"
    for field in asked_fields(spec):
        if field in notes:
            yield f"{field}: {notes[field]}"

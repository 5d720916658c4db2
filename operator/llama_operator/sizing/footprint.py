"""All bytes of one placement on its fullest GPU."""

from functools import lru_cache

from llama_operator.sizing.activations import activation_bytes
from llama_operator.sizing.budget import budget_bytes
from llama_operator.sizing.kv_cache import layer_bytes_per_token, pool_tokens
from llama_operator.sizing.overhead import cuda_graph_bytes, non_torch_bytes
from llama_operator.sizing.placement import Footprint, Placement
from llama_operator.sizing.sharding import stage_layers
from llama_operator.sizing.weights import weights_bytes


@lru_cache(maxsize=16384)
def footprint(placement: Placement) -> Footprint:
    """Where each byte of the fullest GPU goes; of several stages the one that holds fewest tokens.

    `budget = weights + activation + non_torch [+ graphs] + kv_cache`, where graphs count only for
    engine versions that capture them inside the budget; memory model, sections 7 and 8.

    Raises:
        UnsupportedSchemeError: the bytes of the scheme are not known.
        UnsupportedArchitectureError: the model type is not described.
    """
    stages = range(placement.pipeline_parallel_size)
    return min(
        (_stage_footprint(placement, stage) for stage in stages),
        key=lambda stage: (stage.kv_cache_tokens, stage.kv_cache_bytes),
    )


def _stage_footprint(placement: Placement, stage: int) -> Footprint:
    stages = placement.pipeline_parallel_size
    weights = weights_bytes(placement, stage=stage)
    activation = activation_bytes(placement, last_stage=stage == stages - 1)
    non_torch = non_torch_bytes(placement)
    graphs = cuda_graph_bytes(placement)
    budget = budget_bytes(placement.total_bytes, placement.utilization_percent)
    inside = graphs if placement.engine.graphs_inside_budget else 0
    pool = budget - weights - activation - non_torch - inside
    tokens = pool_tokens(
        pool,
        layer_bytes=layer_bytes_per_token(
            placement.architecture,
            tensor_parallel_size=placement.tensor_parallel_size,
            element_bytes=placement.kv_cache_element_bytes,
        ),
        layers=stage_layers(placement.architecture.num_hidden_layers, stages)[stage],
    )
    return Footprint(
        weights_bytes=weights,
        activation_bytes=activation,
        non_torch_bytes=non_torch,
        cuda_graph_bytes=graphs,
        budget_bytes=budget,
        kv_cache_bytes=pool,
        kv_cache_tokens=tokens,
        headroom_bytes=placement.total_bytes - budget - (graphs - inside),
    )

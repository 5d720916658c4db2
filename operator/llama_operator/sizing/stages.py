"""Pipeline stages: which layers each of them holds."""

from functools import lru_cache
from itertools import accumulate


@lru_cache(maxsize=1024)
def stage_sizes(num_hidden_layers: int, pipeline_parallel_size: int) -> tuple[int, ...]:
    """Layers of each pipeline stage, first to last.

    A remainder goes to the stages before the last, from the back. Source: vLLM 0.19,
    distributed/utils.py, `get_pp_indices`.
    """
    whole, rest = divmod(num_hidden_layers, pipeline_parallel_size)
    layers = [whole] * pipeline_parallel_size
    for position in range(2, rest + 2):
        layers[-position] += 1
    return tuple(layers)


def stage_range(num_hidden_layers: int, pipeline_parallel_size: int, stage: int) -> range:
    """Indices of the layers of one stage.

    Args:
        num_hidden_layers: of the model.
        pipeline_parallel_size: number of stages.
        stage: from 0.
    """
    return stage_ranges(num_hidden_layers, pipeline_parallel_size)[stage]


@lru_cache(maxsize=1024)
def stage_ranges(num_hidden_layers: int, pipeline_parallel_size: int) -> tuple[range, ...]:
    """Indices of the layers of each stage, first to last."""
    sizes = stage_sizes(num_hidden_layers, pipeline_parallel_size)
    ends = accumulate(sizes)
    return tuple(range(end - size, end) for size, end in zip(sizes, ends, strict=True))

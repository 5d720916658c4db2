"""What an engine says of its memory beside what was computed for it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from llama_operator.catalog.engine_memory_lines import PARTS
from llama_operator.engines.memory_lines import ObservedPart
from llama_operator.sizing.estimate import Estimate
from llama_operator.sizing.offload import offload, offloads
from llama_operator.sizing.settings import Setting
from llama_operator.units import ceil_to

GPU: Final = "GPU"
HOST: Final = "host"
PLACES: Final = (GPU, HOST)


@dataclass(frozen=True, slots=True)
class Computed:
    """One figure of the sizing: bytes or tokens, and whether it is only an upper bound."""

    value: int
    is_bound: bool = False


@dataclass(frozen=True, slots=True)
class Compared:
    """One part in one place.

    Attributes:
        part: of `catalog.engine_memory_lines.PARTS`.
        place: `GPU` for the fullest GPU, `host` for memory of the node.
        computed: what the sizing says; None where it has no such figure.
        observed: what the engine says, in bytes, tokens or milliseconds.
        step: what the engine rounds to, in the same unit.
    """

    part: str
    place: str
    computed: Computed | None
    observed: int
    step: int

    @property
    def difference(self) -> int | None:
        """Observed less computed; None where nothing is computed."""
        return None if self.computed is None else self.observed - self.computed.value


def compare(
    computed: Mapping[tuple[str, str], Computed], observed: Iterable[ObservedPart]
) -> tuple[Compared, ...]:
    """Every part that the engine tells, GPU before host.

    Args:
        computed: by part and place, as `computed_parts` gives it.
        observed: as `engines.memory_lines.read_memory` gives it.
    """
    readings = {
        (place, part.part): reading
        for part in observed
        for place, reading in ((GPU, part.fullest()), (HOST, part.host()))
        if reading is not None
    }
    return tuple(
        Compared(
            part,
            place,
            computed.get((part, place)),
            readings[place, part].value,
            readings[place, part].step,
        )
        for place in PLACES
        for part in PARTS
        if (place, part) in readings
    )


def computed_parts(setting: Setting, found: Estimate) -> dict[tuple[str, str], Computed]:
    """What the sizing says of each part, by part and place; zeros are left out.

    Args:
        setting: how the model is served.
        found: its estimate.
    """
    divides = offloads(setting)
    figures = dict(_of_gpu(setting, found, divides))
    if divides:
        figures |= dict(_of_host(setting))
    return {key: figure for key, figure in figures.items() if figure.value}


def _of_gpu(
    setting: Setting, found: Estimate, divides: bool
) -> Iterator[tuple[tuple[str, str], Computed]]:
    """Of the fullest GPU, part by part."""
    if divides:
        slots = setting.concurrency * ceil_to(
            setting.max_model_len, setting.rules.memory.block_tokens
        )
        yield ("kv-tokens", GPU), Computed(slots)
    elif found.kv_cache_tokens is not None:
        yield ("kv-tokens", GPU), Computed(found.kv_cache_tokens)
    if not found.stages:
        return
    stages = found.stages
    weights = max(stage.weights_bytes for stage in stages)
    activation = max(stage.activation_bytes for stage in stages)
    yield ("weights", GPU), Computed(weights)
    yield ("activation", GPU), Computed(activation, is_bound=divides)
    yield ("non-torch", GPU), Computed(max(stage.non_torch_bytes for stage in stages))
    yield ("cuda-graphs", GPU), Computed(max(stage.cuda_graph_bytes for stage in stages))
    both = max(stage.weights_bytes + stage.non_torch_bytes for stage in stages)
    yield ("weights-and-non-torch", GPU), Computed(both)
    pools = [stage.kv_cache_bytes for stage in stages if stage.kv_cache_bytes is not None]
    if pools:
        yield ("kv-cache", GPU), Computed(max(pools))


def _of_host(setting: Setting) -> Iterator[tuple[tuple[str, str], Computed]]:
    """Of llama.cpp's part of the node's memory."""
    host = offload(setting).host
    yield ("weights", HOST), Computed(host.weights_bytes)
    yield ("kv-cache", HOST), Computed(host.kv_cache_bytes)
    yield ("activation", HOST), Computed(host.compute_bytes, is_bound=True)

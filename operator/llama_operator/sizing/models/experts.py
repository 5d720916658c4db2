"""Mixtures of experts: routed experts, shared experts, the router."""

from llama_operator.catalog.model_families import ExpertFamily, ModelFamily
from llama_operator.sizing.models.config import EXPERTS_LIMIT, Config
from llama_operator.sizing.models.dense import mlp
from llama_operator.sizing.models.kinds import LayerKind
from llama_operator.sizing.models.model import FeedForward
from llama_operator.sizing.models.parts import column, divided_vector, row, vector, whole
from llama_operator.sizing.models.switches import is_on
from llama_operator.sizing.models.tensors import Part, Tensor


def mixture(
    config: Config, family: ModelFamily, experts: ExpertFamily, kind: LayerKind
) -> tuple[tuple[Tensor, ...], FeedForward]:
    """Tensors of one mixture of experts. Memory model, sections 2 and 4.

    Every expert is divided over the ranks like a dense part; the router, of shape (experts,
    hidden), its corrections and the gate of a shared expert are whole on every rank.

    Args:
        config: of the text part, with the defaults of its family.
        family: of the model type.
        experts: of the model type.
        kind: of the layer.

    Raises:
        ConfigError: a dimension is missing or wrong.
    """
    hidden = config.integer("hidden_size")
    number = config.integer(config.first_of(experts.experts), most=EXPERTS_LIMIT)
    chosen = config.integer(config.first_of(experts.experts_per_token), most=EXPERTS_LIMIT)
    if chosen > number:
        key = config.first_of(experts.experts_per_token)
        raise config.error(key, f"is {chosen}, more than the {number} experts")
    width = config.integer(experts.expert_width)
    tensors = [
        *_routed(number, width, hidden, gated=family.gated),
        whole("router", Part.ROUTER, number, hidden),
    ]
    if experts.expert_bias:
        tensors += _expert_biases(number, width, hidden, gated=family.gated)
    if experts.router_bias:
        tensors.append(vector("router.bias", Part.ROUTER, number))
    if kind.hashed:
        vocabulary = config.integer("vocab_size")
        tensors.append(Tensor("tid2eid", Part.ROUTER, (vocabulary, chosen), element_bytes=8))
    elif _has_correction(experts.correction_bias, config):
        correction = Tensor("e_score_correction_bias", Part.ROUTER, (number,), element_bytes=4)
        tensors.append(correction)
    tensors += _shared(config, family, experts, hidden)
    if experts.router_scale:
        tensors += [
            vector("router.scale", Part.ROUTER, hidden),
            vector("router.per_expert_scale", Part.ROUTER, number),
        ]
    return tuple(tensors), FeedForward(
        gated=family.gated, expert_width=width, experts=number, experts_per_token=chosen
    )


def _routed(number: int, width: int, hidden: int, *, gated: bool) -> tuple[Tensor, ...]:
    merged = "experts.gate_up" if gated else ""
    up = column("experts.up_proj", Part.EXPERTS, width, hidden, count=number, merged=merged)
    down = row("experts.down_proj", Part.EXPERTS, hidden, width, count=number)
    if not gated:
        return (up, down)
    gate = column("experts.gate_proj", Part.EXPERTS, width, hidden, count=number, merged=merged)
    return (gate, up, down)


def _expert_biases(number: int, width: int, hidden: int, *, gated: bool) -> tuple[Tensor, ...]:
    rows = width * 2 if gated else width
    return (
        divided_vector("experts.gate_up_proj.bias", Part.EXPERTS, rows, count=number),
        vector("experts.down_proj.bias", Part.EXPERTS, hidden, count=number),
    )


def _has_correction(cell: str, config: Config) -> bool:
    """Whether scores are corrected; `topk_method` tells it of DeepSeek V2 (`noaux_tc`)."""
    if cell == "topk_method":
        return config.is_text("topk_method", "noaux_tc")
    return is_on(cell, config)


def _shared(
    config: Config, family: ModelFamily, experts: ExpertFamily, hidden: int
) -> tuple[Tensor, ...]:
    """Shared experts as one feed-forward part of their common width, and its gate."""
    if not experts.shared_width:
        return ()
    count = 1
    if experts.shared_count:
        count = config.integer(experts.shared_count, least=0, most=EXPERTS_LIMIT)
    width = count * config.integer(experts.shared_width, least=0) if count else 0
    if not width:
        return ()
    tensors = mlp("shared_expert.", Part.SHARED_EXPERTS, hidden, width, gated=family.gated)
    if experts.shared_gate:
        tensors += (whole("shared_expert_gate", Part.ROUTER, 1, hidden),)
    return tensors

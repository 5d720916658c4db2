"""Labels by which pods find nodes of the pools that a plan accepts."""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from llama_operator.api.plan import NodeLabel, NodeSelector
from llama_operator.planning.inventory import Selector
from llama_operator.planning.node_labels import AMD_PRODUCT, NVIDIA_PRODUCT
from llama_operator.planning.survey import GpuPool

DISCOVERED: Final = frozenset({NVIDIA_PRODUCT, AMD_PRODUCT})
SELECTORS_LIMIT: Final = 64
"""Bound of `plan.gpu.nodeSelectors`."""


def node_selectors(chosen: GpuPool, accepted: Iterable[GpuPool]) -> list[NodeSelector] | None:
    """The ways to tell nodes of the accepted pools, those of the chosen one first.

    None where one label has every accepted product as its value: the label and the products of the
    plan are enough.
    """
    others = [pool for pool in accepted if pool is not chosen]
    pools = [chosen, *others]
    if all(pool.selectors == (((chosen.label, pool.product),),) for pool in pools):
        return None
    found = (_selector(pool.product, one) for pool in pools for one in _ways(pool))
    return list(islice(found, SELECTORS_LIMIT))


def _ways(pool: GpuPool) -> Iterable[Selector]:
    """Selectors of a pool, and those of its nodes once the label that they lack is there."""
    later = (
        ((label, pool.product),)
        for selector in pool.selectors
        for label, value in selector
        if label in DISCOVERED and not value
    )
    return dict.fromkeys((*pool.selectors, *later))


def _selector(product: str, selector: Selector) -> NodeSelector:
    return NodeSelector(
        product=product,
        labels=[NodeLabel(label=label, value=value) for label, value in selector if value],
        absent_labels=[label for label, value in selector if not value],
    )

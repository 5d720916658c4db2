"""A replica on several nodes: what each of its pods is told of its place, by engine version.

LeaderWorkerSet gives each container the address of the group's first pod and its own number
(https://lws.sigs.k8s.io/docs/reference/labels-annotations-and-environment-variables/).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from llama_operator.api.names import LEADER
from llama_operator.api.plan import Plan
from llama_operator.engines.arguments import Names
from llama_operator.engines.engine import Container

LEADER_ADDRESS: Final = "$(LWS_LEADER_ADDRESS)"
WORKER_INDEX: Final = "$(LWS_WORKER_INDEX)"
"""Variables of the container as the kubelet expands them in an argument."""
RENDEZVOUS_PORT: Final = 20000
"""Port of the leader at which SGLang's ranks meet, as its own manual writes it."""


def at_place(container: Container, plan: Plan, component: str) -> Container:
    """The container as it runs in one pod of a replica on several nodes.

    Args:
        container: of the plan.
        plan: whose `nodes` tell the size of the group.
        component: `leader` or `worker`.
    """
    placed = replace(container, place_args=tuple(_arguments(plan, component)))
    if component == LEADER:
        return placed
    # All pods are told to end at once: the stages of the workers stay while the leader drains.
    return replace(placed, pre_stop_seconds=container.pre_stop_seconds + container.drain_seconds)


def _arguments(plan: Plan, component: str) -> Iterator[str]:
    names = Names.of(plan)
    yield names.joined("nodes", plan.pods)
    yield names.joined("node_rank", 0 if component == LEADER else WORKER_INDEX)
    if "leader_address" in names.names:
        yield names.joined("leader_address", LEADER_ADDRESS)
    if "leader_endpoint" in names.names:
        yield names.joined("leader_endpoint", f"{LEADER_ADDRESS}:{RENDEZVOUS_PORT}")
    if component != LEADER and "headless" in names.names:
        yield names["headless"]

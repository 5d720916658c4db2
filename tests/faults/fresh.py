"""What a fresh apply would make of the deployments of a namespace, by the operator's pure core."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from cluster.world import World
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.plan import Plan
from llama_operator.catalog.catalog import Catalog
from llama_operator.planning.inventory import Inventory, NodeFacts, Place
from llama_operator.planning.nodes import inventory_from_nodes
from llama_operator.planning.outcome import Outcome
from llama_operator.planning.plan import plan
from llama_operator.reconcile.decide import first_children
from llama_operator.reconcile.desired import desire
from llama_operator.reconcile.observed import PodFacts
from llama_operator.reconcile.pods import pod_facts

Json = dict[str, Any]


@dataclass(frozen=True)
class Machines:
    """Nodes and bound pods of the whole cluster at one moment."""

    nodes: tuple[NodeFacts, ...]
    bound: tuple[tuple[str, PodFacts], ...]

    def free_for(self, namespace: str, name: str) -> Inventory:
        """The GPUs as one deployment may use them: what it holds itself is free."""
        held: Counter[Place] = Counter()
        for where, pod in self.bound:
            if (where, pod.instance) != (namespace, name):
                held[pod.node, pod.gpu_resource] += pod.gpus
        return Inventory(nodes=self.nodes, held=held)


def machines(world: World) -> Machines:
    """Look at the whole cluster."""
    nodes = inventory_from_nodes(world.api.get("/api/v1/nodes")["items"]).nodes
    pods = [
        (pod["metadata"]["namespace"], facts)
        for pod in world.api.get("/api/v1/pods")["items"]
        if (facts := pod_facts(pod)) is not None and facts.node and not facts.finished
    ]
    return Machines(nodes, tuple(pods))


def fresh_children(
    world: World, llama: Json, keeps_plan: bool, cluster: Machines | None = None
) -> dict[tuple[str, str], Json]:
    """The children that a new deployment of this spec would get now, by kind and name.

    With `keeps_plan` today's plan is the first candidate, as for an edit. `cluster` spares looking
    at it again.
    """
    deployment = LlamaDeployment.parse(llama)
    found = (cluster or machines(world)).free_for(world.namespace, deployment.metadata.name)
    current = deployment.status.plan if keeps_plan else None

    def planner(wanted: LlamaDeployment, _: Plan | None) -> Outcome:
        return plan(wanted.spec, Catalog.load(), found, current=current)

    desired = desire(deployment, None, planner)
    bodies = first_children(deployment, desired.revision)
    return {(body["kind"], body["metadata"]["name"]): body for body in bodies}

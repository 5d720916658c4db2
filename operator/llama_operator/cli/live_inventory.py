"""The inventory of the current cluster, for commands that plan."""

import asyncio
from collections import Counter

from llama_operator.api.names import LABEL_MANAGED_BY, MANAGED_BY
from llama_operator.cluster.client import ApiClient, ApiError, NotFoundError, Resource
from llama_operator.cluster.connection import connect
from llama_operator.cluster.paging import paged
from llama_operator.cluster.resources import LEADER_WORKER_SETS, NODES, PODS
from llama_operator.errors import InputError
from llama_operator.planning.inventory import Inventory
from llama_operator.planning.nodes import node_facts
from llama_operator.reconcile.pods import pod_facts

HOW_ELSE = "name a file by --nodes (kubectl get nodes -o json > nodes.json)"


def live_inventory() -> Inventory:
    """GPU nodes of the current cluster, less the GPUs that pods of deployments hold.

    Raises:
        InputError: there is no cluster, or it does not answer.
    """
    try:
        return asyncio.run(_read())
    except InputError as error:
        msg = f"{error}, or {HOW_ELSE}"
        raise InputError(msg) from error
    except ApiError as error:
        msg = f"the cluster does not tell its nodes: {error.message}; {HOW_ELSE}"
        raise InputError(msg) from error


async def _read() -> Inventory:
    async with ApiClient(connect()) as client:
        nodes = [facts async for item in paged(client, NODES) if (facts := node_facts(item))]
        held: Counter[str] = Counter()
        own = {"labelSelector": f"{LABEL_MANAGED_BY}={MANAGED_BY}"}
        async for item in paged(client, PODS, selectors=own):
            pod = pod_facts(item)
            if pod is not None and pod.node and not pod.finished:
                held[pod.node] += pod.gpus
        leader_worker_set = await _serves(client, LEADER_WORKER_SETS)
    return Inventory(tuple(nodes), held, leader_worker_set=leader_worker_set)


async def _serves(client: ApiClient, resource: Resource) -> bool:
    try:
        path = f"/apis/{resource.api_version}"
        answer = await client.request("GET", path, resource="resources", verb="list")
    except NotFoundError:
        return False
    return any(item.get("name") == resource.plural for item in answer.get("resources") or ())

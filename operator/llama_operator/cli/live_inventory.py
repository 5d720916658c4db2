"""The inventory of the current cluster, for commands that plan."""

import asyncio
from collections import Counter

from llama_operator.api.names import LABEL_MANAGED_BY, MANAGED_BY
from llama_operator.cluster.client import (
    REFUSALS,
    ApiClient,
    ApiError,
    Json,
    NotFoundError,
)
from llama_operator.cluster.connection import connect
from llama_operator.cluster.devices import OF_DRIVER
from llama_operator.cluster.discovery import serves
from llama_operator.cluster.paging import paged
from llama_operator.cluster.resources import (
    DEVICE_CLASSES,
    LEADER_WORKER_SETS,
    LLAMA_DEPLOYMENTS,
    NODES,
    PODS,
    RESOURCE_SLICES,
)
from llama_operator.errors import InputError
from llama_operator.planning.devices import (
    NodeDevices,
    SliceFacts,
    extended_resource,
    gpus_of,
    slice_facts,
)
from llama_operator.planning.gpu_resources import NVIDIA
from llama_operator.planning.inventory import Inventory, Place
from llama_operator.planning.nodes import node_offers
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


def live_deployment(name: str, namespace: str | None) -> tuple[Json, Inventory]:
    """A LlamaDeployment, and the GPU nodes less the GPUs that pods of other deployments hold.

    Args:
        name: its name.
        namespace: its namespace; None for that of the kubeconfig.

    Raises:
        InputError: there is no cluster, it does not answer, or there is no such deployment.
    """
    try:
        return asyncio.run(_read_deployment(name, namespace))
    except ApiError as error:
        msg = f"the cluster does not tell of {name}: {error.message}"
        raise InputError(msg) from error


async def _read_deployment(name: str, namespace: str | None) -> tuple[Json, Inventory]:
    connection = connect()
    where = namespace or connection.namespace
    async with ApiClient(connection) as client:
        try:
            body = await client.get(LLAMA_DEPLOYMENTS, where, name)
        except NotFoundError:
            msg = f"namespace {where} has no LlamaDeployment {name}; see `kubectl get llama -A`"
            raise InputError(msg) from None
        return body, await _inventory(client, but=(where, name))


async def _read() -> Inventory:
    async with ApiClient(connect()) as client:
        return await _inventory(client)


async def _inventory(client: ApiClient, but: tuple[str, str] | None = None) -> Inventory:
    """The inventory; pods of the deployment `but`, by namespace and name, hold nothing."""
    devices = await _devices(client)
    nodes = [
        offer
        async for item in paged(client, NODES)
        for offer in node_offers(item, devices.get(item["metadata"]["name"]))
    ]
    held: Counter[Place] = Counter()
    own = {"labelSelector": f"{LABEL_MANAGED_BY}={MANAGED_BY}"}
    async for item in paged(client, PODS, selectors=own):
        pod = pod_facts(item)
        if pod is None or (item["metadata"].get("namespace"), pod.instance) == but:
            continue
        if pod.node and not pod.finished:
            held[pod.node, pod.gpu_resource] += pod.gpus
    leader_worker_set = await serves(client, LEADER_WORKER_SETS)
    return Inventory(tuple(nodes), held, leader_worker_set=leader_worker_set)


async def _devices(client: ApiClient) -> dict[str, NodeDevices]:
    """GPUs of DRA drivers by node; none where the API is missing or must not be read."""
    by_node: dict[str, list[SliceFacts]] = {}
    try:
        classes = [extended_resource(item) async for item in paged(client, DEVICE_CLASSES)]
        async for item in paged(client, RESOURCE_SLICES, selectors=OF_DRIVER):
            facts = slice_facts(item)
            if facts is not None:
                by_node.setdefault(facts.node, []).append(facts)
    except ApiError as error:
        if error.code not in REFUSALS:
            raise
        return {}
    return {
        node: NodeDevices(gpus_of(slices), NVIDIA in classes) for node, slices in by_node.items()
    }

"""The inventory of the current cluster, for commands that plan."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping

from llama_operator.api.names import LABEL_MANAGED_BY, MANAGED_BY
from llama_operator.cluster.client import ApiClient, ApiError, Json, NotFoundError, Resource
from llama_operator.cluster.connection import connect
from llama_operator.cluster.resources import LLAMA_DEPLOYMENTS, NODES, PODS
from llama_operator.cluster.watch import PAGE_SIZE
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
            body = await client.request(
                "GET",
                LLAMA_DEPLOYMENTS.path(where, name),
                resource=LLAMA_DEPLOYMENTS.plural,
                verb="get",
            )
        except NotFoundError:
            msg = f"namespace {where} has no LlamaDeployment {name}; see `kubectl get llama -A`"
            raise InputError(msg) from None
        return body, await _inventory(client, but=(where, name))


async def _read() -> Inventory:
    async with ApiClient(connect()) as client:
        return await _inventory(client)


async def _inventory(client: ApiClient, but: tuple[str, str] | None = None) -> Inventory:
    """The inventory; pods of the deployment `but`, by namespace and name, hold nothing."""
    nodes = [facts async for item in _items(client, NODES, {}) if (facts := node_facts(item))]
    held: Counter[str] = Counter()
    own = {"labelSelector": f"{LABEL_MANAGED_BY}={MANAGED_BY}"}
    async for item in _items(client, PODS, own):
        pod = pod_facts(item)
        if pod is None or (item["metadata"].get("namespace"), pod.instance) == but:
            continue
        if pod.node and not pod.finished:
            held[pod.node] += pod.gpus
    return Inventory(tuple(nodes), held)


async def _items(
    client: ApiClient, resource: Resource, selectors: Mapping[str, str]
) -> AsyncIterator[Json]:
    token = ""
    while True:
        page = await client.request(
            "GET",
            resource.path(),
            resource=resource.plural,
            verb="list",
            params={**selectors, "limit": str(PAGE_SIZE)} | ({"continue": token} if token else {}),
        )
        for item in page.get("items") or ():
            yield item
        token = (page.get("metadata") or {}).get("continue") or ""
        if not token:
            return

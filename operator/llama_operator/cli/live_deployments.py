"""LlamaDeployments of the current cluster, for commands that look at them."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from pydantic import ValidationError

from llama_operator.api.names import ANNOTATION_REPLAN
from llama_operator.api.status import LlamaDeploymentStatus
from llama_operator.cluster.client import ApiClient, ApiError, Json, NotFoundError
from llama_operator.cluster.connection import Connection, connect
from llama_operator.cluster.paging import paged
from llama_operator.cluster.resources import LLAMA_DEPLOYMENTS
from llama_operator.errors import InputError

T = TypeVar("T")
FIELD_MANAGER: Final = "kubectl-llama"


@dataclass(frozen=True, slots=True)
class Live:
    """One deployment as the cluster has it; the spec may break rules, so only its parts stand."""

    namespace: str
    name: str
    generation: int
    replicas: int
    status: LlamaDeploymentStatus
    status_body: Json

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


def add_cluster_options(parser: argparse.ArgumentParser) -> None:
    """Options that choose a cluster and a namespace, named as kubectl names them."""
    parser.add_argument("-n", "--namespace", metavar="NAME", help="default: the context's")
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="default: KUBECONFIG")
    parser.add_argument("--context", metavar="NAME", help="default: the current one")


def read_one(arguments: argparse.Namespace, name: str) -> Live:
    """The deployment of a name.

    Raises:
        InputError: there is no cluster, or no such deployment; names those that there are.
    """
    return _run(arguments, lambda client, namespace: _get(client, namespace, name))


def read_all(arguments: argparse.Namespace, *, everywhere: bool) -> list[Live]:
    """The deployments of the namespace, or of all, by namespace and name.

    Raises:
        InputError: there is no cluster, or it does not tell them.
    """

    async def ask(client: ApiClient, namespace: str) -> list[Live]:
        return await _list(client, None if everywhere else namespace)

    return _run(arguments, ask)


def plan_anew(arguments: argparse.Namespace, name: str, now: datetime) -> Live:
    """Set the annotation that has a deployment planned again; returns it as it was before.

    Raises:
        InputError: there is no cluster, no such deployment, or no right to change it.
    """
    value = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    async def ask(client: ApiClient, namespace: str) -> Live:
        before = await _get(client, namespace, name)
        await client.request(
            "PATCH",
            LLAMA_DEPLOYMENTS.path(namespace, name),
            resource=LLAMA_DEPLOYMENTS.plural,
            verb="patch",
            params={"fieldManager": FIELD_MANAGER},
            body={"metadata": {"annotations": {ANNOTATION_REPLAN: value}}},
            content_type="application/merge-patch+json",
        )
        return before

    return _run(arguments, ask)


def _run(arguments: argparse.Namespace, ask: Callable[[ApiClient, str], Awaitable[T]]) -> T:
    connection = connect(arguments.kubeconfig, arguments.context)
    return asyncio.run(_asked(connection, arguments.namespace or connection.namespace, ask))


async def _asked(
    connection: Connection, namespace: str, ask: Callable[[ApiClient, str], Awaitable[T]]
) -> T:
    async with ApiClient(connection) as client:
        try:
            return await ask(client, namespace)
        except ApiError as error:
            if isinstance(error, NotFoundError):
                msg = "the cluster has no LlamaDeployments: install the chart first"
            else:
                msg = f"{connection.server} does not answer as asked: {error.message}"
            raise InputError(msg) from error


async def _list(client: ApiClient, namespace: str | None) -> list[Live]:
    found = [_live(body) async for body in paged(client, LLAMA_DEPLOYMENTS, namespace)]
    return sorted(found, key=lambda live: live.key)


async def _get(client: ApiClient, namespace: str, name: str) -> Live:
    try:
        return _live(await client.get(LLAMA_DEPLOYMENTS, namespace, name))
    except NotFoundError:
        there = ", ".join(live.name for live in await _list(client, namespace)) or "none"
        msg = f"NAME: {name} is not in namespace {namespace}; there: {there}"
        raise InputError(msg) from None


def _live(body: Json) -> Live:
    metadata, status = body["metadata"], body.get("status") or {}
    try:
        parsed = LlamaDeploymentStatus.model_validate(status)
    except ValidationError:
        parsed = LlamaDeploymentStatus()
    return Live(
        metadata["namespace"],
        metadata["name"],
        metadata.get("generation") or 0,
        (body.get("spec") or {}).get("replicas") or 0,
        parsed,
        status,
    )

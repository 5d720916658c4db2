"""Does the API server serve a resource? Its CRD may be missing, or come back later."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

from llama_operator.cluster.client import ApiClient, ApiError, NotFoundError, Resource

PAUSE_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


async def until_served(
    client: ApiClient, resource: Resource, on_refusal: Callable[[str], None]
) -> None:
    """Wait until discovery lists a resource, in both places where clients look.

    Args:
        client: an open client.
        resource: one of a CRD.
        on_refusal: told why it is not served, and an empty text once it is.
    """
    told = ""
    while True:
        problem = await _problem(client, resource)
        on_refusal(problem)
        if not problem:
            return
        if problem != told:
            _log.warning("%s are not served: %s", resource.plural, problem)
            told = problem
        await asyncio.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.0))  # noqa: S311 - jitter


async def is_served(client: ApiClient, resource: Resource) -> bool:
    """Whether discovery lists a resource; no while it cannot be asked."""
    return not await _problem(client, resource)


async def serves(client: ApiClient, resource: Resource) -> bool:
    """Whether discovery lists a resource.

    Raises:
        ApiError: it cannot be asked.
    """
    try:
        groups = await client.request("GET", "/apis", resource="groups", verb="list")
        if resource.group not in {group.get("name") for group in groups.get("groups") or ()}:
            return False
        served = await client.request(
            "GET", f"/apis/{resource.api_version}", resource="resources", verb="list"
        )
    except NotFoundError:
        return False
    return resource.plural in {item.get("name") for item in served.get("resources") or ()}


async def _problem(client: ApiClient, resource: Resource) -> str:
    try:
        served = await serves(client, resource)
    except ApiError as error:
        return error.message
    return "" if served else f"the CRD {resource.plural}.{resource.group} is not installed"

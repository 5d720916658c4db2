"""Lists in pages, for commands that read a cluster once."""

from collections.abc import AsyncIterator, Mapping

from llama_operator.cluster.client import ApiClient, Json, Resource
from llama_operator.cluster.watch import PAGE_SIZE


async def paged(
    client: ApiClient,
    resource: Resource,
    namespace: str | None = None,
    selectors: Mapping[str, str] | None = None,
) -> AsyncIterator[Json]:
    """All objects of a kind, of one namespace or of all.

    Args:
        client: an open one.
        resource: their kind.
        namespace: None for all.
        selectors: `labelSelector` and `fieldSelector` of the query.

    Raises:
        ApiError: the API server does not give them.
    """
    token = ""
    while True:
        page = await client.request(
            "GET",
            resource.path(namespace),
            resource=resource.plural,
            verb="list",
            params={**(selectors or {}), "limit": str(PAGE_SIZE)}
            | ({"continue": token} if token else {}),
        )
        for item in page.get("items") or ():
            yield item
        token = (page.get("metadata") or {}).get("continue") or ""
        if not token:
            return

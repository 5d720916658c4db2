"""The HTTP session of kopf: our credentials, our metrics, and a sign of life of its watch."""

import time
from collections.abc import Awaitable, Callable

import aiohttp

from llama_operator import __version__
from llama_operator.cluster.answers import error_of
from llama_operator.cluster.client import REFUSALS, Observer
from llama_operator.cluster.connection import Connection
from llama_operator.cluster.framework_watch import Pace, check_answer, guard_watch
from llama_operator.cluster.resources import LLAMA_DEPLOYMENTS

Handler = Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]


def framework_session(
    connection: Connection,
    observer: Observer,
    on_request: Callable[[], None],
    on_activity: Callable[[bool], None],
    on_refusal: Callable[[str], None],
) -> aiohttp.ClientSession:
    """A session for kopf.

    Args:
        connection: server and identity; the token is read anew for each request, so that a
            rotated one is used.
        observer: told of each request.
        on_request: called at the begin and end of each request, whatever the answer.
        on_activity: called whenever something arrives on a list or watch of LlamaDeployments,
            with whether it is a watch.
        on_refusal: told why the API server refuses that list or watch.
    """
    pace = Pace()

    async def observed(request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
        if authorization := connection.authorization():
            request.headers["Authorization"] = authorization
        watching = request.url.query.get("watch") == "true"
        verb = "watch" if watching else "list" if request.method == "GET" else request.method
        started, code = time.monotonic(), 0
        on_request()
        try:
            response = await handler(request)
            code = response.status
        finally:
            observer(verb, request.url.name, code, time.monotonic() - started)
            on_request()
        if code == 200 and request.url.name == LLAMA_DEPLOYMENTS.plural:
            on_activity(watching)
        if code in REFUSALS and request.url.name == LLAMA_DEPLOYMENTS.plural:
            on_refusal(error_of(code, await response.text(errors="replace")).message)
        if watching:
            await guard_watch(response, pace, lambda: on_activity(True))
        else:
            await check_answer(response, LLAMA_DEPLOYMENTS.plural)
        return response

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=connection.ssl_context()),
        headers={"User-Agent": f"llama-operator/{__version__}"},
        middlewares=(observed,),
    )

"""What kopf calls. A handler only says: look at this one."""

from collections.abc import Callable
from typing import Any

import kopf

from llama_operator.api.v1alpha1 import GROUP, PLURAL, VERSION
from llama_operator.cluster.ledger import Key

Changed = Callable[[Key, dict[str, Any] | None, str], None]
"""Told the key, the object (None when it is gone) and its uid."""


def registry(changed: Changed, login: Callable[[], kopf.AiohttpSession]) -> kopf.OperatorRegistry:
    """The handlers, in a registry of their own."""
    result = kopf.OperatorRegistry()

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=result)
    async def on_llama_deployment(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401
        body: dict[str, Any] = dict(event["object"])
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        changed(key, None if event["type"] == "DELETED" else body, body["metadata"]["uid"])

    @kopf.on.login(registry=result)
    async def on_login(**_: Any) -> kopf.AiohttpSession:  # noqa: ANN401
        return login()

    return result

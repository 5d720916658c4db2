"""Does an observed status say what we say? Conditions of types that are not ours are left alone."""

from collections.abc import Mapping
from typing import Any

from llama_operator.api.status import ConditionType
from llama_operator.reconcile.observed import Json

_OURS = frozenset(ConditionType)


def says(intended: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    """Whether the live status holds our intent and nothing beside it that is ours to say."""
    return _without_conditions(intended) == _without_conditions(live) and (
        _our_conditions(intended) == _our_conditions(live)
    )


def surplus(intended: Mapping[str, Any], live: Mapping[str, Any]) -> list[Json]:
    """JSON patch that removes what is ours to say and we do not say, empty when there is nothing.

    Server-side apply removes what it had set itself, but not what another manager wrote. Each
    removal is bound to what was seen; list items come last first, so that positions stay right.
    """
    operations: list[Json] = []
    for key in sorted(live.keys() - intended.keys()):
        path = f"/status/{key}"
        operations += [
            {"op": "test", "path": path, "value": live[key]},
            {"op": "remove", "path": path},
        ]
    said = {entry.get("type") for entry in intended.get("conditions") or ()}
    conditions = list(enumerate(live.get("conditions") or ()))
    if "conditions" in intended:
        for index, entry in reversed(conditions):
            if entry.get("type") in _OURS - said:
                path = f"/status/conditions/{index}"
                operations += [
                    {"op": "test", "path": f"{path}/type", "value": entry["type"]},
                    {"op": "remove", "path": path},
                ]
    return operations


def _without_conditions(status: Mapping[str, Any]) -> Json:
    return {key: value for key, value in status.items() if key != "conditions"}


def _our_conditions(status: Mapping[str, Any]) -> dict[str, Any]:
    return {
        entry.get("type"): entry
        for entry in status.get("conditions") or ()
        if entry.get("type") in _OURS
    }

"""Does an observed object still hold what we intend? Fields of others are left alone."""

from typing import Any, Final

from llama_operator.units import parse_quantity

_MERGE_KEYS: Final = ("name", "uid", "mountPath", "containerPort", "port", "key", "topologyKey")
"""Fields by which Kubernetes merges lists of objects; others compare whole."""
_QUANTITY_PARENTS: Final = frozenset({"requests", "limits"})
_QUANTITY_FIELDS: Final = frozenset({"sizeLimit", "storage"})
_WHOLE_FIELDS: Final = frozenset({"selector"})
"""Maps in which a key of somebody else changes what ours mean."""
_IGNORED: Final = frozenset({"apiVersion", "kind"})


def holds(desired: Any, observed: Any, field: str = "", parent: str = "") -> bool:  # noqa: ANN401 - JSON
    """Whether every value that we intend is in the observed object.

    Maps: each of our keys holds; selectors are equal. Lists of named objects: each of ours is there
    and holds, extra ones (a sidecar that a webhook added) are ignored. Other lists are equal.
    Quantities compare by value, since the API server writes them its own way.
    """
    if field in _WHOLE_FIELDS:
        return bool(desired == observed)
    if isinstance(desired, dict):
        if not isinstance(observed, dict):
            return not desired and observed is None
        return all(
            holds(value, observed.get(key), key, field)
            for key, value in desired.items()
            if not (field == "" and key in _IGNORED)
        )
    if isinstance(desired, list):
        return _list_holds(desired, observed, field)
    if desired == observed:
        return True
    if parent in _QUANTITY_PARENTS or field in _QUANTITY_FIELDS or field in _QUANTITY_PARENTS:
        return _same_quantity(desired, observed)
    return observed is None and desired in ("", 0, False)


def leaves_out(before: Any, now: Any) -> bool:  # noqa: ANN401 - JSON
    """Whether an intent may lack fields or named items that an earlier one had."""
    if isinstance(before, dict):
        return not isinstance(now, dict) or any(
            key not in now or leaves_out(value, now[key]) for key, value in before.items()
        )
    if isinstance(before, list) and any(isinstance(item, dict) for item in before):
        if not isinstance(now, list):
            return True
        merge_key = _merge_key(before)
        if merge_key is None:
            return before != now
        by_key = {item.get(merge_key): item for item in now if isinstance(item, dict)}
        return any(leaves_out(item, by_key.get(item[merge_key])) for item in before)
    return False


def _merge_key(items: list[Any]) -> str | None:
    return next(
        (
            key
            for key in _MERGE_KEYS
            if all(isinstance(item, dict) and key in item for item in items)
        ),
        None,
    )


def _list_holds(desired: list[Any], observed: Any, field: str) -> bool:  # noqa: ANN401 - JSON
    if not desired:
        return observed in (None, [])
    if not isinstance(observed, list):
        return False
    merge_key = _merge_key(desired)
    if merge_key is None:
        return len(desired) == len(observed) and all(
            holds(ours, theirs, field) for ours, theirs in zip(desired, observed, strict=True)
        )
    by_key = {item.get(merge_key): item for item in observed if isinstance(item, dict)}
    return all(holds(item, by_key.get(item[merge_key]), field) for item in desired)


def _same_quantity(desired: object, observed: object) -> bool:
    try:
        return parse_quantity(str(desired)) == parse_quantity(str(observed))
    except ValueError:
        return False

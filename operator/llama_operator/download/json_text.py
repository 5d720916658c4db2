"""JSON of strangers: bounded in size, depth and number of values before it is parsed."""

import json
from typing import Any, Final

from llama_operator.errors import HubContentError, HubTooLargeError
from llama_operator.nesting import DEPTH_LIMIT, is_deeper

CONTAINERS_LIMIT: Final = 400_000
"""Objects and lists in one text: an index of 400,000 tensors has less; 80 MB once parsed."""
ITEMS_LIMIT: Final = 1_000_000


def read_object(text: bytes, what: str) -> dict[str, Any]:
    """The JSON object that a text holds.

    Args:
        text: UTF-8; its length is bounded by who read it.
        what: names it in errors.

    Raises:
        HubTooLargeError: more values than any such text needs, brackets and commas in strings
            counted too, or deeper ones.
        HubContentError: not JSON, or not an object.
    """
    containers = text.count(b"{") + text.count(b"[")
    if containers > CONTAINERS_LIMIT or text.count(b",") > ITEMS_LIMIT:
        msg = f"{what} has more than {CONTAINERS_LIMIT:,} objects and lists; nothing was read of it"
        raise HubTooLargeError(msg)
    try:
        value = json.loads(text)
    except RecursionError:
        raise _too_deep(what) from None
    except ValueError:
        msg = f"{what} is not JSON: it starts with {text[:40]!r}"
        raise HubContentError(msg) from None
    if not isinstance(value, dict):
        msg = f"{what} must be a JSON object, not a {type(value).__name__}"
        raise HubContentError(msg)
    if is_deeper(value, DEPTH_LIMIT):
        raise _too_deep(what)
    return value


def _too_deep(what: str) -> HubTooLargeError:
    return HubTooLargeError(f"{what} nests more than {DEPTH_LIMIT} objects and lists")

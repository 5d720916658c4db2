"""YAML from users, read so that nothing in it can hurt: bounded, plain, without aliases."""

from collections import Counter
from collections.abc import Hashable
from typing import Any, Final

import yaml

from llama_operator.errors import CatalogError

TEXT_LIMIT: Final = 262_144
"""Characters of one text; a ConfigMap holds at most 1 MiB."""
EVENTS_LIMIT: Final = 20_000
"""Scalars, lists and mappings of one text, so that reading takes a tenth of a second at most."""
DEPTH_LIMIT: Final = 12


def parse_documents(text: str) -> list[Any]:
    """Plain values of the documents in a YAML text.

    Raises:
        CatalogError: it is no YAML, too large, too deep, names a key twice, or uses anchors,
            aliases or tags.
    """
    if len(text) > TEXT_LIMIT:
        msg = f"is longer than {TEXT_LIMIT:,} characters"
        raise CatalogError(msg)
    try:
        _check_events(text)
        return list(yaml.load_all(text, Loader=_PlainLoader))
    except yaml.YAMLError as error:
        raise CatalogError(_told(error)) from None
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        # Constructors of scalars let these through, e.g. for the date 2024-99-99.
        msg = f"holds a value that cannot be read: {error}"
        raise CatalogError(msg) from None


class _PlainLoader(yaml.CSafeLoader):
    """The safe loader, without doubled keys; values that look like dates stay text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping whose keys occur once."""
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if doubled := [key for key, count in keys.items() if count > 1]:
            msg = f"key {doubled[0]!r} occurs twice"
            raise yaml.constructor.ConstructorError(None, None, msg, node.start_mark)
        return super().construct_mapping(node, deep=deep)


_PlainLoader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":merge"))
    ]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def _check_events(text: str) -> None:
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.CSafeLoader), start=1):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            msg = f"anchors and aliases are not allowed ({_place(event.start_mark)})"
            raise CatalogError(msg)
        if getattr(event, "tag", None) is not None:
            msg = f"tags are not allowed ({_place(event.start_mark)})"
            raise CatalogError(msg)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_LIMIT or count > EVENTS_LIMIT:
            msg = f"is nested deeper than {DEPTH_LIMIT} or has more than {EVENTS_LIMIT:,} values"
            raise CatalogError(msg)


def _told(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    mark = getattr(error, "problem_mark", None)
    return f"is no YAML: {problem}" + (f" ({_place(mark)})" if mark is not None else "")


def _place(mark: Any) -> str:  # noqa: ANN401 - the C parser's mark has no public type
    return f"line {mark.line + 1}, column {mark.column + 1}"

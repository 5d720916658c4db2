"""ConfigMaps with users' rows, from a manifest file instead of a cluster."""

from typing import Any

from llama_operator.api.names import CATALOG_LABEL
from llama_operator.catalog.user_rows import KEYS, RowError, UserRows, printable, read_user_rows
from llama_operator.catalog.yaml_input import parse_documents
from llama_operator.errors import CatalogError, InputError

LABEL_VALUE = "true"
"""Value of the label on the ConfigMaps that the operator reads."""


def read_manifest(file: str, text: str) -> tuple[UserRows, tuple[RowError, ...]]:
    """Rows of all ConfigMaps in a manifest: one object, several documents, or a List.

    A ConfigMap without the label is read and told, since the operator would not read it.

    Args:
        file: name of the file for messages.
        text: its text.

    Raises:
        InputError: the text is no YAML, or holds something else than ConfigMaps.
    """
    try:
        documents = parse_documents(text)
    except CatalogError as error:
        msg = f"{file} {error}"
        raise InputError(msg) from None
    rows: UserRows = ()
    errors: tuple[RowError, ...] = ()
    configmaps = [item for document in documents for item in _items(document)]
    if not configmaps:
        msg = f"{file} is empty; write a ConfigMap with {KEYS}"
        raise InputError(msg)
    for item in configmaps:
        name, labels, data = _parts(file, item)
        if labels.get(CATALOG_LABEL) != LABEL_VALUE:
            message = f'the operator reads it only with the label {CATALOG_LABEL}: "{LABEL_VALUE}"'
            errors += (RowError(name, "", None, "", message),)
        more_rows, more_errors = read_user_rows(name, data)
        rows += more_rows
        errors += more_errors
    return rows, errors


def _items(document: Any) -> list[Any]:  # noqa: ANN401 - a plain YAML value
    if document is None:
        return []
    if isinstance(document, dict) and document.get("kind") in ("List", "ConfigMapList"):
        items = document.get("items")
        return items if isinstance(items, list) else []
    return [document]


def _parts(file: str, item: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:  # noqa: ANN401 - a plain YAML value
    kind = item.get("kind") if isinstance(item, dict) else None
    if not isinstance(item, dict) or kind != "ConfigMap":
        held = printable(str(kind)) if kind else "something that is no Kubernetes object"
        msg = f"{file} holds {held}; write ConfigMaps with {KEYS}"
        raise InputError(msg)
    metadata = item.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    labels, data = metadata.get("labels"), item.get("data")
    name = "/".join(
        str(metadata[key]) for key in ("namespace", "name") if metadata.get(key) is not None
    )
    return (
        printable(name or "without name"),
        labels if isinstance(labels, dict) else {},
        {str(key): value for key, value in data.items()} if isinstance(data, dict) else {},
    )

"""GPU nodes from a file: the output of `kubectl get nodes -o json` or `-o yaml`."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import yaml

from llama_operator.errors import InputError
from llama_operator.planning.inventory import Inventory
from llama_operator.planning.nodes import inventory_from_nodes

HOW_TO_MAKE: Final = "make one with `kubectl get nodes -o json > nodes.json`"
LIST_KINDS: Final = frozenset({"List", "NodeList"})


def read_text(option: str, file: str) -> str:
    """The text of a file, `-` for standard input; `option` names it in errors.

    Raises:
        InputError: the file cannot be read or is no UTF-8 text.
    """
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        msg = f"{option} {file} cannot be read: {reason}"
        raise InputError(msg) from None


def read_nodes_file(file: str, *, leader_worker_set: bool = False) -> Inventory:
    """The inventory of a file with Node objects: a List, one Node, or several documents.

    Args:
        file: name of the file, `-` for standard input.
        leader_worker_set: whether the cluster has LeaderWorkerSet, which no node tells.

    Raises:
        InputError: the file cannot be read, is neither JSON nor YAML, or holds something else than
            Nodes.
    """
    nodes = list(_nodes(file, _documents(file, read_text("--nodes", file))))
    if not nodes:
        msg = f"--nodes {file} holds no Node; {HOW_TO_MAKE}"
        raise InputError(msg)
    return replace(inventory_from_nodes(nodes), leader_worker_set=leader_worker_set)


def _documents(file: str, text: str) -> list[Any]:
    try:
        # JSON is YAML too, but its own parser is fifty times quicker on thousands of nodes.
        if text.lstrip().startswith("{"):
            return [json.loads(text)]
    except json.JSONDecodeError:
        pass
    try:
        return list(yaml.load_all(text, Loader=yaml.CSafeLoader))
    except (yaml.YAMLError, ValueError) as error:
        problem = " ".join(str(error).split())
        msg = f"--nodes {file} is neither JSON nor YAML: {problem}"
        raise InputError(msg) from None


def _nodes(file: str, documents: list[Any]) -> Iterator[dict[str, Any]]:
    for number, document in enumerate(documents, start=1):
        if document is None:
            continue
        kind = document.get("kind") if isinstance(document, dict) else None
        if isinstance(document, dict) and kind in LIST_KINDS:
            items = document.get("items")
            yield from _nodes(file, items if isinstance(items, list) else [])
        elif isinstance(document, dict) and kind == "Node":
            yield document
        else:
            held = f"kind {kind}" if isinstance(kind, str) else "no Kubernetes object"
            msg = f"--nodes {file}, object {number}: {held}; only Nodes are read, {HOW_TO_MAKE}"
            raise InputError(msg)

"""LlamaDeployments from a file, read strictly: an unknown field is an error, not a silence."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, get_args

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.model import ApiModel
from llama_operator.api.v1alpha1 import API_VERSION, KIND, LlamaDeploymentSpec
from llama_operator.catalog.yaml_input import parse_documents
from llama_operator.errors import CatalogError, InputError, SpecError

TOLD_LIMIT: Final = 3
"""Objects of other kinds that one error names."""
TOP_FIELDS: Final = ("apiVersion", "kind", "metadata", "spec", "status")


@dataclass(frozen=True, slots=True)
class DeploymentFile:
    """What a file holds: deployments in order, and notes on objects of other kinds."""

    deployments: tuple[LlamaDeployment, ...]
    notes: tuple[str, ...]


def parse_deployments(file: str, text: str) -> DeploymentFile:
    """Read every LlamaDeployment of a manifest; objects of other kinds are noted and left out.

    Args:
        file: name of the file for messages.
        text: one or several YAML or JSON documents, Lists included.

    Raises:
        InputError: the text is no YAML, a deployment is wrong, or there is none; names the file,
            the document and the field.
    """
    try:
        documents = parse_documents(text)
    except CatalogError as error:
        msg = f"{file} {error}"
        raise InputError(msg) from None
    deployments: list[LlamaDeployment] = []
    notes: list[str] = []
    for number, body in enumerate(documents, start=1):
        for where, item in _objects(f"{file}, document {number}", body):
            kind = item.get("kind")
            if kind != KIND:
                notes.append(f"{where}: kind {kind} is left out; only {KIND} is planned")
                continue
            deployments.append(_deployment(where, item))
    if not deployments:
        held = f": {'; '.join(notes[:TOLD_LIMIT])}" if notes else ""
        msg = f"{file} holds no {KIND}{held}"
        raise InputError(msg)
    return DeploymentFile(tuple(deployments), tuple(notes))


def _objects(where: str, body: Any) -> Iterator[tuple[str, dict[str, Any]]]:  # noqa: ANN401 - a YAML value
    if body is None:
        return
    if not isinstance(body, dict) or not isinstance(body.get("kind"), str):
        msg = f"{where}: no Kubernetes object; it needs apiVersion, kind, metadata and spec"
        raise InputError(msg)
    if body["kind"] not in ("List", f"{KIND}List"):
        yield where, body
        return
    items = body.get("items")
    for number, item in enumerate(items if isinstance(items, list) else [], start=1):
        yield from _objects(f"{where}, item {number}", item)


def _deployment(where: str, body: dict[str, Any]) -> LlamaDeployment:
    metadata = body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    named = f"{where} ({name})" if isinstance(name, str) else where
    if body.get("apiVersion") != API_VERSION:
        msg = f"{named}: apiVersion: {body.get('apiVersion')!r}; write {API_VERSION}"
        raise InputError(msg)
    problem = next(_unknown_fields(body), None)
    if problem is not None:
        msg = f"{named}: {problem}"
        raise InputError(msg)
    try:
        return LlamaDeployment.parse(body)
    except SpecError as error:
        msg = f"{named}: {error}"
        raise InputError(msg) from None


def _unknown_fields(body: Mapping[str, Any]) -> Iterator[str]:
    for key in body:
        if key not in TOP_FIELDS:
            yield _unknown(str(key), TOP_FIELDS)
    yield from _unknown_in(LlamaDeploymentSpec, body.get("spec"), "spec")


def _unknown_in(model: type[ApiModel], value: object, path: str) -> Iterator[str]:
    """Fields below `path` that the model does not have."""
    if not isinstance(value, Mapping):
        return
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    for key, child in value.items():
        if key not in fields:
            yield _unknown(f"{path}.{key}", tuple(fields))
            continue
        inner = _inner_model(fields[key].annotation)
        if inner is None:
            continue
        if isinstance(child, list):
            for index, item in enumerate(child):
                yield from _unknown_in(inner, item, f"{path}.{key}[{index}]")
        else:
            yield from _unknown_in(inner, child, f"{path}.{key}")


def _inner_model(annotation: object) -> type[ApiModel] | None:
    """The API model inside an annotation such as `list[Model]` or `Model | None`."""
    if isinstance(annotation, type) and issubclass(annotation, ApiModel):
        return annotation
    found = (_inner_model(argument) for argument in get_args(annotation))
    return next((model for model in found if model is not None), None)


def _unknown(path: str, allowed: Sequence[str]) -> str:
    near = get_close_matches(path.rsplit(".", 1)[-1], allowed, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{path}: unknown field; {meant}allowed: {', '.join(sorted(allowed))}"

"""LlamaDeployment as an object: what of its metadata the operator uses, its spec and its status."""

import json
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError

from llama_operator.api.cel import Rule, RuleError
from llama_operator.api.fields import NAME_PATTERN, text_rule
from llama_operator.api.model import ApiModel
from llama_operator.api.status import LlamaDeploymentStatus
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.errors import SpecError

NAME_LIMIT = 63
"""Bound of a DNS-1035 label, which the Services' names must be."""

NAME_RULE = Rule(
    expression=(
        f"self.metadata.name.size() <= {NAME_LIMIT} && self.metadata.name.matches('{NAME_PATTERN}')"
    ),
    message=(
        "must be a DNS-1035 label, since Services carry it: at most 63 lower-case "
        "letters, digits and dashes, beginning with a letter; write for example llama-70b-awq"
    ),
    holds=lambda deployment: (
        len(deployment.metadata.name) <= NAME_LIMIT
        and text_rule(NAME_PATTERN, "").holds(deployment.metadata.name)
    ),
    field=".metadata.name",
)

ADAPTER_RULE = Rule(
    expression=(
        "!has(self.spec.lora) || self.spec.lora.adapters"
        ".all(adapter, adapter.name != self.metadata.name)"
    ),
    message="the name of an adapter must differ from the deployment's, which is the model's own",
    holds=lambda deployment: (
        deployment.spec.lora is None
        or all(one.name != deployment.metadata.name for one in deployment.spec.lora.adapters)
    ),
    field=".spec.lora.adapters",
)


class Metadata(ApiModel):
    """The metadata that the operator uses."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    deletion_timestamp: str | None = None
    annotations: dict[str, str] = Field(default_factory=dict)


class LlamaDeployment(ApiModel):
    """A model to serve: sized, placed, served and scaled."""

    metadata: Metadata
    spec: LlamaDeploymentSpec
    status: LlamaDeploymentStatus = LlamaDeploymentStatus()

    rules = (NAME_RULE, ADAPTER_RULE)

    @classmethod
    def parse(cls, body: dict[str, Any]) -> Self:
        """Read an object as the API server or a file gives it.

        Refuses what the API server refuses: no string is taken for a number and no field is
        known by its Python name. As there, null stands for an absent field and 2.0 for 2.

        A status that breaks a rule is taken for none, since it can be made again: an object
        that another version wrote stays readable.

        Raises:
            SpecError: a field breaks a rule; names the first such field.
        """
        known = _as_stored({key: body[key] for key in cls.model_fields if key in body})
        # A lone surrogate is no text; the API server replaces it as well.
        text = json.dumps(known, ensure_ascii=False, default=str).encode(errors="replace")
        try:
            return cls.model_validate_json(text, strict=True, by_alias=True, by_name=False)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            if first["loc"][:1] == ("status",):
                return cls.parse({key: body[key] for key in body if key != "status"})
            path = "".join(
                f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]
            )
            cause = first.get("ctx", {}).get("error")
            if isinstance(cause, RuleError):
                path += cause.field
            message = first["msg"].removeprefix("Value error, ")
            raise SpecError(path.removeprefix("."), message) from None


def _as_stored(value: object) -> object:
    """The value as the API server stores it: without null fields, whole floats as integers."""
    if isinstance(value, dict):
        return {key: _as_stored(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_as_stored(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value

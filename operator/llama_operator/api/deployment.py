"""LlamaDeployment as an object: what of its metadata the operator uses, its spec and its status."""

from typing import Annotated, Any, Self

from pydantic import Field, ValidationError

from llama_operator.api.cel import Rule
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
        "metadata.name must be a DNS-1035 label, since Services carry it: at most 63 lower-case "
        "letters, digits and dashes, beginning with a letter; write for example llama-70b-awq"
    ),
    holds=lambda deployment: (
        len(deployment.metadata.name) <= NAME_LIMIT
        and text_rule(NAME_PATTERN, "").holds(deployment.metadata.name)
    ),
)


class Metadata(ApiModel):
    """The metadata that the operator uses."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    deletion_timestamp: str | None = None


class LlamaDeployment(ApiModel):
    """A model to serve: sized, placed, served and scaled."""

    metadata: Metadata
    spec: LlamaDeploymentSpec
    status: LlamaDeploymentStatus = LlamaDeploymentStatus()

    rules = (NAME_RULE,)

    @classmethod
    def parse(cls, body: dict[str, Any]) -> Self:
        """Read an object as the API server or a file gives it.

        Raises:
            SpecError: a field breaks a rule; names the first such field.
        """
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            path = "".join(
                f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]
            ).removeprefix(".")
            message = first["msg"].removeprefix("Value error, ")
            raise SpecError(path or "metadata.name", message) from None

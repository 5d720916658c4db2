"""The base of all API models."""

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from llama_operator.api.cel import Rule, enforce


class ApiModel(BaseModel):
    """camelCase outside, frozen, unknown fields ignored on reading, so that a downgrade works.

    `rules` are cross-field rules: CEL in the CRD, Python on reading.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        serialize_by_alias=True,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        enforce(self.rules, self)
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add the rules to the JSON schema."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        if cls.rules:
            schema["x-kubernetes-validations"] = [rule.as_schema() for rule in cls.rules]
        return schema

    def to_object(self) -> dict[str, Any]:
        """The JSON object with camelCase keys, without unset optional fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

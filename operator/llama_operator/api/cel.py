"""Validation rules in two tongues: CEL for the API server, Python for the command line.

One rule is one object, so that message and meaning stand in one place; the table of accepted and
refused manifests runs both against the same cases.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class Rule:
    """One validation rule.

    Args:
        expression: CEL over `self`, within the API server's cost limit.
        message: what to write instead; the API server prefixes the field's path.
        holds: the same rule in Python over the validated value (a scalar or an API model).
    """

    expression: str
    message: str
    holds: Callable[[Any], bool]

    def as_schema(self) -> dict[str, str]:
        """The entry of `x-kubernetes-validations`."""
        return {"rule": self.expression, "message": self.message}


def enforce(rules: tuple[Rule, ...], value: Any) -> None:  # noqa: ANN401 - any validated value
    """Check a value against rules.

    Raises:
        ValueError: the message of the first rule that does not hold.
    """
    for rule in rules:
        if not rule.holds(value):
            raise ValueError(rule.message)


@dataclass(frozen=True)
class Ruled:
    """Annotation that puts rules on a scalar field or on an item of a list."""

    rules: tuple[Rule, ...]

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Validate after the type itself is valid."""

        def check(value: object) -> object:
            enforce(self.rules, value)
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Write the rules into the JSON schema."""
        result = handler(schema)
        result["x-kubernetes-validations"] = [rule.as_schema() for rule in self.rules]
        return result


def ruled(*rules: Rule) -> Ruled:
    """Annotation that carries these rules on a field."""
    return Ruled(rules)

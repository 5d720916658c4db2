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
        field: path below `self` of the field that a refusal names, in the form of CEL's
            fieldPath, e.g. `.size`; empty when the rule stands on that field itself.
    """

    expression: str
    message: str
    holds: Callable[[Any], bool]
    field: str = ""

    def as_schema(self) -> dict[str, str]:
        """The entry of `x-kubernetes-validations`."""
        schema = {"rule": self.expression, "message": self.message}
        return schema | ({"fieldPath": self.field} if self.field else {})


class RuleError(ValueError):
    """A rule does not hold; `field` is the rule's."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule.message)
        self.field = rule.field


def enforce(rules: tuple[Rule, ...], value: Any) -> None:  # noqa: ANN401 - any validated value
    """Check a value against rules.

    Raises:
        RuleError: the first rule that does not hold.
    """
    for rule in rules:
        if not rule.holds(value):
            raise RuleError(rule)


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
        """Write the rules into the JSON schema, after those of the type itself."""
        result = handler(schema)
        inherited = result.get("x-kubernetes-validations", [])
        result["x-kubernetes-validations"] = [
            *inherited,
            *(rule.as_schema() for rule in self.rules),
        ]
        return result


def ruled(*rules: Rule) -> Ruled:
    """Annotation that carries these rules on a field."""
    return Ruled(rules)

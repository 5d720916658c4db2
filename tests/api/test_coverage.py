"""The table of cases holds every constraint of the CRD: broken once, and kept at its bound."""

import copy
from collections.abc import Iterable
from typing import Any

import pytest

from api.case_files import CASES, Case
from api.constraints import (
    BOUNDS,
    Constraint,
    breaks,
    constraints,
    generic,
    lies_on_the_bound,
    values_at,
    walk,
)
from llama_operator.api.crd import object_schema

UNREACHED = {
    Constraint("spec.template.spec.resources.cpu", "maxLength", "16"): "the rule refuses before",
    Constraint("spec.template.spec.resources.memory", "maxLength", "16"): "the rule refuses before",
    Constraint("spec.size", "maxLength", "32"): "the rule refuses before a size is as long",
    Constraint("spec.speculative.draftModel.size", "maxLength", "32"): "as that of spec.size",
}
"""Bounds that no accepted value reaches, each with the reason."""

SAYS = {
    "minimum": "greater than or equal to {}",
    "maximum": "less than or equal to {}",
    "minLength": "at least {} chars",
    "maxLength": "may not be more than {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "should match '{}'",
    "required": "Required value",
    "unique": "Duplicate value",
}
"""What the API server says of a broken constraint; a value may break several."""


def checked_root(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without status, which no user writes."""
    properties = {key: schema["properties"][key] for key in ("metadata", "spec")}
    return {**schema, "properties": properties}


def missing(schema: dict[str, Any], cases: Iterable[Case]) -> list[str]:
    """What the table lacks, a line each."""
    accepted = [case for case in cases if case.refused is None]
    lines = []
    for constraint in constraints(checked_root(schema), ""):
        if not any(refuses(case, constraint) for case in cases):
            lines.append(f"no case is refused for {constraint}")
        reachable = constraint.keyword in BOUNDS and constraint not in UNREACHED
        if reachable and not any(lies_on_the_bound(constraint, it.manifest) for it in accepted):
            lines.append(f"no case is accepted on the bound of {constraint}")
    for field, part in walk(checked_root(schema), ""):
        used = [one for case in accepted for one in values_at(case.manifest, field)]
        lines += [
            f"no case is accepted with {value} in {field}"
            for value in part.get("enum", ())
            if value not in used
        ]
        if not used and field.startswith("spec."):
            lines.append(f"no case is accepted with {field}")
    return lines


def refuses(case: Case, constraint: Constraint) -> bool:
    """Whether a case is refused for exactly this constraint."""
    if case.refused is None or generic(case.refused.field) != constraint.field:
        return False
    if constraint.keyword == "rule":
        return case.refused.message in constraint.detail
    words = SAYS.get(constraint.keyword, "").format(constraint.detail)
    return words in case.refused.message and breaks(constraint, case.manifest)


def test_every_constraint_of_the_crd_has_its_cases() -> None:
    assert missing(object_schema(), CASES) == []


def test_the_sentences_of_the_cases_differ() -> None:
    sentences = [case.sentence for case in CASES]
    assert len(set(sentences)) == len(sentences)


def changed(path: str, **more: Any) -> dict[str, Any]:
    """The CRD's schema with something added at a path of `properties` and `items`."""
    schema = copy.deepcopy(object_schema())
    place = schema
    for part in path.split("."):
        place = place[part]
    place.update(more)
    return schema


SPEC = "properties.spec.properties"


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        pytest.param(
            changed(f"{SPEC}.replicas", maximum=500),
            "Constraint(field='spec.replicas', keyword='maximum', detail='500')",
            id="another bound",
        ),
        pytest.param(
            changed(f"{SPEC}.servedModelNames", minItems=1),
            "Constraint(field='spec.servedModelNames', keyword='minItems', detail='1')",
            id="a new bound",
        ),
        pytest.param(
            changed(f"{SPEC}.hub", enum=["HuggingFace", "ModelScope", "Mirror"]),
            "no case is accepted with Mirror in spec.hub",
            id="a new word of an enum",
        ),
        pytest.param(
            changed(f"{SPEC}.model", pattern="^llama"),
            "Constraint(field='spec.model', keyword='pattern', detail='^llama')",
            id="a new pattern",
        ),
        pytest.param(
            changed("properties.spec", required=["hub"]),
            "Constraint(field='spec.hub', keyword='required', detail='')",
            id="a field that becomes required",
        ),
        pytest.param(
            changed(
                f"{SPEC}.engine", **{"x-kubernetes-validations": [{"message": "no such engine"}]}
            ),
            "Constraint(field='spec.engine', keyword='rule', detail='no such engine')",
            id="a new rule",
        ),
        pytest.param(
            changed(SPEC, shiny={"type": "boolean"}),
            "no case is accepted with spec.shiny",
            id="a new field",
        ),
        pytest.param(
            changed(f"{SPEC}.servedModelNames", **{"x-kubernetes-list-type": "set"}),
            "Constraint(field='spec.servedModelNames[]', keyword='unique', detail='set')",
            id="a list that becomes a set",
        ),
    ],
)
def test_a_constraint_without_a_case_is_found(schema: dict[str, Any], complaint: str) -> None:
    assert any(complaint in line for line in missing(schema, CASES))


def test_a_word_of_the_schema_that_no_test_knows_is_found() -> None:
    schema = changed(f"{SPEC}.replicas", multipleOf=2)
    with pytest.raises(
        AssertionError, match=r"spec\.replicas: no test knows what \['multipleOf'\]"
    ):
        missing(schema, CASES)

"""A field decides between engines, and the plan says what to know of it."""

from typing import Any

import pytest

from llama_operator.api.reasons import Reason
from llama_operator.errors import SpecError
from llama_operator.planning.choices import choices
from unit.planning.cluster import A100, CATALOG, node, planned, refused, spec

KEY = {"auth": {"apiKeySecretRef": {"name": "llama-key"}}}
TLS = {"tls": {"secretName": "llama-tls"}}


def engines(**fields: Any) -> list[str]:
    return [choice.engine.name for choice in choices(spec(**fields), CATALOG)]


def test_auto_leaves_out_engines_that_cannot_follow_a_field() -> None:
    wanted: dict[str, Any] = {"size": "8b", "format": "pytorch"}
    every = engines(**wanted)
    assert {"TGI", "vLLM", "SGLang", "Transformers"} <= set(every)
    assert engines(**wanted, **KEY) == [one for one in every if one != "Transformers"]
    assert engines(**wanted, **TLS) == [one for one in every if one not in ("TGI", "Transformers")]


def test_a_format_whose_engines_cannot_is_refused_with_the_field() -> None:
    with pytest.raises(SpecError, match=r"^spec\.auth: MLX 0\.32\.2 cannot follow it"):
        choices(spec(size="8b", format="mlx", **KEY), CATALOG)
    found = refused(spec(size="8b", format="mlx", **KEY), node("a", A100, 1))
    assert found.reason is Reason.INVALID_SPEC


@pytest.mark.parametrize(
    ("engine", "fields", "expected"),
    [
        pytest.param(
            "vLLM", {},
            ["tool calls: parser llama3_json, which finds JSON anywhere in an answer"],
            id="vLLM",
        ),
        pytest.param(
            "SGLang", {},
            [
                "tool calls: parser llama3, which reads JSON that begins an answer or follows "
                "<|python_tag|>"
            ],
            id="SGLang",
        ),
        pytest.param(
            "SGLang", KEY,
            [
                "tool calls: parser llama3, which reads JSON that begins an answer or follows "
                "<|python_tag|>",
                "spec.auth: it takes the key as an argument alone: its log at start and the "
                "command line of its process show it",
            ],
            id="SGLang with a key",
        ),
        pytest.param("vLLM", {"model": "llama-guard-3"}, [], id="a model without tools"),
    ],
)  # fmt: skip
def test_the_plan_says_how_tools_are_called_and_what_to_know(
    engine: str, fields: dict[str, Any], expected: list[str]
) -> None:
    wanted = spec(size="8b", format="pytorch", engine={"type": engine}, **fields)
    reasons = planned(wanted, node("a", A100, 1)).plan.reasons
    assert [one for one in reasons if one.startswith(("tool calls:", "spec.auth:"))] == expected

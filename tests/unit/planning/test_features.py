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


NO_LIMIT = (
    "context: the engine has no limit of its own: longer requests are not refused and may run out "
    "of memory"
)
GRAPHS = (
    "CUDA graphs: not counted; they get what TGI leaves free, and where that is too small it goes "
    "on without the rest"
)


@pytest.mark.parametrize(
    ("engine", "fields", "expected"),
    [
        pytest.param("vLLM", {}, [], id="vLLM"),
        pytest.param("TGI", {}, [GRAPHS], id="TGI"),
        pytest.param("TGI", {"memory": {"cudaGraphs": "Disabled"}}, [], id="TGI without graphs"),
        pytest.param("Transformers", {}, [NO_LIMIT], id="Transformers"),
        pytest.param("MLX", {"format": "mlx"}, [NO_LIMIT], id="MLX"),
        pytest.param("LlamaCpp", {"format": "ggufv2"}, [], id="llama.cpp"),
    ],
)
def test_the_plan_says_what_its_engine_does_not_bound_or_count(
    engine: str, fields: dict[str, Any], expected: list[str]
) -> None:
    wanted = spec(**{"size": "8b", "format": "pytorch", **fields}, engine={"type": engine})
    reasons = planned(wanted, node("a", A100, 1)).plan.reasons
    assert [one for one in reasons if one.startswith(("context:", "CUDA graphs:"))] == expected


LOGITS = 256 * 128_256 * 4
"""fp32 logits of 256 sequences; 128,256 is a multiple of 64."""
HIDDEN = 2_048 * 4_096 * 2
"""bf16 hidden states of 2,048 tokens."""


@pytest.mark.parametrize(
    ("fields", "rows"),
    [
        pytest.param({"ngram": {"numTokens": 4}}, 5, id="four drafts and the next token"),
        pytest.param({"ngram": {"numTokens": 16}}, 8, id="a step of 2,048 tokens ends it"),
    ],
)
def test_logits_of_drafted_tokens_are_counted(fields: dict[str, Any], rows: int) -> None:
    wanted: dict[str, Any] = {
        "size": "8b",
        "format": "awq",
        "context": {"maxModelLen": 8192},
        "memory": {"maxNumSeqs": 256, "maxNumBatchedTokens": 2048},
    }
    found = planned(spec(**wanted, speculative=fields), node("a", A100, 1)).plan
    # 3.65 copies of the logits, 0.04 GiB of the sampler; memory model, section 6.
    assert found.memory_per_gpu.activation_bytes == int(
        3.65 * LOGITS * rows + HIDDEN + 0.04 * 2**30
    )
    plain = planned(spec(**wanted), node("a", A100, 1)).plan
    more = found.memory_per_gpu.activation_bytes - plain.memory_per_gpu.activation_bytes
    less = plain.memory_per_gpu.kv_cache_bytes - found.memory_per_gpu.kv_cache_bytes
    assert abs(more - less) < 2 * BLOCK


BLOCK = 16 * 131_072
"""Bytes of the 16 tokens that the KV cache is counted in: 131,072 each."""


@pytest.mark.parametrize(
    ("drafts", "seqs"),
    [
        pytest.param(None, 256, id="the engine's own without drafts"),
        pytest.param(1, 128, id="half with one"),
        pytest.param(4, 51, id="a fifth with four, rounded down"),
    ],
)
def test_fewer_sequences_run_with_drafts(drafts: int | None, seqs: int) -> None:
    fields: dict[str, Any] = {} if drafts is None else ngram(drafts)
    found = planned(spec(size="8b", format="awq", **fields), node("a", A100, 1)).plan
    assert found.max_num_seqs == seqs


def ngram(tokens: int) -> dict[str, Any]:
    return {"speculative": {"ngram": {"numTokens": tokens}}}


def test_drafts_of_llama_cpp_take_host_memory() -> None:
    wanted: dict[str, Any] = {"size": "8b", "format": "ggufv2"}
    plain = planned(spec(**wanted), node("a", A100, 1)).plan.host.memory_bytes
    drafting = planned(spec(**wanted, speculative={"ngram": {}}), node("a", A100, 1)).plan
    # Logits and a hidden state of 4 more tokens in each of 2 slots, in fp32.
    assert drafting.host.memory_bytes - plain == 2 * 4 * (128_256 + 4_096) * 4
